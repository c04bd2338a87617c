"""Which job a FAB belongs to: from chain, asset and bytes, a name being a hint only."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.types import Hex32, sha256_hex
from fl_edge.supernode.authority import ChainAuthority, Installed
from fl_edge.supernode.jobs import OpenJobs, job_id
from fl_edge.supernode.runs import Hints
from tests.fl_edge.supernode.parts import fab_of
from tests.support.chain import Chain

ONE, TWO, THREE = (sha256_hex(name) for name in (b"1", b"2", b"3"))
FAB, OTHER = fab_of(), fab_of(config="epochs = 2")


@dataclass
class Owner:
    """What jobs let run at the asset: a foreign app each."""

    runs: dict[Hex32, bytes]
    broken: dict[Hex32, Reason] = field(default_factory=dict)
    fetched: int = 0

    def work(self, job: Hex32) -> list[SimpleNamespace]:
        if job in self.broken:
            raise Refused(self.broken[job], "no")
        document = SimpleNamespace(kind="app", bundle=sha256_hex(self.runs[job]))
        return [SimpleNamespace(document=document, server=None, bytes=self.runs[job])]

    def bundle(self, document: SimpleNamespace) -> bytes:
        self.fetched += 1
        return next(b for b in self.runs.values() if sha256_hex(b) == document.bundle)

    def authority(self) -> ChainAuthority:
        return ChainAuthority(self, lambda: list(self.runs))  # type: ignore[arg-type]


def reason(authority: ChainAuthority, artefact: Hex32, job: Hex32 | None = None) -> Reason:
    with pytest.raises(Refused) as caught:
        authority.resolve(artefact, Hints(job))
    return caught.value.reason


def test_the_job_follows_from_the_bytes() -> None:
    """An unchanged app names no job: the one that runs its bytes here is it. Acceptance: 104."""
    owner = Owner({ONE: OTHER, TWO: FAB})
    authority = owner.authority()
    assert authority.resolve(sha256_hex(FAB), Hints()).job == TWO
    authority.resolve(sha256_hex(FAB), Hints())
    assert owner.fetched == 2, "registered bundles never change: they are fetched once"


def test_an_app_that_was_changed_by_one_byte() -> None:
    """Acceptance: 102, 103."""
    assert reason(Owner({ONE: OTHER}).authority(), sha256_hex(FAB)) is Reason.OPERATION_MISMATCH


def test_two_jobs_that_run_the_same_app_need_a_name() -> None:
    authority = Owner({ONE: FAB, TWO: FAB}).authority()
    assert reason(authority, sha256_hex(FAB)) is Reason.JOB_AMBIGUOUS
    assert authority.resolve(sha256_hex(FAB), Hints(TWO)).job == TWO


def test_job_named_by_another_makers_superlink() -> None:
    """A job that runs other bytes here is refused, however it is named. Acceptance: 104."""
    authority = Owner({ONE: FAB, TWO: OTHER}).authority()
    assert reason(authority, sha256_hex(FAB), TWO) is Reason.OPERATION_MISMATCH


def test_jobs_of_others_are_passed_over() -> None:
    owner = Owner({ONE: FAB, TWO: FAB, THREE: FAB})
    owner.broken = {ONE: Reason.NOT_IN_JOB, THREE: Reason.DOCUMENT_MISSING}
    assert owner.authority().resolve(sha256_hex(FAB), Hints()).job == TWO


def test_chain_out_of_reach_is_no_mismatch() -> None:
    """Acceptance: 111."""
    owner = Owner({ONE: FAB}, {ONE: Reason.CHAIN_UNREACHABLE})
    assert reason(owner.authority(), sha256_hex(FAB)) is Reason.CHAIN_UNREACHABLE


def test_installed_versions_are_looked_up_when_asked_for() -> None:
    """Acceptance: 103."""
    installed = Installed()
    assert installed["flwr"].startswith("1.4")
    assert installed.get("no-such-distribution") is None
    assert "flwr" in set(installed)


def test_open_jobs_are_counted_off_the_chain(chain: Chain) -> None:
    """Real chain: job ids follow from a running number; closed and paused ones are left out."""
    jobs = [chain.simple_job()[0] for _ in range(4)]
    listed = OpenJobs(chain.reader())
    assert listed()[:4] == jobs[::-1]
    chain.b.send(chain.contracts.market.close(jobs[1]))
    chain.b.send(chain.contracts.market.pause(jobs[2]))
    newer = chain.simple_job()[0]
    assert listed()[:3] == [newer, jobs[3], jobs[0]]
    chain.b.send(chain.contracts.market.reopen(jobs[2]))
    assert listed()[:4] == [newer, jobs[3], jobs[2], jobs[0]]
    numbers = range(1, 500)
    assert jobs[0] in [job_id(chain.network, number) for number in numbers]


def test_only_the_newest_jobs_are_searched(chain: Chain) -> None:
    jobs = [chain.simple_job()[0] for _ in range(3)]
    assert OpenJobs(chain.reader(), most=2)() == [jobs[2], jobs[1]]
