"""Typed contract: data tokens and the grants between them."""

from collections.abc import Sequence
from typing import Any

from eth_utils.crypto import keccak

from datatoken.authorization.view import Grant, Record
from datatoken.chain.abi import from_hex, to_hex, word32
from datatoken.chain.contract import Counting
from datatoken.chain.intents import Transaction
from datatoken.types import ZERO32, Address, AssetKind, Hex32

_SIGNATURE_BYTES = 65


def children_hash(children: Sequence[Hex32]) -> Hex32:
    """Return the hash of an ordered list of children; `ZERO32` for none."""
    if not children:
        return ZERO32
    return to_hex(keccak(b"".join(word32(child) for child in children)))


def _record(values: Sequence[Any]) -> Record:
    owner, kind, children, minted_at, salt, proof, ddo = values
    return Record(owner, kind, children, minted_at, salt, to_hex(proof), to_hex(ddo))


class DataTokenRegistry(Counting):
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
        tail = (len(children), salt, deadline, from_hex(signature, _SIGNATURE_BYTES))
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
        tail = (expiry, max_rounds, epoch, deadline, from_hex(signature, _SIGNATURE_BYTES))
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
        signed = from_hex(signature, _SIGNATURE_BYTES)
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
