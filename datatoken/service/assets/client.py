"""The client of asset services. Needs no extra: httpx alone.

A service is believed in nothing that the chain can say: its account must be delegated, by
the owner that the chain names, for every asset on its card.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import Network
from datatoken.ddo.canonical import canonical_bytes, parse_json, validate
from datatoken.errors import BadInputError, DataTokenError, LocalEnvironmentError
from datatoken.service.assets.models import (
    Approval,
    Authorization,
    AuthorizationAsk,
    Authorizations,
    Card,
    Event,
    Events,
    JobAsk,
    JobRun,
    JobRuns,
    Refusal,
    ResultFile,
    Results,
)
from datatoken.service.delegations import check_delegation
from datatoken.service.http import DEFAULT_TIMEOUT, MAX_REPLY, ServiceHttp
from datatoken.service.problems import ServiceCode, ServiceError, ServiceUnreachableError
from datatoken.service.signing import MessageSigner, sign_request
from datatoken.types import Address, Hex32, Model

START_SECONDS = 60.0
DOWNLOAD_SECONDS = 600.0
MAX_RESULT = 4 * 1024**3
M = TypeVar("M", bound=Model)


class _Http(ServiceHttp):
    service = "asset service"

    def _unreachable(self, why: str) -> DataTokenError:
        return ServiceUnreachableError(
            f"The asset service at {self.endpoint} gave no answer: {why}.",
            "Check its address and certificate, and that it runs.",
        )

    def _problem(self, status: int, plain: Any) -> DataTokenError:
        try:
            message = str(plain["message"])[:1000]
            if plain.get("refused") is True:
                return Refused(Reason(plain["code"]), message)
            found = [str(violation)[:500] for violation in plain.get("violations", [])[:64]]
            return ServiceError(ServiceCode(plain["code"]), message, found)
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._unreachable(f"HTTP status {status}")

    def problem(self, status: int, content: bytes) -> DataTokenError:
        """Return the error that an answer other than 200 stands for."""
        try:
            return self._problem(status, parse_json(content, "answer", MAX_REPLY))
        except BadInputError as error:
            return self._unreachable(error.message)


class AssetServiceClient:
    """Calls one asset service.

    Parameters
    ----------
    endpoint : str
        Address of the service, as the DTs' DDOs name it.
    signer : MessageSigner
        Signs the calls: the algorithm's owner, a receiver, or the assets' owner.
    service : Address, optional
        The service's account; by default the one on its card.
    certificates : Path, optional
        The only certificates that are trusted (PEM).
    timeout : float
        Seconds for one call.
    """

    def __init__(
        self,
        endpoint: str,
        signer: MessageSigner,
        *,
        service: Address | None = None,
        certificates: Path | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self._http = _Http(endpoint, timeout, certificates)
        # Gates read chain and store before they answer.
        self._slow = _Http(endpoint, max(timeout, START_SECONDS), certificates)
        self.endpoint = self._http.endpoint
        self._signer, self._service = signer, service

    def card(self) -> Card:
        """Return the service's card, unverified; raise `ServiceUnreachableError`."""
        plain = self._http.call("GET", "/", headers={"accept": "application/json"})
        return self._parsed(Card, plain)

    def verified_card(
        self, network: Network, owners: dict[Hex32, Address], now: int | None = None
    ) -> Card:
        """Return the service's card when the assets' owners vouch for the service's key.

        Parameters
        ----------
        owners : dict of Hex32 to Address
            Owners of DTs as the chain names them; assets that are not among them are left out.

        Raises
        ------
        BadInputError
            When an owner has not delegated the service's key.
        """
        found = self.card()
        for asset in found.assets:
            if asset.dt in owners:
                check_delegation(
                    asset.delegation,
                    chain_id=network.chain_id,
                    registry=network.tokens,
                    dt=asset.dt,
                    owner=owners[asset.dt],
                    node=found.service,
                    now=int(time.time()) if now is None else now,
                )
        kept = [asset for asset in found.assets if asset.dt in owners]
        if kept:
            self._service = self._service or found.service
        return found.model_copy(update={"assets": kept})

    @property
    def service(self) -> Address:
        """The service's account."""
        if self._service is None:
            self._service = self.card().service
        return self._service

    # Authorization requests

    def ask(self, child: Hex32, parent: Hex32, note: str = "") -> Authorization:
        """Ask for a grant of `child` to the own `parent`; repeating it is safe.

        Raises
        ------
        ServiceError
            AGREEMENT with `violations`, POLICY, NOT_ENTITLED, TOO_MANY.
        """
        asked = AuthorizationAsk(child=child, parent=parent, note=note)
        return self._post(Authorization, "/authorizations", asked)

    def authorization(self, id_: str) -> Authorization:
        """Return a request as it stands."""
        return self._get(Authorization, f"/authorizations/{id_}")

    def authorizations(self) -> list[Authorization]:
        """Return the own requests, and those for the own assets."""
        return self._get(Authorizations, "/authorizations").authorizations

    def approve(self, id_: str, *, expiry: int = 0, max_rounds: int = 0) -> Authorization:
        """Grant a request as the asset's owner."""
        body = Approval(expiry=expiry, max_rounds=max_rounds)
        return self._post(Authorization, f"/authorizations/{id_}/approve", body)

    def refuse(self, id_: str, why: str = "") -> Authorization:
        """Refuse a request as the asset's owner."""
        return self._post(Authorization, f"/authorizations/{id_}/refuse", Refusal(why=why))

    # Jobs

    def start(self, job: Hex32, request: Hex32, assets: Sequence[Hex32] = ()) -> JobRun:
        """Start the service's part of a job; repeating it is safe while the run lasts.

        Parameters
        ----------
        request : Hex32
            Digest of the signed compute request, which is in the store.

        Raises
        ------
        Refused
            With the reason of the asset's gate; nothing was started.
        """
        return self._post(JobRun, "/jobs", JobAsk(job=job, request=request, assets=list(assets)))

    def job(self, run: str) -> JobRun:
        """Return how a run stands."""
        return self._get(JobRun, f"/jobs/{run}")

    def jobs(self) -> list[JobRun]:
        """Return the own runs, and those of the own assets."""
        return self._get(JobRuns, "/jobs").jobs

    def stop(self, run: str) -> JobRun:
        """Stop a run; repeating it is safe."""
        return self._post(JobRun, f"/jobs/{run}/stop")

    def events(self, run: str, asset: Hex32 | None = None, since: int = 0) -> Events:
        """Return one page of events after a cursor."""
        return self._get(Events, f"/jobs/{run}/events?since={since}{_more(asset)}")

    def all_events(self, run: str, asset: Hex32 | None = None, since: int = 0) -> Iterator[Event]:
        """Yield all events so far."""
        while (page := self.events(run, asset, since)).next > since:
            yield from page.events
            since = page.next

    def logs(self, run: str, asset: Hex32 | None = None) -> str:
        """Return the end of a run's log, as the asset's owner."""
        path = f"/jobs/{run}/logs{_query(asset)}"
        with self._http.stream("GET", path, headers=self._signed("GET", path)) as (status, parts):
            content = b"".join(parts)
        if status != httpx.codes.OK:
            raise self._http.problem(status, content)
        return content.decode(errors="replace")

    def results(self, run: str, asset: Hex32 | None = None) -> list[ResultFile]:
        """Return the files of a finished run, as one of its receivers."""
        return self._get(Results, f"/jobs/{run}/results{_query(asset)}").results

    def download(
        self, run: str, file: ResultFile, target: Path, asset: Hex32 | None = None
    ) -> Path:
        """Write one file of results; its digest is that of the list, or nothing is left.

        Raises
        ------
        ServiceUnreachableError
            When the service gives other bytes.
        LocalEnvironmentError
            When the target can't be written.
        """
        path = f"/jobs/{run}/results/{quote(file.name)}{_query(asset)}"
        part = target.with_name(target.name + ".part")
        try:
            digest = self._fetch(path, part, file.size)
            if digest != file.sha256:
                raise ServiceUnreachableError(
                    f"The asset service at {self.endpoint} gave other bytes of {file.name}.",
                    "Ask again.",
                )
            part.replace(target)
        except OSError as error:
            raise LocalEnvironmentError(
                f"The result {target} can't be written: {error.strerror}."
            ) from None
        finally:
            part.unlink(missing_ok=True)
        return target

    def _fetch(self, path: str, part: Path, size: int) -> Hex32:
        limit = min(size, MAX_RESULT)
        headers, digest = self._signed("GET", path), hashlib.sha256()
        part.parent.mkdir(parents=True, exist_ok=True)
        with (
            self._http.stream(
                "GET", path, headers=headers, limit=max(limit, 65536), timeout=DOWNLOAD_SECONDS
            ) as (status, parts),
            os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        ):
            if status != httpx.codes.OK:
                raise self._http.problem(status, b"".join(parts))
            for content in parts:
                digest.update(content)
                file.write(content)
        return "0x" + digest.hexdigest()

    # Calls

    def _get(self, model: type[M], path: str) -> M:
        return self._parsed(model, self._http.call("GET", path, b"", self._signed("GET", path)))

    def _post(self, model: type[M], path: str, body: Model | None = None) -> M:
        content = canonical_bytes(body) if body is not None else b""
        headers = self._signed("POST", path, content)
        return self._parsed(model, self._slow.call("POST", path, content, headers))

    def _signed(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        return sign_request(self._signer, self.service, method, path, body)

    def _parsed(self, model: type[M], plain: Any) -> M:
        try:
            return validate(model, plain, "asset service's answer")
        except BadInputError as error:
            raise ServiceUnreachableError(error.message) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._slow.close()


def _query(asset: Hex32 | None) -> str:
    return "" if asset is None else f"?asset={asset}"


def _more(asset: Hex32 | None) -> str:
    return "" if asset is None else f"&asset={asset}"
