"""The local stack of ``datatoken up``: a chain that survives, contracts, store and keys."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from datatoken.chain.anvil import Anvil
from datatoken.chain.deployment import Deployment
from datatoken.chain.profiles import load_profile
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.cli.session import keystore_address
from datatoken.errors import (
    DataTokenError,
    KeystoreError,
    LocalEnvironmentError,
    WrongChainError,
)
from datatoken.roles.administrator import Administrator
from datatoken.roles.site import JOURNAL
from datatoken.types import Address

ACCOUNTS = ("administrator", "a", "b", "c", "recorder")
DEFAULT_PORT = 8545
STOP_SECONDS = 15.0
LOW_BALANCE = 10 * 10**18
KEY_WORK = 2**12
"""scrypt's N for the stack's own keys: their password lies beside them."""

STACK = "stack.json"


@dataclass(frozen=True)
class Stack:
    """A local stack: where its chain answers and which process runs it."""

    pid: int
    url: str
    state: str

    @property
    def running(self) -> bool:
        """Tell whether the process still is this stack's chain."""
        command = _command_of(self.pid)
        return "anvil" in command and self.state in command


def account_names(users: int) -> list[str]:
    """Return the names of the stack's accounts."""
    return [*ACCOUNTS, *(f"user-{number}" for number in range(1, users + 1))]


def load_stack(folder: Path) -> Stack | None:
    """Return the stack that was started in a folder last, or None."""
    try:
        return Stack(**json.loads((folder / STACK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def start(folder: Path, port: int, users: int) -> tuple[Stack, Anvil | None]:
    """Start the stack, or find it running; what an earlier start has made is kept.

    Parameters
    ----------
    port : int
        Port of the chain, 0 for any free one.
    users : int
        Accounts for end users beside the named ones.

    Returns
    -------
    tuple of Stack and Anvil or None
        None when it was running already.

    Raises
    ------
    LocalEnvironmentError
        When the port is in use, the folder not writable, or anvil missing.
    """
    folder = folder.resolve()
    found = load_stack(folder)
    if found is not None and found.running:
        return found, None
    _prepare(folder)
    password = _password(folder)
    state = folder / "chain" / "state.json"
    anvil = Anvil.start(port=port, state=state)
    try:
        names = account_names(users)
        addresses = {name: _account(folder, name, password, anvil) for name in names}
        _deploy(folder, password, anvil.url, addresses["administrator"])
        stack = Stack(anvil.pid, anvil.url, str(state))
        _write(folder / STACK, json.dumps(asdict(stack), indent=2))
    except BaseException:
        anvil.stop()
        raise
    return stack, anvil


def stop(folder: Path) -> bool:
    """Stop the stack of a folder; return false when it was not running."""
    stack = load_stack(folder.resolve())
    if stack is None or not stack.running:
        return False
    os.kill(stack.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while stack.running:
        if time.monotonic() > deadline:
            raise LocalEnvironmentError(
                f"The local chain (process {stack.pid}) did not stop.", "End it by hand."
            )
        time.sleep(0.05)
    return True


def _prepare(folder: Path) -> None:
    """Make the folders, so that one that is not writable is found before anything starts."""
    try:
        for path in (folder, folder / "keys", folder / "chain", folder / "store"):
            path.mkdir(parents=True, exist_ok=True)
        (folder / "keys").chmod(0o700)
        probe = folder / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise LocalEnvironmentError(
            f"The folder {folder} is not writable: {error.strerror}.",
            "Choose another one: --folder.",
        ) from error


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise LocalEnvironmentError(f"{path} cannot be written: {error.strerror}.") from error


def _password(folder: Path) -> str:
    path = folder / "keys" / "password"
    if not path.exists():
        _write(path, secrets.token_urlsafe(24), 0o600)
    try:
        return path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise KeystoreError(f"The password file {path} cannot be read.") from error


def _account(folder: Path, name: str, password: str, anvil: Anvil) -> Address:
    path = folder / "keys" / f"{name}.json"
    if not path.exists():
        Signer.create(path, password, work=KEY_WORK)
    address = keystore_address(path)
    if address is None:
        raise KeystoreError(
            f"{path} is not a keystore file.", "Remove it, and run `datatoken up` again."
        )
    fund(anvil.url, address)
    return address


def fund(url: str, address: Address) -> bool:
    """Fill an account on a local chain; return whether it needed it.

    Raises
    ------
    ChainUnreachableError
        When the endpoint is out of reach, or no development chain.
    """
    with Rpc(url) as rpc:
        if int(rpc.request("eth_getBalance", [address, "latest"]), 16) >= LOW_BALANCE:
            return False
        rpc.request("anvil_setBalance", [address, hex(10 * LOW_BALANCE)])
    return True


def _deploy(folder: Path, password: str, url: str, administrator: Address) -> Deployment:
    """Deploy, or take up the deployment of an earlier start on the chain that was kept."""
    path = folder / "deployment.json"
    profile = load_profile("anvil")
    with Rpc(url) as rpc:
        if path.exists():
            found = Deployment.load(path).model_copy(update={"rpc_urls": (url,)})
            with contextlib.suppress(WrongChainError):
                found.verify(rpc)
                found.save(path)
                return found
        signer = Signer.from_keystore(folder / "keys" / "administrator.json", password)
        if signer.address != administrator:
            raise KeystoreError("The administrator's keystore names another account.")
        made = Administrator.deploy(signer, rpc, profile, folder / JOURNAL)
    made.save(path)
    return made


def _command_of(pid: int) -> str:
    """Return the command line of a process, or an empty text: pids are used again."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, UnicodeDecodeError):
        pass
    if Path("/proc/self").exists():
        return ""
    try:
        asked = ["/bin/ps", "-o", "command=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def describe(folder: Path) -> dict[str, object]:
    """Return what there is of a stack, running or not."""
    folder = folder.resolve()
    stack = load_stack(folder)
    running = stack is not None and stack.running
    found: dict[str, object] = {
        "running": running,
        "folder": str(folder),
        "deployment": str(folder / "deployment.json"),
        "store": str(folder / "store"),
        "accounts": {
            path.stem: keystore_address(path) for path in sorted((folder / "keys").glob("*.json"))
        },
    }
    if stack is not None and running:
        found |= {"url": stack.url, "pid": stack.pid}
        try:
            with Rpc(stack.url) as rpc:
                found |= {"chain_id": rpc.chain_id(), "block": rpc.block_number()}
        except DataTokenError as error:
            found["error"] = error.message
    return found
