"""Step 7 of the decision: own counts, own receipts in the log, the previous round's members."""

import itertools
from typing import TYPE_CHECKING

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.tree import VerifiedTree
from datatoken.authorization.view import ChainState, EdgeKey, History, LogState, RoundGroup
from datatoken.types import Hex32, MessageKind

if TYPE_CHECKING:
    from datatoken.authorization.ask import Ask


def minimum(tree: VerifiedTree, path: tuple[Hex32, ...], level: int, *, all_required: bool) -> int:
    """Return how many children of ``path[level]`` must take part.

    The composite's own term (default: all of them), and the stricter one of the leaf on the
    path, where it has one (a composite's term is about its own children).
    """
    ddo = tree.ddos[path[level]]
    total = len(ddo.children)
    if all_required or ddo.terms.min_participants is None:
        return total
    needed = ddo.terms.min_participants
    below = tree.ddos.get(path[level - 1]) if level > 0 else None
    if below is not None and not below.children:
        needed = max(needed, below.terms.min_participants or 0)
    return min(needed, total)


def messages_so_far(history: History, edges: tuple[EdgeKey, ...]) -> int:
    """Return this owner's own number of messages of all kinds under the first edge's grant."""
    if not edges:
        return 0
    own = edges[0][:3]
    return sum(count for key, count in history.counts.items() if key[:3] == own)


def check_counts(
    state: ChainState,
    tree: VerifiedTree,
    history: History,
    path: tuple[Hex32, ...],
    kind: MessageKind,
) -> None:
    """Refuse when a grant on the path, or the terms behind it, allow no further message."""
    for child, parent in itertools.pairwise(path):
        grant = state.grants[(parent, child)]
        limits = [grant.max_rounds] if grant.max_rounds else []
        if child in tree.ddos and (limit := tree.ddos[child].terms.limit(kind)) is not None:
            limits.append(limit)
        done = history.counts.get((parent, child, grant.epoch, kind), 0)
        if limits and done >= min(limits):
            raise Refused(
                Reason.ROUNDS_EXHAUSTED,
                f"{done} {kind.value} messages were answered under the grant from "
                f"{child[:10]}… to {parent[:10]}…; it allows {min(limits)}.",
            )


def check_log(state: ChainState, log: LogState, history: History, lag: int) -> None:
    """Refuse a recorder that is behind, or that left an acknowledged receipt out."""
    if (log.head, log.round) != (state.head, state.round):
        raise Refused(
            Reason.RECORDER_BEHIND,
            f"The chain holds {state.round} rounds, the recorder has shown {log.round}.",
        )
    missing = history.receipts - log.included
    if len(missing) <= lag:
        return
    acknowledged = missing & history.acknowledged
    if len(acknowledged) > lag:
        raise Refused(
            Reason.RECORDER_OMISSION,
            f"{len(acknowledged)} receipts that the recorder acknowledged are not in its log.",
        )
    raise Refused(
        Reason.RECORDER_BEHIND, f"{len(missing)} own receipts are not in the log; {lag} may be."
    )


def check_previous(
    tree: VerifiedTree,
    log: LogState,
    path: tuple[Hex32, ...],
    request: Hex32,
    ask: "Ask",
) -> None:
    """Refuse a leaf's message when its previous logged round was smaller than the minimum.

    So nobody can sample one victim alone again and again. Only rounds that hold the asset's
    own receipt count: another member, who could invent rounds of one, can't stall the rest.
    A round that was cut short by the end of an earlier run is tolerated once: when the round
    before it was full, or there was none (ADR 0006).
    """
    if len(path) < 2 or (path[0] in tree.ddos and tree.ddos[path[0]].children):
        return
    needed = minimum(tree, path, 1, all_required=ask.all_required)
    members = frozenset(tree.ddos[path[1]].children)
    groups = [group for group in log.groups if path[0] in group.members]
    if not groups:
        return
    last = groups[-1]
    if _is_full(last, members, needed):
        return
    cut_short = (last.request, last.run) != (request, ask.run)
    if cut_short and (len(groups) == 1 or _is_full(groups[-2], members, needed)):
        return
    raise Refused(
        Reason.ROUND_TOO_SMALL,
        f"The previous logged round had {len(last.members & members)} members; "
        f"the terms ask for {needed}.",
    )


def _is_full(group: RoundGroup, members: frozenset[Hex32], needed: int) -> bool:
    return len(group.members & members) >= needed
