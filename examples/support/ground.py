"""The ground that every demo stands on: a chain of its own, the contracts, people's accounts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datatoken.chain.anvil import Anvil
from datatoken.chain.deployment import Deployment
from datatoken.chain.profiles import load_profile
from datatoken.chain.rpc import Rpc
from datatoken.chain.stand_in import start_network
from datatoken.roles.administrator import Administrator
from datatoken.roles.institution import Institution
from datatoken.roles.site import Site
from datatoken.store import open_store
from examples.support.accounts import Account, create_account

Tell = Callable[[str], None]
DEFAULT_NETWORK = "anvil"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(kw_only=True)
class Ground:
    """Chain, contracts, store and accounts; closed as one.

    Attributes
    ----------
    folder : Path
        Everything is in it.
    accounts : dict of str to Account
        ``admin``, ``recorder``, and whoever takes part.
    store : str
        The folder store, or the address of an IPFS node.
    """

    folder: Path
    anvil: Anvil
    deployment: Deployment
    accounts: dict[str, Account]
    store: str
    _sites: list[Site] = field(default_factory=list)

    @property
    def deployment_path(self) -> Path:
        """The deployment file that everybody is configured with."""
        return self.folder / "deployment.json"

    @property
    def chain_state(self) -> Path:
        """What anvil keeps on disk, so that the chain can be stopped and started again."""
        return self.folder / "chain" / "state.json"

    def site(self, account: Account) -> Site:
        """Return a site for an account: its own connection and its own folder."""
        opened = Site.open(self.deployment, self.store, account.folder)
        self._sites.append(opened)
        return opened

    def administrator(self) -> Administrator:
        """Return the administrator's role."""
        return Administrator(self.site(self.accounts["admin"]), self.accounts["admin"].signer)

    def institution(self, name: str) -> Institution:
        """Return an institution by its name."""
        return Institution(self.site(self.accounts[name]), self.accounts[name].signer)

    def restart_chain(self) -> None:
        """Start the chain again where it stopped, on the same port."""
        profile = self.deployment.network_profile()
        self.anvil = start_network(profile, self.anvil.port, self.chain_state)

    def close(self) -> None:
        """Close connections and stop the chain."""
        for site in self._sites:
            site.close()
        self.anvil.stop()


def lay_ground(
    folder: Path,
    names: Sequence[str],
    tell: Tell,
    *,
    network: str = DEFAULT_NETWORK,
    store: str | None = None,
) -> Ground:
    """Start a chain, create and fund the accounts, and deploy the contracts.

    `admin` and `recorder` are created beside `names`; `network` is the profile of the chain,
    `store` an address in place of a folder store.
    """
    profile, store = load_profile(network), store or str(folder / "store")
    check_store(store)
    anvil = start_network(profile, state=folder / "chain" / "state.json")
    try:
        accounts = {
            name: create_account(folder / "accounts", name)
            for name in ("admin", *names, "recorder")
        }
        for account in accounts.values():
            anvil.fund(account.address)
        tell("The administrator deploys the contracts.")
        admin = accounts["admin"]
        with Rpc(anvil.url) as rpc:
            deployment = Administrator.deploy(
                admin.signer, rpc, profile, admin.folder / "journal.sqlite"
            )
        deployment.save(folder / "deployment.json")
    except BaseException:
        anvil.stop()
        raise
    return Ground(folder=folder, anvil=anvil, deployment=deployment, accounts=accounts, store=store)


def check_store(address: str) -> None:
    """Put one document into a store and read it back; raise `DataTokenError`."""
    opened, content = open_store(address), b"DataToken demo"
    opened.get(opened.put(content))
