"""Tasks and jobs: what a consumer asks for, and what an institution vouches for."""

from typing import Annotated

from pydantic import StringConstraints

from datatoken.authorization.decision import recorder_of
from datatoken.authorization.request import SignedRequest
from datatoken.authorization.tree import VerifiedTree
from datatoken.chain.events import JobPosted, TaskCreated
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import BadInputError
from datatoken.roles.account import Account
from datatoken.roles.providers import sign_request
from datatoken.types import Address, Hex32, JobStatus, Model, Scalar

TASK_OPEN = 1
MAX_TASK_BYTES = 64 * 1024


class TaskDescription(Model):
    """What a task is for, as stored; a task can hold several jobs, one for each stage."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    description: Annotated[str, StringConstraints(max_length=4096)] = ""


def create_task(account: Account, description: TaskDescription) -> int:
    """Create a task and return its number.

    Repeating is safe: an open task of this account with the same description is returned.
    """
    site = account.site
    digest = site.store.put(canonical_bytes(description))
    for event in site.events.history(TaskCreated, owner=account.address):
        if (
            isinstance(event, TaskCreated)
            and event.description == digest
            and site.contracts.market.task(event.id).status == TASK_OPEN
        ):
            return event.id
    receipt = account.send(site.contracts.market.create_task(digest))
    return receipt.event(TaskCreated).id


def close_task(account: Account, task: int) -> None:
    """Close a task, and with it what its jobs may run. Repeating is safe."""
    status = account.site.contracts.market.task(task).status
    if status == 0:
        raise BadInputError(f"There is no task {task}.", "List them: datatoken task list.")
    if status == TASK_OPEN:
        account.send(account.site.contracts.market.close_task(task))


def post_job(
    account: Account, task: int, algorithm: Hex32, recorder: Address | None = None
) -> Hex32:
    """Post an algorithm DT as a job; see `Institution.post_job`."""
    site = account.site
    recorder = _recorder(site.documents.tree(algorithm), recorder)
    for event in site.events.history(JobPosted, algorithm=algorithm):
        if (
            isinstance(event, JobPosted)
            and (event.guarantor, event.task) == (account.address, task)
            and event.recorder == recorder
            and site.reader.job(event.job).status is not JobStatus.CLOSED
        ):
            return event.job
    below = site.documents.below(algorithm)
    receipt = account.send(site.contracts.market.post_job(task, algorithm, recorder, below))
    return receipt.event(JobPosted).job


def _recorder(tree: VerifiedTree, given: Address | None) -> Address:
    """Return the recorder of a posting: every gate below must find the one that it expects."""
    named: set[Address] = set()
    composites = {dt for dt, ddo in tree.ddos.items() if ddo.children}
    for parent in composites:
        if composites.issuperset(tree.ddos[parent].children):
            continue  # no leaf hangs here
        for path in tree.paths(parent):
            found = recorder_of(tree.ddos, path)
            named |= {found.account} if found else set()
    if len(named) != 1:
        raise BadInputError(
            f"The documents of {tree.algorithm[:10]}… name {len(named)} recorders; "
            "a job has exactly one.",
            "Name the same recorder in extra_params of every composite, or of the algorithm alone.",
        )
    recorder = named.pop()
    if given is not None and given != recorder:
        raise BadInputError(
            f"The documents name the recorder {recorder}, not {given}.",
            "Leave it out: the gates accept no other one.",
        )
    return recorder


class DataConsumer(Account):
    """Requests computation: creates tasks and signs compute requests for its jobs."""

    def create_task(self, title: str, description: str = "") -> int:
        """Create a task and return its number; repeating is safe."""
        return create_task(self, TaskDescription(title=title, description=description))

    def close_task(self, task: int) -> None:
        """Close an own task; repeating is safe."""
        close_task(self, task)

    def sign_request(
        self,
        job: Hex32,
        artefact: Hex32,
        parameters: dict[str, Scalar],
        *,
        audience: Hex32 | None = None,
        deadline: int | None = None,
    ) -> SignedRequest:
        """Sign a compute request as the algorithm's owner; see `providers.sign_request`."""
        return sign_request(self, job, artefact, parameters, audience=audience, deadline=deadline)
