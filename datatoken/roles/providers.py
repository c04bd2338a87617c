"""Providers of data, of compute and of algorithms."""

import secrets
from collections.abc import Mapping, Sequence
from typing import ClassVar

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import (
    ComputeRequest,
    SignedRequest,
    parameters_digest,
)
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ddo.models import (
    Configs,
    Ddo,
    ExtraParams,
    Metadata,
    RecorderRef,
    Service,
    Workflow,
)
from datatoken.roles.account import Account
from datatoken.roles.errors import contract_refusal
from datatoken.roles.granting import check_owner
from datatoken.roles.owner import AssetOwner
from datatoken.types import ZERO32, Address, AssetKind, Hex32, Scalar

REQUEST_SECONDS = 3600


class DataProvider(AssetOwner):
    """Publishes data assets, alone or composed of sub-data."""

    kinds: ClassVar[frozenset[AssetKind]] = frozenset({AssetKind.DATA})


class ComputeProvider(AssetOwner):
    """Publishes compute assets."""

    kinds: ClassVar[frozenset[AssetKind]] = frozenset({AssetKind.COMPUTE})


class AlgorithmProvider(AssetOwner):
    """Composes algorithms over data and compute assets, and signs compute requests."""

    kinds: ClassVar[frozenset[AssetKind]] = frozenset({AssetKind.ALGORITHM})

    def compose(
        self,
        children: Sequence[Hex32],
        set_ops: Sequence[Mapping[str, str]],
        *,
        name: str,
        purpose: str | None = None,
        parameters: Mapping[Hex32, Mapping[str, Scalar]] | None = None,
        order: Sequence[Sequence[str]] = (),
        recorder: RecorderRef | None = None,
        description: str | None = None,
        endpoint: str = "",
        salt: int = 0,
    ) -> Ddo:
        """Compose an algorithm over data and compute assets, and publish it.

        Parameters
        ----------
        children : sequence of Hex32
            DTs in order.
        set_ops : sequence of mapping
            Stage by stage: child index (as text) or ``self`` → operation id, or ``self`` for
            the child's own workflow.
        purpose : str, optional
            What the children are asked for.
        parameters : mapping, optional
            Operation id → parameters that are fixed.
        order : sequence, optional
            Stages by child key; by default the order of `set_ops`.
        recorder : RecorderRef, optional
            Who logs the rounds, where no composite below names one.

        Raises
        ------
        CompositionError
            With every violation; see `publish`.
        """
        configs = Configs(
            parameters={op: dict(values) for op, values in (parameters or {}).items()},
            order=[list(stage) for stage in order],
        )
        workflow = Workflow(set_ops=[dict(stage) for stage in set_ops], configs=configs)
        service = Service(
            type="algorithm",
            endpoint=endpoint,
            child_dts=list(children),
            workflows=[workflow],
            extra_params=ExtraParams(
                name=name, description=description, purpose=purpose, recorder=recorder
            ),
        )
        return self.publish(Metadata(services=[service]), salt=salt)

    def name_guarantor(self, algorithm: Hex32, guarantor: Address, *, named: bool = True) -> None:
        """Let an institution post one's algorithm, or no longer. Repeating is safe."""
        check_owner(self.site, self.address, algorithm)
        market = self.site.contracts.market
        if market.is_named(algorithm, guarantor) != named:
            self.send(market.name_guarantor(algorithm, guarantor, named=named))

    def sign_request(
        self,
        job: Hex32,
        artefact: Hex32,
        parameters: dict[str, Scalar],
        *,
        audience: Hex32 | None = None,
        deadline: int | None = None,
    ) -> SignedRequest:
        """Sign a compute request and put it into the store; see `sign_request`."""
        return sign_request(self, job, artefact, parameters, audience=audience, deadline=deadline)


def sign_request(
    account: Account,
    job: Hex32,
    artefact: Hex32,
    parameters: dict[str, Scalar],
    *,
    audience: Hex32 | None = None,
    deadline: int | None = None,
) -> SignedRequest:
    """Sign a compute request (EIP-712) and put it into the store.

    Parameters
    ----------
    artefact : Hex32
        sha256 of the exact bytes that will run (the FAB).
    parameters : dict
        The effective run configuration: the artefact's defaults and the overrides.
    audience : Hex32, optional
        The composite that is addressed; by default the algorithm, for every participant.
    deadline : int, optional
        Unix time in seconds until which a run may start; by default in an hour.

    Raises
    ------
    Refused
        JOB_UNKNOWN.
    ContractError
        NotTokenOwner, when the algorithm is somebody else's.
    """
    site = account.site
    algorithm = site.reader.job(job).algorithm
    if algorithm == ZERO32:
        raise Refused(Reason.JOB_UNKNOWN, f"Job {job[:10]}… is not on the task market.")
    if site.documents.record(algorithm).owner != account.address:
        raise contract_refusal("NotTokenOwner", dt=algorithm, caller=account.address)
    request = ComputeRequest(
        chain_id=site.network.chain_id,
        market=site.network.market,
        job=job,
        operation=artefact,
        parameters=parameters_digest(parameters),
        audience=audience or algorithm,
        nonce=secrets.randbelow(2**53),
        deadline=deadline or site.now() + REQUEST_SECONDS,
    )
    signature = account.signer.sign_full(request.typed_data())
    signed = SignedRequest(request=request, signature=signature)
    site.store.put(canonical_bytes(signed))
    return signed
