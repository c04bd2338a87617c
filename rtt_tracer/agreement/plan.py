"""The plan of an MPC run: who does what, derived from verified documents and one request.

Every party derives it by itself. What it can't derive, where the others are reached and what
they run it with, comes from their introductions; `Plan.agreed` covers both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from datatoken.authorization.parties import mpc_parties
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import (
    SignedRequest,
    mpc_artefact,
    parameters_digest,
    run_id,
)
from datatoken.authorization.tree import VerifiedTree
from datatoken.authorization.view import Record
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ddo.operation import OperationDocument
from datatoken.errors import BadInputError
from datatoken.types import Address, AssetKind, Hex32, MessageKind, Scalar, sha256_hex
from rtt_tracer.agreement.introductions import SignedIntroduction
from rtt_tracer.agreement.joining import check_introductions
from rtt_tracer.agreement.protocols import check_protocol
from rtt_tracer.engines.base import Role

DOMAIN = b"datatoken/agreement/1\n"
MAX_PARTIES = 16
REQUESTER = "requester"


@dataclass(frozen=True, slots=True)
class Participant:
    """One party of a run.

    Attributes
    ----------
    operation, bundle : Hex32
        What the workflows give to it, and the digest of that operation's bytes.
    rank : int or None
        Among the linked parties.
    input : int or None
        Among the parties that read a table; operations address inputs by it.
    """

    dt: Hex32
    owner: Address
    operation: Hex32
    bundle: Hex32
    role: Role
    entry_point: str
    rank: int | None = None
    input: int | None = None


@dataclass(frozen=True)
class Plan:
    """What all parties of a run must see alike.

    Attributes
    ----------
    requester : Address
        The algorithm's owner.
    artefact : Hex32
        What the compute request names as operation.
    protocol : str
        Of the engine's link; empty where parties are not linked.
    participants : tuple of Participant
        Depth first in the tree, in the order of the algorithm's children.
    receivers : tuple of str
        Who the results are opened to: ``requester``, or participants' DTs.
    """

    job: Hex32
    request: Hex32
    algorithm: Hex32
    requester: Address
    artefact: Hex32
    parameters: Mapping[str, Scalar]
    kind: MessageKind
    protocol: str
    participants: tuple[Participant, ...]
    receivers: tuple[str, ...]

    @property
    def run(self) -> str:
        """The run's id."""
        return run_id(self.request)

    @property
    def dts(self) -> tuple[Hex32, ...]:
        """The participants' DTs."""
        return tuple(one.dt for one in self.participants)

    @property
    def linked(self) -> tuple[Participant, ...]:
        """The participants whose engines talk to each other, by rank."""
        return tuple(one for one in self.participants if one.rank is not None)

    @property
    def inputs(self) -> tuple[Participant, ...]:
        """The participants that read a table, by input."""
        return tuple(one for one in self.participants if one.input is not None)

    def of(self, dt: Hex32) -> Participant:
        """Return a participant; raise `Refused` (NOT_IN_JOB) when there is none."""
        for one in self.participants:
            if one.dt == dt:
                return one
        raise Refused(Reason.NOT_IN_JOB, f"DT {dt[:10]}… takes no part in the run.")

    def agreed(self, introductions: Mapping[Hex32, SignedIntroduction]) -> Hex32:
        """Return the agreed hash: equal at all parties, or nothing starts.

        Parameters
        ----------
        introductions : mapping of Hex32 to SignedIntroduction
            One of every participant; signatures are checked elsewhere
            (`rtt_tracer.agreement.joining.known`).

        Raises
        ------
        Refused
            PARTY_MISSING, AGREEMENT_MISMATCH or ALIGNMENT_MISMATCH.
        """
        check_introductions(self, introductions)
        body = {
            "job": self.job,
            "request": self.request,
            "algorithm": self.algorithm,
            "artefact": self.artefact,
            "parameters": parameters_digest(self.parameters),
            "kind": self.kind.value,
            "protocol": self.protocol,
            "receivers": list(self.receivers),
            "participants": [
                {
                    "dt": one.dt,
                    "operation": one.operation,
                    "bundle": one.bundle,
                    "role": one.role.value,
                    "rank": -1 if one.rank is None else one.rank,
                    "input": -1 if one.input is None else one.input,
                    "introduction": introductions[one.dt].introduction.digest(),
                }
                for one in self.participants
            ],
        }
        return sha256_hex(DOMAIN + canonical_bytes(body))


