"""What runs between supervisor and operation: the warden, in a process of its own.

Started with ``python -I -S``, so the standard library is all it may import. It builds the
walls from inside, starts the operation behind them, and sees to it that nothing outlives.
"""
