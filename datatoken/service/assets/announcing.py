"""The announcement that a composite's owner makes before a run: after every check, never twice.

A composite's gate refuses a request until its owner has announced it. So `RunDesk` asks the
gate first what it would say if it were announced; only what it would allow goes to the chain,
and then the gate is asked again, as of every other asset.
"""

import structlog

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.chain.errors import ContractError
from datatoken.chain.signer import Signer
from datatoken.roles.owner import AssetOwner
from datatoken.roles.site import Site
from datatoken.service.assets.executor import Question, Run
from datatoken.service.assets.hosted import Hosted

log = structlog.get_logger(__name__)


def allow(hosted: Hosted, run: Run, asked: Question, *, rehearse: bool = False) -> None:
    """Ask an asset's gate without counting.

    Parameters
    ----------
    rehearse : bool
        As if the asset's owner had announced the run's request.

    Raises
    ------
    Refused
    """
    lease = hosted.gatekeeper.authorize(
        job=run.job,
        run=run.id,
        bundle=asked.bundle,
        artefact=asked.artefact,
        kind=asked.kind,
        parameters=asked.parameters,
        records={},
        installed=asked.installed,
        request=run.request,
        count=False,
        rehearse=rehearse,
    )
    if lease.request != run.request:
        raise Refused(
            Reason.REQUEST_MISMATCH,
            f"Another compute request is announced for DT {run.asset[:10]}….",
        )


class Announcer:
    """Announces compute requests for the composites of one owner.

    Parameters
    ----------
    site : Site
        Chain, store and the service's folder.
    owner : Signer, optional
        The owner's key; without it the owner announces from elsewhere, and is waited for.
    """

    def __init__(self, site: Site, owner: Signer | None = None) -> None:
        self._site, self._owner = site, owner

    def announce(self, hosted: Hosted, run: Run, signed: SignedRequest, asked: Question) -> None:
        """Announce a request that the gate would allow then.

        Repeating is safe, after a crash, too: what stands on the chain is left alone.

        Raises
        ------
        Refused
            NOT_ANNOUNCED where the owner's key is not here; REQUEST_REPLAYED when the request
            was announced before and is not any more; the owner's own checks.
        """
        with as_refusals():
            standing = self._site.reader.announcement(run.job, run.asset)
        if standing == run.request:
            return
        if self._owner is None or self._owner.address != hosted.owner:
            raise Refused(
                Reason.NOT_ANNOUNCED,
                f"The owner of DT {run.asset[:10]}… announces requests from elsewhere, and has "
                f"not announced {run.request}.",
            )
        try:
            with as_refusals(), AssetOwner(self._site, self._owner) as owner:
                owner.announce(
                    run.job,
                    signed,
                    composite=run.asset,
                    artefact=asked.artefact,
                    parameters=dict(asked.parameters),
                )
        except ContractError as error:
            raise Refused(Reason.NOT_ANNOUNCED, error.message) from None
        log.info("request announced", dt=run.asset, job=run.job, request=run.request)
