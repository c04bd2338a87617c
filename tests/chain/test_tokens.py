"""Data tokens and grants: look-up, ownership, signed forms through a relayer."""

import dataclasses

import pytest

from datatoken.chain import errors, typed_data
from datatoken.chain.contracts import children_hash
from datatoken.chain.events import Granted, Revoked, TokenMinted
from datatoken.errors import BadInputError
from datatoken.signatures import recover_typed
from datatoken.store import VerifyingStore, cid_of
from datatoken.types import AssetKind
from tests.support.chain import Chain, fresh

FAR = 2**40


def test_look_up_gives_owner_proof_and_the_place_of_the_ddo(
    chain: Chain, store: VerifyingStore
) -> None:
    """Acceptance: 18, 22, 40."""
    ddo = b'{"services":[]}'
    proof = fresh()
    dt = chain.mint(chain.users[0], proof=proof, ddo=store.put(ddo))

    record = chain.contracts.tokens.token(dt)

    assert (record.owner, record.proof) == (chain.users[0].address, proof)
    assert cid_of(record.ddo).startswith("bafkrei")
    assert store.get(record.ddo) == ddo
    assert chain.reader().record(dt) == record
    assert chain.contracts.tokens.tokens([dt]) == (record,)


def test_dts_are_unique_and_nobody_can_squat_on_one(chain: Chain) -> None:
    """Acceptance: 11."""
    tokens, proof = chain.contracts.tokens, fresh()
    mint = tokens.mint(AssetKind.DATA, proof, fresh())
    first = chain.users[0].send(mint).event(TokenMinted).dt

    second = chain.users[1].send(mint).event(TokenMinted).dt

    assert first == tokens.dt_of(chain.users[0].address, proof)
    assert second != first
    with pytest.raises(errors.TokenExists):
        chain.users[0].send(mint)


def test_children_are_fixed_by_their_hash(chain: Chain) -> None:
    """Acceptance: 12, 13, 26."""
    children = [chain.mint(chain.a), chain.mint(chain.a)]
    receipt = chain.a.send(chain.contracts.tokens.mint(AssetKind.DATA, fresh(), fresh(), children))

    event = receipt.event(TokenMinted)

    assert event.children_hash == children_hash(children) != children_hash(children[::-1])
    assert chain.contracts.tokens.token(event.dt).children == 2
    assert children_hash([]) == "0x" + "00" * 32


@pytest.mark.parametrize("thief", ["institution", "parent's owner", "stranger"])
def test_only_the_owner_of_the_lower_dt_grants_it(chain: Chain, thief: str) -> None:
    """Acceptance: 41."""
    child = chain.mint(chain.users[0])
    parent = chain.mint(chain.b, AssetKind.ALGORITHM, [child])
    caller = {
        "institution": chain.a,
        "parent's owner": chain.b,
        "stranger": chain.users[1],
    }[thief]

    with pytest.raises(errors.NotTokenOwner):
        chain.grant(caller, child, parent)
    chain.grant(chain.users[0], child, parent, expiry=FAR, rounds=7)

    grant = chain.reader().grant(parent, child)
    assert (grant.active, grant.expiry, grant.max_rounds, grant.epoch) == (True, FAR, 7, 0)
    assert chain.contracts.tokens.grant_of(parent, child) == grant
    assert chain.contracts.tokens.grants_of([(parent, child), (child, parent)])[0] == grant


def test_only_the_owner_revokes_and_the_counter_moves(chain: Chain) -> None:
    """Acceptance: 41, 81."""
    child = chain.mint(chain.users[0])
    parent = chain.mint(chain.b, AssetKind.ALGORITHM, [child])
    chain.grant(chain.users[0], child, parent)
    before = chain.contracts.tokens.counter()

    with pytest.raises(errors.NotTokenOwner):
        chain.b.send(chain.contracts.tokens.revoke(child, parent))
    receipt = chain.users[0].send(chain.contracts.tokens.revoke(child, parent))

    assert receipt.event(Revoked).epoch == 1
    assert not chain.reader().grant(parent, child).active
    assert chain.contracts.tokens.counter() == before + 1


def test_many_grants_and_revocations_in_one_transaction(chain: Chain) -> None:
    children = [chain.mint(chain.a) for _ in range(3)]
    parent = chain.mint(chain.b, AssetKind.ALGORITHM, children)

    granted = chain.a.send(chain.contracts.tokens.grant_many(children, parent, FAR, 2))
    revoked = chain.a.send(chain.contracts.tokens.revoke_many(children[:2], parent))

    assert [event.child for event in granted.events if isinstance(event, Granted)] == children
    assert len(revoked.events) == 2
    active = [
        grant.active
        for grant in chain.contracts.tokens.grants_of([(parent, child) for child in children])
    ]
    assert active == [False, False, True]


