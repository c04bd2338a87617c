"""One typed class per contract: reads answer at once, writes give a `Transaction` to send.

    tokens = DataTokenRegistry(rpc, deployment.tokens)
    receipt = sender.send(tokens.grant(child, parent, expiry=0, max_rounds=10))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from eth_utils.crypto import keccak

from datatoken.authorization.view import Grant, Network, OperationRecord, Record
from datatoken.chain.abi import from_hex, to_hex, word32
from datatoken.chain.artifacts import Artifact, load_artifact
from datatoken.chain.errors import from_rpc_error
from datatoken.chain.intents import Transaction
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.types import ZERO32, Address, AssetKind, Hex32, OperationKind

if TYPE_CHECKING:
    from datatoken.chain.deployment import Deployment

VIEW_GAS = 50_000_000
HEAD_BYTES = 28


def children_hash(children: Sequence[Hex32]) -> Hex32:
    """Return the hash of an ordered list of children; `ZERO32` for none."""
    if not children:
        return ZERO32
    return to_hex(keccak(b"".join(word32(child) for child in children)))


class Contract:
    """Base: encodes calls from the compiled interface.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    address : Address
        Where the contract is.
    """

    artifact_name: ClassVar[str]

    def __init__(self, rpc: Rpc, address: Address) -> None:
        self.rpc = rpc
        self.address = address

    @property
    def artifact(self) -> Artifact:
        """Compiled contract."""
        return load_artifact(self.artifact_name)

    def _write(self, function: str, *arguments: object) -> Transaction:
        entry = self.artifact.functions[function]
        data = entry.selector + entry.encode(*arguments)
        return Transaction(self.address, data, f"{self.artifact_name}.{function}")

    def _read(self, function: str, *arguments: object, block: str = "latest") -> Any:  # noqa: ANN401
        """Call a view function; one output is returned bare, several as a tuple."""
        entry = self.artifact.functions[function]
        data = entry.selector + entry.encode(*arguments)
        try:
            answer = self.rpc.eth_call(self.address, data, block=block, gas=VIEW_GAS)
        except RpcError as error:
            if error.data or error.reverted:
                raise from_rpc_error(error) from error
            raise
        values = entry.decode_output(answer)
        return values[0] if len(values) == 1 else values

    def counter(self) -> int:
        """Return the counter of reductions of permissions."""
        return int(self._read("counter"))


class _Administered(Contract):
    """A contract with an administrator (two-step ownership)."""

    def administrator(self) -> Address:
        """Return the administrator's account."""
        return str(self._read("owner"))

    def transfer_ownership(self, successor: Address) -> Transaction:
        """Name a successor, who becomes administrator by `accept_ownership`."""
        return self._write("transferOwnership", successor)

    def accept_ownership(self) -> Transaction:
        """Accept to be the administrator."""
        return self._write("acceptOwnership")


class InstitutionRegistry(_Administered):
    """Institutions and the users that they enrol."""

    artifact_name = "InstitutionRegistry"

    def add_institution(self, account: Address, name: str) -> Transaction:
        """Add an institution (administrator)."""
        return self._write("addInstitution", account, name)

    def remove_institution(self, account: Address) -> Transaction:
        """Remove an institution, and with it the standing of its users (administrator)."""
        return self._write("removeInstitution", account)

    def enrol_user(self, user: Address) -> Transaction:
        """Enrol a user (institution)."""
        return self._write("enrolUser", user)

    def enrol_users(self, users: Sequence[Address]) -> Transaction:
        """Enrol several users (institution)."""
        return self._write("enrolUsers", list(users))

    def remove_user(self, user: Address) -> Transaction:
        """Remove a user (the institution that enrolled it)."""
        return self._write("removeUser", user)

    def remove_users(self, users: Sequence[Address]) -> Transaction:
        """Remove several users (the institution that enrolled them)."""
        return self._write("removeUsers", list(users))

    def institution(self, account: Address) -> tuple[str, bool]:
        """Return the name of an institution and whether it is active."""
        name, active = self._read("institution", account)
        return str(name), bool(active)

    def is_institution(self, account: Address) -> bool:
        """Tell whether an account is an active institution."""
        return bool(self._read("isInstitution", account))

    def enroller(self, user: Address) -> Address:
        """Return the institution that enrolled a user, or the zero address."""
        return str(self._read("enroller", user))

    def is_participant(self, account: Address) -> bool:
        """Tell whether an account may mint: an active institution or a user of one."""
        return bool(self._read("isParticipant", account))


