"""The requester's side: what is asked and signed, followed, collected and opened."""

from rtt_tracer.requester.wish import Wish, make_wish, sign_wish

__all__ = ["Wish", "make_wish", "sign_wish"]