def test_a_grant_needs_an_existing_parent_and_a_future_expiry(chain: Chain) -> None:
    child = chain.mint(chain.users[0])
    parent = chain.mint(chain.b, AssetKind.ALGORITHM, [child])

    with pytest.raises(errors.UnknownToken):
        chain.grant(chain.users[0], child, fresh())
    with pytest.raises(errors.ExpiryPassed) as refused:
        chain.grant(chain.users[0], child, parent, expiry=1)

    assert refused.value.arguments == {"expiry": 1}


def test_a_user_without_funds_mints_through_a_relayer(chain: Chain) -> None:
    """Acceptance: 70."""
    user = chain.account(enrol=True)
    proof, ddo = fresh(), fresh()
    typed = typed_data.mint(chain.network, user.address, AssetKind.DATA, proof, ddo, FAR)
    signature = user.signer.sign_full(typed)

    intent = chain.contracts.tokens.mint_by_sig(
        user.address, AssetKind.DATA, proof, ddo, signature, FAR
    )
    event = chain.b.send(intent).event(TokenMinted)

    assert event.owner == user.address
    assert recover_typed(typed, signature) == user.address
    assert event.dt == chain.contracts.tokens.dt_of(user.address, proof)


def test_a_relayer_cannot_change_what_was_signed(chain: Chain) -> None:
    user, relayer = chain.users[0], chain.b
    proof, ddo = fresh(), fresh()
    typed = typed_data.mint(chain.network, user.address, AssetKind.DATA, proof, ddo, FAR)
    signature = user.signer.sign_full(typed)

    with pytest.raises(errors.InvalidSignature):
        relayer.send(
            chain.contracts.tokens.mint_by_sig(
                user.address, AssetKind.DATA, proof, fresh(), signature, FAR
            )
        )


class TestSignedGrants:
    """A relayer carries grants and revocations; it can neither replay nor block."""

    @pytest.fixture
    def pair(self, chain: Chain) -> tuple[str, str]:
        child = chain.mint(chain.users[0])
        return child, chain.mint(chain.b, AssetKind.ALGORITHM, [child])

    @staticmethod
    def _grant(chain: Chain, pair: tuple[str, str], epoch: int, deadline: int = FAR) -> object:
        fields = (*pair, FAR, 5, epoch, deadline)
        typed = typed_data.grant(chain.network, *fields)
        signature = chain.users[0].signer.sign_full(typed)
        return chain.contracts.tokens.grant_by_sig(*fields, signature)

    @staticmethod
    def _revoke(chain: Chain, pair: tuple[str, str], epoch: int) -> object:
        typed = typed_data.revoke(chain.network, *pair, epoch, FAR)
        signature = chain.users[0].signer.sign_full(typed)
        return chain.contracts.tokens.revoke_by_sig(*pair, epoch, FAR, signature)

    def test_a_relayer_sends_a_signed_grant(self, chain: Chain, pair: tuple[str, str]) -> None:
        """Acceptance: 41."""
        event = chain.a.send(self._grant(chain, pair, 0)).event(Granted)

        child, parent = pair
        assert event.owner == chain.users[0].address
        assert chain.reader().grant(parent, child).max_rounds == 5

    def test_replayed_signed_grant_after_a_revocation(
        self, chain: Chain, pair: tuple[str, str]
    ) -> None:
        """Acceptance: 41."""
        intent = self._grant(chain, pair, 0)
        chain.a.send(intent)
        chain.users[0].send(chain.contracts.tokens.revoke(*pair))

        with pytest.raises(errors.StaleEpoch) as refused:
            chain.a.send(intent)

        assert refused.value.arguments == {"stored": 1, "given": 0}

    def test_blocked_signed_revocation(self, chain: Chain, pair: tuple[str, str]) -> None:
        """An older grant sent first does not stop the revocation.

        Acceptance: 41.
        """
        grant, revoke = self._grant(chain, pair, 0), self._revoke(chain, pair, 0)
        chain.a.send(grant)

        chain.a.send(revoke)

        child, parent = pair
        assert not chain.reader().grant(parent, child).active
        with pytest.raises(errors.StaleEpoch):
            chain.a.send(grant)

    def test_a_signature_past_its_deadline(self, chain: Chain, pair: tuple[str, str]) -> None:
        with pytest.raises(errors.SignatureExpired):
            chain.a.send(self._grant(chain, pair, 0, deadline=1))

    def test_a_signature_for_another_registry(self, chain: Chain, pair: tuple[str, str]) -> None:
        elsewhere = dataclasses.replace(chain.network, tokens=chain.network.market)
        fields = (*pair, FAR, 5, 0, FAR)
        signature = chain.users[0].signer.sign_full(typed_data.grant(elsewhere, *fields))

        with pytest.raises(errors.InvalidSignature):
            chain.a.send(chain.contracts.tokens.grant_by_sig(*fields, signature))

    def test_a_malformed_signature(self, chain: Chain, pair: tuple[str, str]) -> None:
        with pytest.raises(BadInputError):
            chain.contracts.tokens.grant_by_sig(*pair, FAR, 5, 0, FAR, "0xzz")
        assert recover_typed(typed_data.revoke(chain.network, *pair, 0, 1), "0x12") is None
