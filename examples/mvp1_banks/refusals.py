"""What is refused, each with real services: line 64, and a bundle that was swapped."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from datatoken.authorization.reasons import Reason
from datatoken.authorization.request import SignedRequest, run_id
from datatoken.errors import RunFailedError
from datatoken.types import Hex32
from examples.mvp1_banks.assets import JOINT_MODEL
from examples.mvp1_banks.consent import ONE_MISSING, OUTSIDE_TERMS
from examples.mvp1_banks.story import SHARE, Story
from examples.support.mpc.assets import MAX_EPOCHS
from examples.support.mpc.requests import part_of, send, sign, wait
from examples.support.report import Refusal

REPLAYED = "the request of the finished run, sent again"
FORGED = "a request that bank B has signed, not the algorithm's owner"
PAUSED = "a job that its guarantor has paused"
SWAPPED = "the bundle in the store is swapped after the grants"
REVOKED = "bank A revokes between two epochs"
AFTER = "a new run after the revocation"
EXPECTED: dict[str, frozenset[str]] = {
    OUTSIDE_TERMS: frozenset({Reason.PURPOSE_NOT_ACCEPTED}),
    ONE_MISSING: frozenset({"MISSING_GRANT"}),
    REPLAYED: frozenset({Reason.REQUEST_REPLAYED}),
    FORGED: frozenset({Reason.REQUEST_SIGNATURE}),
    PAUSED: frozenset({Reason.JOB_NOT_OPEN}),
    SWAPPED: frozenset({Reason.OPERATION_MISMATCH}),
    # A's gate says the first, the others' gates the second: whoever looks first stops the run.
    REVOKED: frozenset({Reason.GRANT_REVOKED, Reason.TOO_FEW_PARTICIPANTS}),
    AFTER: frozenset({Reason.GRANT_REVOKED}),
}
LINES: Mapping[str, tuple[int, ...]] = {
    OUTSIDE_TERMS: (42, 59, 60),
    ONE_MISSING: (45, 48, 60),
    REPLAYED: (64, 112),
    FORGED: (64, 112),
    PAUSED: (44, 64),
    SWAPPED: (65, 103),
    REVOKED: (64, 104, 105),
    AFTER: (44, 64),
}
"""What each refusal shows, as lines of docs/acceptance.md."""

STARTED = 180.0


def refuse_all(story: Story, finished: SignedRequest) -> list[Refusal]:
    """Try everything, one after the other; `finished` is the request of an honest run."""
    return [
        replayed(story, finished),
        forged(story),
        paused(story),
        *swapped(story),
        revoked(story),
        after(story),
    ]


def replayed(story: Story, finished: SignedRequest) -> Refusal:
    """Send the request of a finished run once more."""
    return _refused(story, REPLAYED, finished)


def forged(story: Story) -> Refusal:
    """Send a request that somebody else has signed."""
    request = sign(story.world, story.jobs[JOINT_MODEL], story.parameters(), signer="B")
    return _refused(story, FORGED, request)


def paused(story: Story) -> Refusal:
    """Send an honest request for a job that is paused."""
    request = sign(story.world, story.jobs[JOINT_MODEL], story.parameters())
    with story.world.institution("C") as guarantor:
        guarantor.pause(story.jobs[JOINT_MODEL])
        try:
            return _refused(story, PAUSED, request)
        finally:
            guarantor.reopen(story.jobs[JOINT_MODEL])


def swapped(story: Story, operation: str = SHARE) -> list[Refusal]:
    """Swap the bytes of a granted operation in the store, and send an honest request.

    In a folder only: what a node of IPFS holds is not for a demo to break.
    """
    world = story.world
    if story.options.store is not None:
        story.tell("Left out: the store is a node of its own, its blocks are not swapped.")
        return []
    site = world.site(world.accounts["C"])
    record = site.contracts.operations.operation(world.operations[operation])
    request = sign(world, story.jobs[JOINT_MODEL], story.parameters())
    honest = site.store.get(record.bundle, 2**20)
    with _other_bytes(Path(world.store), record.bundle, honest):
        return [_refused(story, SWAPPED, request)]


@contextmanager
def _other_bytes(store: Path, digest: Hex32, honest: bytes) -> Iterator[None]:
    """Put other bytes of the same length into every file of the store that holds a block."""
    files = [p for p in store.rglob("*.data") if p.stat().st_size == len(honest)]
    files = [path for path in files if path.read_bytes() == honest]
    if not files:
        raise RunFailedError(f"Block {digest[:10]}… is not in the store's folder.")
    for path in files:
        mode = path.stat().st_mode
        path.chmod(0o600)
        path.write_bytes(honest[:-1] + bytes([honest[-1] ^ 1]))
        path.chmod(mode)
    try:
        yield
    finally:
        for path in files:
            path.chmod(0o600)
            path.write_bytes(honest)


def revoked(story: Story) -> Refusal:
    """Have bank A revoke while an epoch runs: nobody starts the next one but one."""
    world = story.world
    request = sign(world, story.jobs[JOINT_MODEL], story.parameters(MAX_EPOCHS))
    send(world, request)
    run = run_id(request.digest())
    _wait_until(lambda: _stage(story, run) >= 1, "the first epoch")
    with world.owner("A") as owner:
        owner.revoke(world.dts["A-data"], world.dts[JOINT_MODEL])
    story.tell("Bank A revokes the grant of its table.")
    ended = wait(world, request)
    story.tell(f"{len(ended)} parties have ended, at stage {max(p.stage for p in ended.values())}.")
    return _as_refusal(story, REVOKED, {asset: p.reason for asset, p in ended.items()})


def after(story: Story) -> Refusal:
    """Send a new request while the grant is revoked."""
    request = sign(story.world, story.jobs[JOINT_MODEL], story.parameters())
    return _refused(story, AFTER, request)


def unexpected(refusals: Sequence[Refusal]) -> list[str]:
    """Return a clause for each refusal that has another reason than the one it must have."""
    return [
        f"{refusal.case} ({refusal.by}): {refusal.code or 'not refused'}"
        for refusal in refusals
        if refusal.code not in EXPECTED.get(refusal.case, frozenset())
    ]


def with_lines(refusals: Sequence[Refusal]) -> list[Refusal]:
    """Return refusals with the acceptance lines that they show."""
    return [replace(refusal, lines=LINES[refusal.case]) for refusal in refusals]


def _refused(story: Story, case: str, request: SignedRequest) -> Refusal:
    """Send a request everywhere and return who refused it; all must, or stop with them."""
    answers = send(story.world, request)
    if not all(answers.values()):
        ended = wait(story.world, request)
        answers |= {asset: party.reason for asset, party in ended.items() if not answers[asset]}
    return _as_refusal(story, case, answers)


def _as_refusal(story: Story, case: str, answers: dict[str, str]) -> Refusal:
    codes = sorted(set(answers.values()))
    by = f"{len(answers)} assets' gates" if len(codes) == 1 else ", ".join(answers)
    sentence = ", ".join(f"{asset}: {code or 'not refused'}" for asset, code in answers.items())
    story.tell(f"{case}: {sentence}")
    own = [code for code in codes if code in EXPECTED[case]]
    return Refusal(case, by, own[0] if own and "" not in codes else codes[-1], sentence)


def _stage(story: Story, run: str) -> int:
    party = part_of(story.world, "A-data", run)
    if party is not None and party.state.final:
        raise RunFailedError(f"The run ended too early: {party.reason} {party.sentence}")
    return party.stage if party is not None else 0


def _wait_until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + STARTED
    while not ready():
        if time.monotonic() > deadline:
            raise RunFailedError(f"The run did not come to {what} within {STARTED:.0f} s.")
        time.sleep(0.1)
