"""A regulator: reads every use of an asset, from the chain and the documents alone."""

from typing import TYPE_CHECKING

from datatoken.roles.site import Site
from datatoken.types import Hex32

if TYPE_CHECKING:
    from datatoken.trace.usage import Usage


class Regulator:
    """Reads; needs no account and no permission.

    Parameters
    ----------
    site : Site
        Chain and store.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def trace(self, dt: Hex32) -> "tuple[Usage, ...]":
        """Return every job that an asset has authorised, with how and by whom."""
        from datatoken.trace.usage import usage

        return usage(self.site, dt)
