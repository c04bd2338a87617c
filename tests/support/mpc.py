"""An MPC run in memory: parties, documents, one signed request, nodes and introductions."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datatoken.authorization.request import (
    ComputeRequest,
    SignedRequest,
    mpc_artefact,
    parameters_digest,
)
from datatoken.authorization.tree import VerifiedTree, verify_tree
from datatoken.authorization.view import Network, Record
from datatoken.chain.signer import Signer
from datatoken.ddo import Ddo, Metadata, OperationDocument, ParameterSpec, Workflow, ddo_bytes
from datatoken.ddo import Service as DdoService
from datatoken.ddo.proof import make_ddo
from datatoken.types import Hex32, MessageKind, Scalar, sha256_hex
from rtt_tracer.agreement.introductions import (
    Contact,
    Introduction,
    SignedIntroduction,
    sign_introduction,
)
from rtt_tracer.agreement.plan import Plan, make_plan
from rtt_tracer.control.certificates import make_certificate
from tests.support.receipts import Node

NETWORK = Network(31337, *(f"0x{i:040x}" for i in range(11, 17)))
NOW = 1_800_000_000
JOB = sha256_hex(b"job")
PARAMETERS: dict[str, Scalar] = {"protocol": "CHEETAH", "epochs": 2, "receivers": "requester"}
_ports = itertools.count(20_000)


def mpc_operation(name: str, role: str, **more: Any) -> OperationDocument:
    """Return the document of an MPC operation."""
    values: dict[str, Any] = {
        "parameters": {
            "protocol": ParameterSpec(type="str", default="CHEETAH"),
            "epochs": ParameterSpec(type="int", minimum=1, maximum=100, default=2),
            "receivers": ParameterSpec(type="str", default="requester"),
            "insecure-dealer": ParameterSpec(type="bool"),
        },
        "messages": [MessageKind.TRAIN],
        "kind": "mpc",
        "entry_points": {role: f"{name}:main"},
    }
    return OperationDocument(
        name=name,
        bundle=sha256_hex(name.encode()),
        cid="b",
        size=len(name),
        publisher=f"0x{1:040x}",
        **(values | more),
    )


def id_of(document: OperationDocument) -> Hex32:
    """Return the id of an operation of this module."""
    return sha256_hex(b"id of " + document.name.encode())


SHARE = mpc_operation("secret_sharing", "spu.share")
COMPUTE = mpc_operation("logistic_regression", "spu.compute")
ROSETTA = mpc_operation("rosetta_regression", "rosetta")
LOCAL = mpc_operation("local_regression", "local")
INTERSECT = mpc_operation("intersection", "spu.intersect")

Leaf = tuple[str, OperationDocument]
TWO_BANKS: tuple[Leaf, ...] = (
    ("data", SHARE),
    ("data", SHARE),
    ("compute", COMPUTE),
    ("compute", COMPUTE),
)


@dataclass
class MpcWorld:
    """An algorithm over leaves; each leaf has an owner, a node and a certificate of its own."""

    leaves: Sequence[Leaf] = TWO_BANKS
    parameters: Mapping[str, Scalar] = field(default_factory=lambda: dict(PARAMETERS))
    stages: Sequence[Mapping[str, str]] | None = None

    def __post_init__(self) -> None:
        self.operations = {id_of(document): document for _, document in self.leaves}
        self._owners: dict[Hex32, Signer] = {}
        self.ddos: dict[Hex32, Ddo] = {}
        self.dts = [
            self.add(
                DdoService(
                    type=kind,  # type: ignore[arg-type]
                    endpoint=f"urn:leaf:{number}",
                    supported_ops=[id_of(document)],
                )
            )
            for number, (kind, document) in enumerate(self.leaves)
        ]
        stages = self.stages or [{str(i): id_of(d) for i, (_, d) in enumerate(self.leaves)}]
        self.algorithm = self.compose(self.dts, stages)
        self.nodes = {dt: Node.of(self._owners[dt], dt, NETWORK) for dt in self.dts}
        self.certificates = {dt: make_certificate(dt, "127.0.0.1") for dt in self.dts}
        self._links = {dt: make_certificate("link", "127.0.0.1")[0] for dt in self.dts}

    def compose(
        self,
        children: Sequence[Hex32],
        stages: Sequence[Mapping[str, str]],
        kind: str = "algorithm",
    ) -> Hex32:
        """Make a composite."""
        return self.add(
            DdoService(
                type=kind,  # type: ignore[arg-type]
                endpoint="urn:composite",
                child_dts=list(children),
                workflows=[Workflow(set_ops=[dict(stage) for stage in stages])],
            )
        )

    def add(self, service: DdoService) -> Hex32:
        """Complete and keep a DDO of a new owner."""
        owner = Signer.random()
        ddo = make_ddo(
            Metadata(services=[service]), NETWORK.chain_id, NETWORK.tokens, owner.address
        )
        self.ddos[ddo.dt], self._owners[ddo.dt] = ddo, owner
        return ddo.dt

    @property
    def records(self) -> dict[Hex32, Record]:
        """The on-chain records."""
        return {
            dt: Record(
                self._owners[dt].address,
                int(ddo.kind),
                len(ddo.children),
                NOW - 9,
                0,
                ddo.proof,
                sha256_hex(ddo_bytes(ddo)),
            )
            for dt, ddo in self.ddos.items()
        }

    def tree(self, *, only: Hex32 | None = None) -> VerifiedTree:
        """Return the tree as a party sees it: composites, and its own leaf."""
        shown = {
            dt: ddo_bytes(ddo)
            for dt, ddo in self.ddos.items()
            if ddo.children or only is None or dt == only
        }
        return verify_tree(self.algorithm, shown, self.records, NETWORK)

    def request(self, **more: Any) -> SignedRequest:
        """Return the algorithm owner's request; `more` replaces fields of it."""
        named = [self.operations[id].bundle for id in self.tree().operations()]
        fields: dict[str, Any] = {
            "chain_id": NETWORK.chain_id,
            "market": NETWORK.market,
            "job": JOB,
            "operation": mpc_artefact(named),
            "parameters": parameters_digest(self.parameters),
            "audience": self.algorithm,
            "nonce": 1,
            "deadline": NOW + 600,
        }
        request = ComputeRequest(**(fields | more))
        signature = self._owners[self.algorithm].sign_full(request.typed_data())
        return SignedRequest(request=request, signature=signature)

    def plan(self, *, only: Hex32 | None = None, **more: Any) -> Plan:
        """Return the plan as a party derives it."""
        tree = self.tree(only=only)
        return make_plan(tree, self.operations, self.records, self.request(**more), self.parameters)

    def introduce(self, plan: Plan, dt: Hex32, **more: Any) -> SignedIntroduction:
        """Return the introduction of a party; `more` replaces fields of it."""
        one = plan.of(dt)
        fields: dict[str, Any] = {
            "job": plan.job,
            "request": plan.request,
            "run": plan.run,
            "dt": dt,
            "control": self.contact(self.certificates[dt][0]),
            "engine": f"{one.role.engine} 0.9.5",
        }
        if one.role.linked:
            fields["link"] = self.contact(self._links[dt])
        if one.input is not None:
            fields |= {"rows": 100, "columns": [3], "alignment": sha256_hex(b"the ids")}
        introduction = Introduction(**(fields | more))
        return sign_introduction(self.nodes[dt].key, self.nodes[dt].delegation, introduction)

    @staticmethod
    def contact(certificate: str, port: int | None = None) -> Contact:
        """Return a contact on a port of its own."""
        return Contact(host="127.0.0.1", port=port or next(_ports), certificate=certificate)

    def all(self, plan: Plan) -> dict[Hex32, SignedIntroduction]:
        """Return an introduction of every party."""
        return {dt: self.introduce(plan, dt) for dt in plan.dts}
