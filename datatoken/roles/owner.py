"""The owner of assets: what data, compute and algorithm providers have in common."""

from collections.abc import Sequence
from typing import ClassVar

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import (
    MAX_REQUEST_BYTES,
    SignedRequest,
    parameters_digest,
    parse_request,
)
from datatoken.authorization.view import Grant
from datatoken.chain.events import JobAnnounced
from datatoken.chain.intents import Receipt
from datatoken.chain.signer import Signer
from datatoken.ddo.agreement import Violation
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ddo.models import Ddo, Metadata
from datatoken.errors import BadInputError
from datatoken.roles.account import Account
from datatoken.roles.announcement import check_request
from datatoken.roles.errors import AgreementError
from datatoken.roles.granting import check_grant, check_owner, stands
from datatoken.roles.nonces import NonceStore
from datatoken.roles.publishing import prepare, publication_violations
from datatoken.roles.review import Review, Reviewed, review
from datatoken.roles.site import Site
from datatoken.rounds.receipts import Delegation
from datatoken.types import ZERO32, Address, AssetKind, Hex32, Scalar, sha256_hex

REQUESTS = "requests.sqlite"


class AssetOwner(Account):
    """Publishes DTs, grants and revokes them, announces jobs of own composites."""

    kinds: ClassVar[frozenset[AssetKind]] = frozenset(AssetKind)

    def check(self, metadata: Metadata) -> list[Violation]:
        """Return everything that speaks against publishing; nothing is stored or sent."""
        return publication_violations(self.site, metadata)

    def publish(self, metadata: Metadata, *, salt: int = 0) -> Ddo:
        """Put a DDO into the store and mint its DT.

        Everything is verified before anything is stored or sent. Repeating is safe: the same
        metadata and salt are the same DT, which is returned as it is.

        Parameters
        ----------
        metadata : Metadata
        salt : int
            Tells two DTs with the same metadata apart.

        Raises
        ------
        BadInputError
            When the document is not for this role or too large.
        CompositionError
            With every violation: children, operations, `supported_ops`.
        ContractError
            When the account is no participant.
        """
        ddo, content, minted = prepare(self.site, self.address, metadata, salt, self.kinds)
        digest = self.site.store.put(content)
        if not minted:
            self.send(
                self.site.contracts.tokens.mint(ddo.kind, ddo.proof, digest, ddo.children, salt)
            )
        return ddo

    def review(self, child: Hex32, parent: Hex32, *, guarantor: Address | None = None) -> Review:
        """Return what a human should see before granting `child` to `parent`."""
        return review(self.site, child, parent, guarantor=guarantor)

    def grant(self, child: Hex32, parent: Hex32, *, expiry: int = 0, max_rounds: int = 0) -> Grant:
        """Grant an own DT to a parent whose document keeps to its terms.

        Repeating is safe: a grant that stands with the same limits is left alone.

        Parameters
        ----------
        expiry : int
            Unix time in seconds, 0 for none.
        max_rounds : int
            Messages that run code, of each kind; 0 for no limit.

        Returns
        -------
        Grant
            The slot as it stands now.

        Raises
        ------
        AgreementError
            With all violations of the child's terms. Nothing was sent.
        ContractError
            When the DT is somebody else's.
        """
        reviewed = check_grant(self.site, self.address, child, parent, expiry)
        if not stands(reviewed.standing, expiry, max_rounds):
            self.send(self.site.contracts.tokens.grant(child, parent, expiry, max_rounds))
        Reviewed(self.site.folder).remember(reviewed)
        return self.site.reader.grant(parent, child)

    def grant_many(
        self, children: Sequence[Hex32], parent: Hex32, *, expiry: int = 0, max_rounds: int = 0
    ) -> None:
        """Grant several own DTs to one parent in one transaction: all of them or none.

        Raises
        ------
        AgreementError
            With the violations of all children together.
        """
        found: list[Violation] = []
        reviews: list[Review] = []
        for child in dict.fromkeys(children):
            try:
                reviews.append(check_grant(self.site, self.address, child, parent, expiry))
            except AgreementError as error:
                found += error.violations
        if found:
            raise AgreementError(found)
        open_ones = [r.child.dt for r in reviews if not stands(r.standing, expiry, max_rounds)]
        if open_ones:
            tokens = self.site.contracts.tokens
            self.send(tokens.grant_many(open_ones, parent, expiry, max_rounds))
        for reviewed in reviews:
            Reviewed(self.site.folder).remember(reviewed)

    def revoke(self, child: Hex32, parent: Hex32) -> Receipt:
        """Revoke a grant at once, and void every signed one that has not arrived yet.

        Raises
        ------
        ContractError
            When the DT is somebody else's.
        """
        check_owner(self.site, self.address, child)
        return self.send(self.site.contracts.tokens.revoke(child, parent))

    def delegate(self, dt: Hex32, node: Address, expiry: int) -> Delegation:
        """Sign that a node's key may sign receipts for an own DT until `expiry`."""
        check_owner(self.site, self.address, dt)
        return sign_delegation(self.site, self.signer, dt, node, expiry)

    def announce(
        self,
        job: Hex32,
        request: SignedRequest | Hex32,
        *,
        composite: Hex32 | None = None,
        artefact: Hex32 | None = None,
        parameters: dict[str, Scalar] | None = None,
    ) -> Hex32:
        """Verify a compute request and announce it on the chain to those below a composite.

        Repeating is safe while the announcement stands.

        Parameters
        ----------
        request : SignedRequest or Hex32
            The request, or its digest in the store.
        composite : Hex32, optional
            The own composite; found by itself when the job holds one only.
        artefact : Hex32, optional
            sha256 of the artefact as this owner has built it; it must be the requested one.
        parameters : dict, optional
            The effective run configuration, likewise.

        Returns
        -------
        Hex32
            The request's digest.

        Raises
        ------
        Refused
            With the reason of the first check that fails.
        """
        signed = self.request(request)
        digest = signed.digest()
        state = self.site.reader.snapshot(job, ())
        if state.job.algorithm == ZERO32:
            raise Refused(Reason.JOB_UNKNOWN, f"Job {job[:10]}… is not on the task market.")
        tree = self.site.documents.tree(state.job.algorithm)
        edges = [(tree.algorithm, ZERO32), *((c, p) for p, c in tree.edges())]
        state = self.site.reader.snapshot(job, edges)
        composites = [dt for dt, ddo in tree.ddos.items() if ddo.children and dt != tree.algorithm]
        mine = [dt for dt in composites if state.records[dt].owner == self.address]
        composite = _only(mine, composite, job)
        check_request(
            state,
            tree,
            self.site.network,
            signed,
            composite,
            now=self.site.now(),
            artefact=artefact,
            parameters=None if parameters is None else parameters_digest(parameters),
        )
        if state.announcements[composite] != digest:
            self._announce(job, composite, signed)
        return digest

    def _announce(self, job: Hex32, composite: Hex32, signed: SignedRequest) -> None:
        """Announce a request that was never announced before, by the own memory or the chain's."""
        earlier = self.site.events.history(JobAnnounced, job=job, composite=composite)
        digest = signed.digest()
        if any(isinstance(e, JobAnnounced) and e.request == digest for e in earlier):
            raise Refused(Reason.REQUEST_REPLAYED, f"Request {digest[:10]}… was announced before.")
        nonces = NonceStore(self.site.folder / REQUESTS)
        try:
            nonces.claim(signed, composite)
            self.site.store.put(canonical_bytes(signed))
            self.send(self.site.contracts.market.announce(job, composite, digest))
            nonces.announced(signed, composite)
        finally:
            nonces.close()

    def withdraw(self, job: Hex32, composite: Hex32) -> None:
        """Withdraw the announcement of a job: gates below refuse from the next message on."""
        if self.site.reader.announcement(job, composite) != ZERO32:
            self.send(self.site.contracts.market.announce(job, composite, ZERO32))

    def request(self, request: SignedRequest | Hex32) -> SignedRequest:
        """Return a compute request, from the store where a digest is given."""
        if isinstance(request, SignedRequest):
            return request
        content = self.site.store.get(request, MAX_REQUEST_BYTES)
        if sha256_hex(content) != request:
            raise BadInputError(f"The store has got other bytes for request {request}.")
        return parse_request(content)


def sign_delegation(
    site: Site, signer: Signer, dt: Hex32, node: Address, expiry: int
) -> Delegation:
    """Return the delegation of a node key, signed by the DT's owner."""
    network = site.network
    data = Delegation.typed_data(network.chain_id, network.tokens, dt, node, expiry)
    return Delegation(
        chain_id=network.chain_id,
        registry=network.tokens,
        dt=dt,
        node=node,
        expiry=expiry,
        signature=signer.sign_full(data),
    )


def _only(mine: list[Hex32], named: Hex32 | None, job: Hex32) -> Hex32:
    if named is not None and named in mine:
        return named
    if named is None and len(mine) == 1:
        return mine[0]
    if not mine or named is not None:
        raise Refused(Reason.NOT_IN_JOB, f"This account owns no such composite in job {job[:10]}….")
    raise BadInputError(
        f"This account owns {len(mine)} composites in job {job[:10]}….",
        f"Name one: {', '.join(mine)}.",
    )