class OperationRegistry(_Administered):
    """Trusted operations, immutable once registered."""

    artifact_name = "OperationRegistry"

    def register(
        self,
        bundle: Hex32,
        metadata: Hex32,
        kind: OperationKind,
        name: str,
        entry_point: str,
    ) -> Transaction:
        """Register an operation by the digests of its bundle and its document (administrator)."""
        return self._write(
            "register", word32(bundle), word32(metadata), int(kind), name, entry_point
        )

    def retire(self, operation: Hex32) -> Transaction:
        """Retire an operation for good (administrator)."""
        return self._write("retire", word32(operation))

    def operation(self, operation: Hex32) -> OperationRecord:
        """Return an operation's record; `exists` is false when there is none."""
        bundle, metadata, publisher, kind, retired, _ = self._read("operation", word32(operation))
        return OperationRecord(
            bundle=to_hex(bundle),
            metadata=to_hex(metadata),
            publisher=publisher,
            kind=kind,
            retired=retired,
        )


def _record(values: Sequence[Any]) -> Record:
    owner, kind, children, minted_at, salt, proof, ddo = values
    return Record(owner, kind, children, minted_at, salt, to_hex(proof), to_hex(ddo))


class DataTokenRegistry(Contract):
    """Data tokens and the grants between them."""

    artifact_name = "DataTokenRegistry"

    def mint(
        self,
        kind: AssetKind,
        proof: Hex32,
        ddo: Hex32,
        children: Sequence[Hex32] = (),
        salt: int = 0,
    ) -> Transaction:
        """Mint a DT; the sender owns it."""
        fields = (word32(proof), word32(ddo), word32(children_hash(children)))
        return self._write("mint", int(kind), *fields, len(children), salt)

    def mint_by_sig(
        self,
        owner: Address,
        kind: AssetKind,
        proof: Hex32,
        ddo: Hex32,
        signature: str,
        deadline: int,
        children: Sequence[Hex32] = (),
        salt: int = 0,
    ) -> Transaction:
        """Mint a DT for an owner who signed `typed_data.mint` (anyone may send it)."""
        fields = (word32(proof), word32(ddo), word32(children_hash(children)))
        tail = (len(children), salt, deadline, bytes.fromhex(signature[2:]))
        return self._write("mintBySig", owner, int(kind), *fields, *tail)

    def grant(
        self, child: Hex32, parent: Hex32, expiry: int = 0, max_rounds: int = 0
    ) -> Transaction:
        """Grant `child` to `parent`; 0 means no expiry, no limit (owner of the child)."""
        return self._write("grant", word32(child), word32(parent), expiry, max_rounds)

    def grant_many(
        self, children: Sequence[Hex32], parent: Hex32, expiry: int = 0, max_rounds: int = 0
    ) -> Transaction:
        """Grant several own DTs to one parent."""
        words = [word32(child) for child in children]
        return self._write("grantMany", words, word32(parent), expiry, max_rounds)

    def grant_by_sig(
        self,
        child: Hex32,
        parent: Hex32,
        expiry: int,
        max_rounds: int,
        epoch: int,
        deadline: int,
        signature: str,
    ) -> Transaction:
        """Send a grant that the child's owner signed (`typed_data.grant`)."""
        ids = (word32(child), word32(parent))
        tail = (expiry, max_rounds, epoch, deadline, bytes.fromhex(signature[2:]))
        return self._write("grantBySig", *ids, *tail)

    def revoke(self, child: Hex32, parent: Hex32) -> Transaction:
        """Revoke a grant, or every signed one that has not arrived (owner of the child)."""
        return self._write("revoke", word32(child), word32(parent))

    def revoke_many(self, children: Sequence[Hex32], parent: Hex32) -> Transaction:
        """Revoke several grants to one parent."""
        return self._write("revokeMany", [word32(child) for child in children], word32(parent))

    def revoke_by_sig(
        self, child: Hex32, parent: Hex32, epoch: int, deadline: int, signature: str
    ) -> Transaction:
        """Send a revocation that the child's owner signed (`typed_data.revoke`)."""
        signed = bytes.fromhex(signature[2:])
        return self._write("revokeBySig", word32(child), word32(parent), epoch, deadline, signed)

    def dt_of(
        self, owner: Address, proof: Hex32, children: Sequence[Hex32] = (), salt: int = 0
    ) -> Hex32:
        """Return the id that a DT would have."""
        hashed = word32(children_hash(children))
        return to_hex(self._read("dtOf", owner, word32(proof), hashed, salt))

    def token(self, dt: Hex32) -> Record:
        """Return a DT's record: owner, kind, proof and the digest of its DDO."""
        return _record(self._read("token", word32(dt)))

    def tokens(self, dts: Sequence[Hex32]) -> tuple[Record, ...]:
        """Return several records."""
        found = self._read("tokens", [word32(dt) for dt in dts])
        return tuple(_record(values) for values in found)

    def grant_of(self, parent: Hex32, child: Hex32) -> Grant:
        """Return the grant slot of (parent, child)."""
        return Grant.from_word(self._read("grantWord", word32(parent), word32(child)))

    def grants_of(self, edges: Sequence[tuple[Hex32, Hex32]]) -> tuple[Grant, ...]:
        """Return the grant slots of pairs (parent, child)."""
        parents = [word32(parent) for parent, _ in edges]
        children = [word32(child) for _, child in edges]
        return tuple(map(Grant.from_word, self._read("grantWords", parents, children)))

    def check_closure(self, top: Hex32, below: Sequence[Hex32]) -> None:
        """Raise what posting `top` would revert with, if anything."""
        self._read("checkClosure", word32(top), [word32(dt) for dt in below])


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the market. Status: 0 none, 1 open, 2 closed."""

    owner: Address
    status: int
    created_at: int
    description: Hex32


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the market stores it. Status as in `JobStatus`."""

    guarantor: Address
    task: int
    status: int
    recorder: Address
    posted_at: int
    algorithm: Hex32


