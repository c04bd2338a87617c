"""The one sentence for a round with too few contributions, with the owners' own reasons in it."""

import re
from collections.abc import Iterable

from datatoken.authorization.reasons import Reason, Refused
from datatoken.types import MessageKind

OUTSIDE = (Reason.CHAIN_UNREACHABLE, Reason.STORE_UNREACHABLE, Reason.RECORDER_UNREACHABLE)
MAX_REASONS = 600
CODE = re.compile(r"\b[A-Z]{2,}(_[A-Z]{2,})+\b")


def too_few(
    kind: MessageKind, contributed: int, sent: int, minimum: int, reasons: Iterable[str]
) -> Refused:
    """Return the refusal of a round in which fewer members contributed than `minimum`.

    Where all who did not contribute named one cause outside their will (chain, store or
    recorder out of reach), that is the run's reason: nobody withdrew.
    """
    said: dict[str, int] = {}
    for reason in reasons:
        said[reason] = said.get(reason, 0) + 1
    codes = {found.group() if (found := CODE.search(reason)) else "" for reason in said}
    shared = next((r for r in OUTSIDE if codes == {r.value}), None)
    detail = (
        f"{contributed} of {sent} owners contributed to a {kind.value} round; "
        f"the terms ask for {minimum}."
    )
    if said:
        listed = "; ".join(f"{count} x {text}" for text, count in said.items())
        detail += f" The others: {listed[:MAX_REASONS].rstrip('.')}."
    return Refused(shared or Reason.TOO_FEW_PARTICIPANTS, detail)
