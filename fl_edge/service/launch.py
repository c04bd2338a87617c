"""Puts an asset service for composites together from its settings, and runs it."""

from collections.abc import Callable

from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.passwords import read_password
from datatoken.roles.site import Site
from datatoken.service.assets.server import AssetSettings, Ready, ServiceSettings, serve
from datatoken.service.assets.settings import owner_signer
from datatoken.service.delegations import read_delegation
from fl_edge.service.executor import FlowerExecutor
from fl_edge.service.settings import LoadedService


def launch(loaded: LoadedService, ready: Callable[[Ready], None]) -> None:
    """Run an asset service until SIGTERM or SIGINT.

    Raises
    ------
    DataTokenError
        BadInputError, KeystoreError, ChainUnreachableError, LocalEnvironmentError: nothing was
        started.
    """
    file = loaded.file
    deployment = Deployment.load(loaded.at(file.deployment))
    stand_in = deployment.network_profile().stand_in
    password = read_password(loaded.at(file.node.password_file))
    settings = ServiceSettings(
        name=file.name,
        domain=file.domain,
        deployment=deployment,
        store=loaded.store,
        state=loaded.at(file.state),
        signer=Signer.from_keystore(loaded.at(file.node.key), password, stand_in=stand_in),
        assets=[
            AssetSettings(
                entry.dt, read_delegation(loaded.at(entry.delegation)), loaded.policy(entry)
            )
            for entry in file.assets
        ],
        owner=owner_signer(
            file.owner, loaded.path.parent, automatic=loaded.automatic, stand_in=stand_in
        ),
        announce=file.owner is not None and file.owner.announce,
        host=file.host,
        port=file.port,
        certificate=loaded.at(file.certificate) if file.certificate else None,
        key=loaded.at(file.key) if file.key else None,
        insecure=file.insecure,
    )
    with Site.open(deployment, loaded.store, settings.state / "plans") as site:
        serve(settings, FlowerExecutor(loaded, site), ready)