class TaskMarket(Contract):
    """Tasks, and the jobs that institutions post under them."""

    artifact_name = "TaskMarket"

    def create_task(self, description: Hex32 = ZERO32) -> Transaction:
        """Create a task; its id is in the event `TaskCreated`."""
        return self._write("createTask", word32(description))

    def close_task(self, task: int) -> Transaction:
        """Close a task (its owner)."""
        return self._write("closeTask", task)

    def name_guarantor(
        self, algorithm: Hex32, guarantor: Address, *, named: bool = True
    ) -> Transaction:
        """Let an institution post one's algorithm, or no longer (the algorithm's owner)."""
        return self._write("nameGuarantor", word32(algorithm), guarantor, named)

    def post_job(
        self, task: int, algorithm: Hex32, recorder: Address, below: Sequence[Hex32]
    ) -> Transaction:
        """Post an algorithm DT as a job (guarantor).

        Parameters
        ----------
        task : int
            Open task.
        algorithm : Hex32
            Algorithm DT.
        recorder : Address
            Account that logs the rounds.
        below : Sequence[Hex32]
            All DTs below: a node's children, then each composite child's block, in order.
        """
        words = [word32(dt) for dt in below]
        return self._write("postJob", task, word32(algorithm), recorder, words)

    def announce(self, job: Hex32, composite: Hex32, request: Hex32) -> Transaction:
        """Announce a compute request to those below a composite (its owner)."""
        return self._write("announce", word32(job), word32(composite), word32(request))

    def pause(self, job: Hex32) -> Transaction:
        """Pause a job (guarantor)."""
        return self._write("pause", word32(job))

    def reopen(self, job: Hex32) -> Transaction:
        """Reopen a paused job (guarantor)."""
        return self._write("reopen", word32(job))

    def close(self, job: Hex32) -> Transaction:
        """Close a job for good (guarantor or the algorithm's owner)."""
        return self._write("close", word32(job))

    def task(self, task: int) -> Task:
        """Return a task."""
        owner, status, created_at, description = self._read("task", task)
        return Task(owner, status, created_at, to_hex(description))

    def job(self, job: Hex32) -> JobRecord:
        """Return a job's record."""
        *fields, algorithm = self._read("job", word32(job))
        return JobRecord(*fields, algorithm=to_hex(algorithm))

    def is_named(self, algorithm: Hex32, guarantor: Address) -> bool:
        """Tell whether the algorithm's owner named this guarantor."""
        return bool(self._read("isNamed", word32(algorithm), guarantor))

    def announcement(self, job: Hex32, composite: Hex32) -> Hex32:
        """Return the digest of the announced compute request, or `ZERO32`."""
        return to_hex(self._read("announcements", word32(job), word32(composite)))


