"""Puts an asset service together from its settings, and runs it."""

from collections.abc import Callable
from pathlib import Path

from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.service.assets.models import PolicyMode
from datatoken.service.assets.server import AssetSettings, Ready, ServiceSettings, serve
from datatoken.service.assets.settings import owner_signer
from datatoken.service.delegations import read_delegation
from datatoken.store import open_store
from rtt_tracer.service.executor import PartyExecutor
from rtt_tracer.service.settings import Hosted, LoadedService


def launch(loaded: LoadedService, ready: Callable[[Ready], None]) -> None:
    """Run an asset service until SIGTERM or SIGINT.

    Raises
    ------
    DataTokenError
        BadInputError, KeystoreError, ChainUnreachableError, LocalEnvironmentError: nothing was
        started.
    """
    file, first = loaded.file, loaded.hosted[0].party
    deployment = Deployment.load(Path(first.deployment))
    stand_in = deployment.network_profile().stand_in
    signer = Signer.from_keystore(Path(first.node.key), first.password(), stand_in=stand_in)
    settings = ServiceSettings(
        name=file.name,
        domain=file.domain,
        deployment=deployment,
        store=first.store,
        state=loaded.at(file.state),
        signer=signer,
        assets=[_asset(one) for one in loaded.hosted],
        owner=owner_signer(
            file.owner, loaded.folder, automatic=_automatic(loaded), stand_in=stand_in
        ),
        host=file.host,
        port=file.port,
        certificate=loaded.at(file.certificate) if file.certificate else None,
        key=loaded.at(file.key) if file.key else None,
        insecure=file.insecure,
    )
    store = open_store(first.store)
    serve(settings, PartyExecutor(loaded.hosted, file.domain, store), ready)


def _asset(one: Hosted) -> AssetSettings:
    delegation = read_delegation(Path(one.party.node.delegation))
    return AssetSettings(one.party.dt, delegation, one.policy)


def _automatic(loaded: LoadedService) -> bool:
    return any(one.policy.mode is PolicyMode.AUTO for one in loaded.hosted)
