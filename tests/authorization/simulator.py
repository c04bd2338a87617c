"""A world in memory for the decision: owners, DDOs, records, grants, one job, one request.

Not a mock of the chain: `authorize` is a pure function of values, and this builds honest
values. A test changes one of them and is three lines long. The same attacks run against
real nodes elsewhere (tests/chain, tests/fl_edge, tests/e2e).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from datatoken.authorization import (
    Ask,
    ComputeRequest,
    SignedRequest,
    View,
    authorize,
    parameters_digest,
    verify_tree,
)
from datatoken.authorization.decision import Lease
from datatoken.authorization.view import (
    ChainState,
    Grant,
    History,
    Job,
    LogState,
    Network,
    OperationRecord,
    Record,
    RoundGroup,
)
from datatoken.ddo import (
    Configs,
    Ddo,
    ExtraParams,
    Metadata,
    OperationDocument,
    ParameterSpec,
    RecorderRef,
    Service,
    Terms,
    Workflow,
    ddo_bytes,
    make_ddo,
)
from datatoken.types import JobStatus, MessageKind, OperationKind, sha256_hex

NOW = 1_800_000_000
NETWORK = Network(31337, *(f"0x{i:040x}" for i in range(11, 17)))
KEYS = {name: sha256_hex(name.encode()) for name in ("maker", "fintech", "u0", "u1", "u2", "u3")}
ACCOUNTS = {name: Account.from_key(key).address.lower() for name, key in KEYS.items()}
GUARANTOR = ACCOUNTS["fintech"]
RECORDER = f"0x{99:040x}"
JOB = sha256_hex(b"job")
RUN = "4711"
FAB = sha256_hex(b"the FAB")


def operation(name: str, kind: str, **more: Any) -> OperationDocument:
    """Return the document of an operation whose bundle is `name`."""
    digest = sha256_hex(name.encode())
    values: dict[str, Any] = {
        "parameters": {"local-epochs": ParameterSpec(type="int", minimum=1, maximum=10)},
        "records": {"server-round": ParameterSpec(type="int", minimum=0)},
        "messages": [MessageKind.TRAIN, MessageKind.EVALUATE],
        "lock": {"numpy": "2.0.0"},
    }
    return OperationDocument(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        entry_points={"clientapp": f"{name}:app"},
        bundle=digest,
        cid="b",
        size=len(name),
        publisher=f"0x{1:040x}",
        **(values | more),
    )


EDGECOMP = operation("edgecomp", "client")
FEDAVERAGE = operation(
    "fedaverage",
    "server",
    parameters={"num-server-rounds": ParameterSpec(type="int", minimum=1, maximum=100)},
    lock={},
)
EDGE_ID, AVERAGE_ID = sha256_hex(b"edgecomp id"), sha256_hex(b"fedaverage id")


def record_of(document: OperationDocument, *, retired: bool = False) -> OperationRecord:
    """Return the honest on-chain record of an operation."""
    kind = {"client": 1, "server": 2, "app": 3, "mpc": 4}[document.kind]
    return OperationRecord(
        document.bundle, document.digest(), document.publisher, OperationKind(kind), retired
    )


def service(kind: str, **more: Any) -> Metadata:
    """Return metadata of one service."""
    return Metadata(services=[Service(type=kind, endpoint="https://a.example", **more)])  # type: ignore[arg-type]


@dataclass
class World:
    """An honest job: four users below the maker's composite below the fintech's algorithm.

    Change a field, then call `view()`; or `replace` parts of the view itself.
    """

    leaf_terms: Terms = Terms()
    composite_terms: Terms = Terms()
    composite_fixed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    purpose: str | None = "heart disease"
    users: int = 4
    ddos: dict[str, Ddo] = field(init=False)

    def __post_init__(self) -> None:
        self.ddos = {}
        for i in range(self.users):
            leaf = service(
                "data",
                supported_ops=[EDGE_ID],
                extra_params=ExtraParams(name=f"user {i}", terms=self.leaf_terms),
            )
            self.add(f"u{i}", leaf)
        flow = {str(i): EDGE_ID for i in range(self.users)} | {"self": AVERAGE_ID}
        configs = Configs(parameters={k: dict(v) for k, v in self.composite_fixed.items()})
        self.add(
            "maker",
            service(
                "data",
                child_dts=[self.dt(f"u{i}") for i in range(self.users)],
                supported_ops=[EDGE_ID],
                workflows=[Workflow(set_ops=[flow], configs=configs)],
                extra_params=ExtraParams(
                    purpose="heart disease",
                    terms=self.composite_terms,
                    recorder=RecorderRef(account=RECORDER, endpoint="http://127.0.0.1:1"),
                ),
            ),
        )
        self.add(
            "fintech",
            service(
                "algorithm",
                child_dts=[self.dt("maker")],
                workflows=[Workflow(set_ops=[{"0": "self"}])],
                extra_params=ExtraParams(purpose=self.purpose),
            ),
        )

    def add(self, owner: str, metadata: Metadata) -> Ddo:
        """Complete and keep the DDO of `owner`."""
        chain, registry = NETWORK.chain_id, NETWORK.tokens
        self.ddos[owner] = make_ddo(metadata, chain, registry, ACCOUNTS[owner])
        return self.ddos[owner]

    def dt(self, owner: str) -> str:
        """Return the DT of `owner`."""
        return self.ddos[owner].dt

    def records(self) -> dict[str, Record]:
        """Return the honest records."""
        return {
            ddo.dt: Record(
                ACCOUNTS[owner],
                int(ddo.kind),
                len(ddo.children),
                NOW - 9,
                0,
                ddo.proof,
                sha256_hex(ddo_bytes(ddo)),
            )
            for owner, ddo in self.ddos.items()
        }

    def contents(self) -> dict[str, bytes]:
        """Return the stored bytes of every DDO."""
        return {ddo.dt: ddo_bytes(ddo) for ddo in self.ddos.values()}

    def request(self, signer: str = "fintech", **more: Any) -> SignedRequest:
        """Return a signed compute request; `more` replaces fields of it."""
        fields = {
            "chain_id": NETWORK.chain_id,
            "market": NETWORK.market,
            "job": JOB,
            "operation": FAB,
            "parameters": parameters_digest(PARAMETERS),
            "audience": self.dt("maker"),
            "nonce": 1,
            "deadline": NOW + 600,
        }
        request = ComputeRequest(**(fields | more))
        message = encode_typed_data(full_message=request.typed_data())
        signature = Account.sign_message(message, KEYS[signer]).signature
        return SignedRequest(request=request, signature="0x" + bytes(signature).hex())

    def view(self, request: SignedRequest | None = None) -> View:
        """Return the honest view."""
        request = request or self.request()
        tree = verify_tree(self.dt("fintech"), self.contents(), self.records(), NETWORK)
        state = ChainState(
            chain_id=NETWORK.chain_id,
            block_number=100,
            time=NOW,
            counter=0,
            job=Job(
                JOB, JobStatus.OPEN, 1, True, GUARANTOR, True, RECORDER, NOW, self.dt("fintech")
            ),
            head="0x" + "0" * 56,
            round=0,
            records=self.records(),
            grants={edge: Grant(active=True) for edge in tree.edges()},
            announcements={self.dt("maker"): request.digest()},
            operations={EDGE_ID: record_of(EDGECOMP), AVERAGE_ID: record_of(FEDAVERAGE)},
        )
        documents = {EDGE_ID: EDGECOMP, AVERAGE_ID: FEDAVERAGE}
        return View(NETWORK, state, tree, documents, request, LogState(), History())


PARAMETERS = {"local-epochs": 1, "num-server-rounds": 5}


def ask(world: World, asset: str = "u0", **more: Any) -> Ask:
    """Return an honest ask of `asset`'s gate; `more` replaces fields of it."""
    fields: dict[str, Any] = {
        "job": JOB,
        "asset": world.dt(asset),
        "bundle": EDGECOMP.bundle,
        "artefact": FAB,
        "kind": MessageKind.TRAIN,
        "parameters": PARAMETERS,
        "records": {"config": {"server-round": 1}},
        "installed": {"numpy": "2.0.0"},
        "run": RUN,
        "now": NOW,
    }
    return Ask(**(fields | more))


def with_state(view: View, **changes: Any) -> View:
    """Return the view with parts of its chain state replaced."""
    return replace(view, state=replace(view.state, **changes))


def with_job(view: View, **changes: Any) -> View:
    """Return the view with parts of its job replaced."""
    return with_state(view, job=replace(view.state.job, **changes))


def with_grant(view: View, parent: str, child: str, grant: Grant) -> View:
    """Return the view with one grant replaced."""
    return with_state(view, grants={**view.state.grants, (parent, child): grant})


def group(view: View, members: set[str], run: str = RUN, **more: Any) -> RoundGroup:
    """Return a logged round of these members."""
    assert view.request is not None
    fields = {
        "request": view.request.digest(),
        "run": run,
        "kind": MessageKind.TRAIN,
        "input": sha256_hex(repr(sorted(members)).encode()),
        "members": frozenset(members),
    }
    return RoundGroup(**(fields | more))


__all__ = ["Lease", "authorize"]
