"""The asset service: an owner's assets behind HTTP, for requests to use them.

It knows no engine: what runs is up to an `Executor` (`datatoken.service.assets.executor`).
"""
