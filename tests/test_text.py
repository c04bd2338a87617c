"""Texts that strangers read."""

import pytest

from datatoken.text import show_address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:hush@host.example:5001/v3/hush?key=hush#hush", "http://host.example:5001"),
        ("https://[::1]:8545/hush", "https://[::1]:8545"),
        ("https://host.example", "https://host.example"),
        ("http://me:hush@host:99999/hush", "http://…"),
        ("http://me:hush@[::1", "http://…"),
        ("file:///srv/hush", "file://"),
        ("/srv/store", "/srv/store"),
        ("me:hush@host://[::1", "me://"),
        ("//me:hush@[host://x", "…"),
        ("http://\x1bhost:80", "http://\\u001bhost:80"),
    ],
)
def test_secrets_in_an_address_are_not_shown(url: str, shown: str) -> None:
    assert show_address(url) == shown