class RoundLog(Contract):
    """The hash chain of rounds, one head for each (job, sender)."""

    artifact_name = "RoundLog"

    def append(self, job: Hex32, previous: str, document: Hex32) -> Transaction:
        """Append a round document's digest to the head `previous` (bytes28)."""
        head = from_hex(previous, HEAD_BYTES)
        return self._write("append", word32(job), head, word32(document))

    def head(self, job: Hex32, sender: Address) -> tuple[str, int]:
        """Return head and round number of a sender's log of a job."""
        head, number = self._read("head", word32(job), sender)
        return to_hex(head), int(number)


class AuthorizationView(Contract):
    """The bulk reads of gates; `datatoken.chain.reader.ChainReader` decodes them faster."""

    artifact_name = "AuthorizationView"

    def check(self, job: Hex32) -> tuple[int, int, bytes, int, int, int]:
        """Return (counter, status, head, round, block number, time)."""
        counter, status, head, number, block, time = self._read("check", word32(job))
        return counter, status, head, number, block, time

    def snapshot(
        self,
        job: Hex32,
        dts: Sequence[Hex32],
        parents: Sequence[Hex32],
        operations: Sequence[Hex32],
    ) -> tuple[Any, ...]:
        """Return the raw struct `Snapshot`."""
        lists = [[word32(word) for word in words] for words in (dts, parents, operations)]
        values: tuple[Any, ...] = self._read("snapshot", word32(job), *lists)
        return values

    def wiring(self) -> tuple[Address, ...]:
        """Return the five contracts that the view reads, in the order of `Network`."""
        names = ("institutions", "operations", "tokens", "market", "log")
        return tuple(str(self._read(name)) for name in names)


@dataclass(frozen=True, slots=True)
class Contracts:
    """The six contracts of a deployment."""

    institutions: InstitutionRegistry
    operations: OperationRegistry
    tokens: DataTokenRegistry
    market: TaskMarket
    log: RoundLog
    view: AuthorizationView

    @classmethod
    def at(cls, rpc: Rpc, network: "Network | Deployment") -> "Contracts":
        """Return the contracts that a network or deployment names."""
        return cls(
            institutions=InstitutionRegistry(rpc, network.institutions),
            operations=OperationRegistry(rpc, network.operations),
            tokens=DataTokenRegistry(rpc, network.tokens),
            market=TaskMarket(rpc, network.market),
            log=RoundLog(rpc, network.log),
            view=AuthorizationView(rpc, network.view),
        )
