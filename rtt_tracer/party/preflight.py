"""When shares of rows may leave: every engine that will get them has passed its preflight.

Engines hold compiled code, configuration and endpoints against each other's before they are
ready. A data party has no part in that; it waits for the word of all that have.
"""

from dataclasses import dataclass, field

from datatoken.authorization.reasons import Reason, Refused
from datatoken.types import Hex32


@dataclass
class Preflight:
    """Who is ready, and with which code.

    Parameters
    ----------
    linked : frozenset of Hex32
        The parties whose engines are linked.
    """

    linked: frozenset[Hex32]
    codes: dict[Hex32, Hex32] = field(default_factory=dict)

    def hear(self, dt: Hex32, code: Hex32) -> None:
        """Note that a party's engine is ready.

        Raises
        ------
        Refused
            AGREEMENT_MISMATCH when it holds another code than an earlier one.
        """
        if dt in self.linked:
            self.codes[dt] = code
        if len(set(self.codes.values())) > 1:
            raise Refused(Reason.AGREEMENT_MISMATCH, "The parties' engines hold different code.")

    @property
    def passed(self) -> bool:
        """Whether all are ready."""
        return self.codes.keys() == self.linked
