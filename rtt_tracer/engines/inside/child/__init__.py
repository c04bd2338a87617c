"""What runs in an operation's own process: standard library, NumPy, and for SPU its engine.

Nothing of datatoken is imported here, and nothing installed beside the engine is needed. The
process is started in its work folder with ``job.json``; it says what happens over one pipe and
waits for orders on the other (`rtt_tracer.engines.events`).
"""
