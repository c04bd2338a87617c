"""Administrator, institutions and users, on a real chain."""

from collections.abc import Callable

import pytest

from datatoken.chain import errors
from datatoken.chain.contracts import Contracts
from datatoken.chain.deployment import deploy
from datatoken.chain.events import InstitutionAdded, InstitutionRemoved, UserEnrolled
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.types import AssetKind
from tests.support.chain import Chain, fresh


def test_administrator_deploys_and_owns_the_registries(chain: Chain) -> None:
    """Acceptance: 1."""
    admin = Signer.random()
    chain.anvil.fund(admin.address)

    made = deploy(admin, chain.rpc, chain.profile, journal=chain.folder / "deploy.sqlite")

    contracts = Contracts.at(chain.rpc, made)
    assert contracts.institutions.administrator() == admin.address
    assert contracts.operations.administrator() == admin.address
    assert contracts.view.wiring() == (
        made.institutions,
        made.operations,
        made.tokens,
        made.market,
        made.log,
    )
    made.verify(chain.rpc)
    assert made.network() != chain.network


def test_a_deployment_that_broke_off_goes_on_and_deploys_nothing_twice(chain: Chain) -> None:
    """Acceptance: 1."""
    admin = Signer.random()
    chain.anvil.fund(admin.address)
    journal = chain.folder / "broken.sqlite"
    rpc = _StopsAfter(chain.url, sends=3)
    with pytest.raises(KeyboardInterrupt):
        deploy(admin, rpc, chain.profile, journal=journal)

    first = deploy(admin, chain.rpc, chain.profile, journal=journal)
    second = deploy(admin, chain.rpc, chain.profile, journal=journal)

    assert first == second
    assert _sent(chain, admin.address) == 6


class _StopsAfter(Rpc):
    """Ends the command after some transactions were sent, as Ctrl-C would."""

    def __init__(self, url: str, sends: int) -> None:
        super().__init__(url)
        self._left = sends

    def request(self, method: str, params: object = ()) -> object:  # type: ignore[override]
        if method == "eth_sendRawTransaction":
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        return super().request(method, params)  # type: ignore[arg-type]


def _sent(chain: Chain, address: str) -> int:
    return int(chain.rpc.request("eth_getTransactionCount", [address, "latest"]), 16)


def test_an_institution_is_a_registered_name_with_an_account(chain: Chain) -> None:
    """Acceptance: 2."""
    bank = chain.account()

    receipt = chain.admin.send(chain.contracts.institutions.add_institution(bank.address, "Bank Ä"))

    assert receipt.event(InstitutionAdded).account == bank.address
    assert chain.contracts.institutions.institution(bank.address) == ("Bank Ä", True)
    assert chain.reader().institution(bank.address) == ("Bank Ä", True)
    assert chain.reader().is_participant(bank.address)


@pytest.mark.parametrize("who", ["a", "users"])
def test_only_the_administrator_registers_institutions(chain: Chain, who: str) -> None:
    """Acceptance: 37."""
    caller = chain.a if who == "a" else chain.users[0]
    stranger = chain.account()

    with pytest.raises(errors.OwnableUnauthorizedAccount) as refused:
        caller.send(chain.contracts.institutions.add_institution(stranger.address, "Mine"))

    assert "Only the administrator" in refused.value.diagnostics()
    assert chain.contracts.institutions.institution(stranger.address) == ("", False)


def test_one_account_holds_several_roles(chain: Chain) -> None:
    """Acceptance: 3, 4, 5, 10."""
    data = chain.mint(chain.a, AssetKind.DATA)
    compute = chain.mint(chain.a, AssetKind.COMPUTE)
    algorithm = chain.mint(chain.a, AssetKind.ALGORITHM, [data, compute])

    records = chain.contracts.tokens.tokens([data, compute, algorithm])

    assert {record.owner for record in records} == {chain.a.address}
    assert [record.kind for record in records] == [1, 2, 3]


def test_an_institution_enrols_its_users_and_not_the_administrator(chain: Chain) -> None:
    """Acceptance: 68."""
    user, other = chain.account(), chain.account()
    registry = chain.contracts.institutions

    receipt = chain.a.send(registry.enrol_users([user.address, other.address]))

    assert [event.user for event in receipt.events if isinstance(event, UserEnrolled)] == [
        user.address,
        other.address,
    ]
    assert registry.enroller(user.address) == chain.a.address
    with pytest.raises(errors.NotInstitution):
        chain.admin.send(registry.enrol_user(chain.account().address))


def test_unregistered_user_cannot_publish(chain: Chain) -> None:
    """Acceptance: 39, 69."""
    stranger = chain.account()

    with pytest.raises(errors.NotParticipant) as refused:
        chain.mint(stranger)

    assert stranger.address in refused.value.message
    assert _sent(chain, stranger.address) == 0


def test_a_removed_user_cannot_publish_any_more(chain: Chain) -> None:
    """Acceptance: 39."""
    user = chain.account(enrol=True)
    dt = chain.mint(user)
    before = chain.contracts.institutions.counter()

    chain.a.send(chain.contracts.institutions.remove_user(user.address))

    with pytest.raises(errors.NotParticipant):
        chain.mint(user)
    assert chain.contracts.institutions.counter() > before
    snapshot = chain.reader().snapshot(fresh(), [(dt, fresh())])
    assert snapshot.records[dt].exists
    assert not snapshot.records[dt].owner_active


def test_another_institution_cannot_remove_a_user(chain: Chain) -> None:
    user = chain.account(enrol=True)

    with pytest.raises(errors.NotEnroller):
        chain.b.send(chain.contracts.institutions.remove_user(user.address))

    assert chain.contracts.institutions.is_participant(user.address)


def test_users_lose_their_standing_with_their_institution(
    new_chain: Callable[..., Chain],
) -> None:
    """Acceptance: 39."""
    own = new_chain()
    user = own.users[0]
    own.mint(user)

    receipt = own.admin.send(own.contracts.institutions.remove_institution(own.a.address))

    assert receipt.event(InstitutionRemoved).account == own.a.address
    with pytest.raises(errors.NotParticipant):
        own.mint(user)


def test_a_successor_must_accept_the_administration(new_chain: Callable[..., Chain]) -> None:
    own = new_chain()
    registry = own.contracts.institutions

    own.admin.send(registry.transfer_ownership(own.a.address))
    assert registry.administrator() == own.admin.address
    own.a.send(registry.accept_ownership())

    assert registry.administrator() == own.a.address