def make_plan(
    tree: VerifiedTree,
    operations: Mapping[Hex32, OperationDocument],
    records: Mapping[Hex32, Record],
    signed: SignedRequest,
    parameters: Mapping[str, Scalar],
) -> Plan:
    """Derive the plan of a run.

    Parameters
    ----------
    tree : VerifiedTree
        Of the job's algorithm.
    operations : mapping of Hex32 to OperationDocument
        Verified documents of the operations that its workflows name.
    records : mapping of Hex32 to Record
        On-chain records of its DTs.
    signed : SignedRequest
    parameters : mapping
        The effective run configuration, whose digest the request names.

    Raises
    ------
    Refused
        REQUEST_MISMATCH, OPERATION_MISMATCH, MESSAGE_KIND_NOT_ANSWERED, NOT_IN_JOB,
        PROTOCOL_INSECURE.
    BadInputError
        When protocol, number of parties or receivers do not go together.
    """
    mpc = {id: found for id, found in operations.items() if found.kind == "mpc"}
    if missing := [id for id in tree.operations() if id not in operations]:
        raise Refused(
            Reason.OPERATION_NOT_REGISTERED, f"Operation {missing[0][:10]}… is not registered."
        )
    participants = _participants(tree, mpc, records)
    request, digest = signed.request, signed.digest()
    artefact = mpc_artefact(mpc[id].bundle for id in tree.operations() if id in mpc)
    if (request.operation, request.parameters) != (artefact, parameters_digest(parameters)):
        raise Refused(
            Reason.REQUEST_MISMATCH, "The compute request names other operations or parameters."
        )
    roles = [one.role for one in participants]
    return Plan(
        job=request.job,
        request=digest,
        algorithm=tree.algorithm,
        requester=records[tree.algorithm].owner,
        artefact=artefact,
        parameters=dict(parameters),
        kind=_kind(mpc[one.operation] for one in participants),
        protocol=check_protocol(roles, parameters),
        participants=participants,
        receivers=_receivers(tree, participants, parameters),
    )


def _participants(
    tree: VerifiedTree,
    mpc: Mapping[Hex32, OperationDocument],
    records: Mapping[Hex32, Record],
) -> tuple[Participant, ...]:
    given = mpc_parties(tree, mpc)
    if not 1 <= len(given) <= MAX_PARTIES:
        raise Refused(
            Reason.NOT_IN_JOB,
            f"The workflows give MPC operations to {len(given)} DTs; 1 to {MAX_PARTIES} can run.",
        )
    found: list[Participant] = []
    ranks = inputs = 0
    for dt, ids in given.items():
        if len(ids) > 1:
            raise Refused(
                Reason.OPERATION_MISMATCH,
                f"The workflows give {len(ids)} operations to DT {dt[:10]}…; a run takes one.",
            )
        role, entry_point = _role(mpc[ids[0]])
        # A Rosetta party may have no rows of its own: then its DT is a compute's.
        reads = role.private and (role is not Role.ROSETTA or records[dt].kind == AssetKind.DATA)
        found.append(
            Participant(
                dt=dt,
                owner=records[dt].owner,
                operation=ids[0],
                bundle=mpc[ids[0]].bundle,
                role=role,
                entry_point=entry_point,
                rank=ranks if role.linked else None,
                input=inputs if reads else None,
            )
        )
        ranks, inputs = ranks + role.linked, inputs + reads
    return tuple(found)


def _role(document: OperationDocument) -> tuple[Role, str]:
    known = {role.value for role in Role}
    if len(document.entry_points) != 1 or not document.entry_points.keys() <= known:
        raise Refused(
            Reason.OPERATION_MISMATCH,
            f"Operation {document.name} must have one entry point, named after its role.",
        )
    [(role, entry_point)] = document.entry_points.items()
    return Role(role), entry_point


def _kind(documents: Iterable[OperationDocument]) -> MessageKind:
    answered = [set(document.messages) for document in documents]
    for kind in MessageKind:
        if all(kind in messages for messages in answered):
            return kind
    raise Refused(
        Reason.MESSAGE_KIND_NOT_ANSWERED, "There is no message kind that all operations answer."
    )


def _receivers(
    tree: VerifiedTree, participants: tuple[Participant, ...], parameters: Mapping[str, Scalar]
) -> tuple[str, ...]:
    """Resolve ``requester`` and indices of the algorithm's children into names and DTs."""
    children = tree.ddos[tree.algorithm].children
    dts = {one.dt for one in participants}
    found: dict[str, None] = {}
    for name in str(parameters.get("receivers", REQUESTER)).split(","):
        word = name.strip()
        if word == REQUESTER:
            found[REQUESTER] = None
            continue
        index = int(word) if word.isascii() and word.isdigit() and len(word) <= 4 else -1
        if not 0 <= index < len(children) or children[index] not in dts:
            raise BadInputError(
                f"The receiver {word[:40]!r} is neither the requester nor a party's index.",
                "Name receivers as in set_ops: for example requester,0,1.",
            )
        found[children[index]] = None
    return tuple(found)
