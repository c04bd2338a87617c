"""Commands of ``fl-edge``."""
