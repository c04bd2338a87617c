"""A local chain: starts and stops Foundry's anvil (the native program, never its npm shim)."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from datatoken.chain.profiles import ANVIL_CHAIN_ID
from datatoken.chain.rpc import Rpc
from datatoken.errors import ChainUnreachableError, LocalEnvironmentError

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
_ADDRESS = re.compile(r"Listening on (\d+\.\d+\.\d+\.\d+):(\d+)")
_CPU = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find_anvil() -> Path:
    """Return the native anvil program.

    Looked for in the variable DATATOKEN_ANVIL, in `contracts/node_modules` of the checkout
    and of the working folder, and on PATH.

    Raises
    ------
    LocalEnvironmentError
        When it is nowhere.
    """
    named = os.environ.get("DATATOKEN_ANVIL")
    if named:
        if Path(named).is_file() and os.access(named, os.X_OK):
            return Path(named)
        raise LocalEnvironmentError(f"DATATOKEN_ANVIL names {named}, which is not a program.")
    package = f"anvil-{platform.system().lower()}-{_CPU.get(platform.machine().lower(), 'amd64')}"
    for root in (Path(__file__).resolve().parents[2], Path.cwd()):
        program = root / "contracts/node_modules/@foundry-rs" / package / "bin" / "anvil"
        if program.is_file():
            return program
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    raise LocalEnvironmentError(
        "The local chain needs the program anvil, and it was not found.",
        "Run `npm ci` in contracts/, or set DATATOKEN_ANVIL to the program.",
    )


class Anvil:
    """A running anvil; stop it with `stop` or use it in a `with` block."""

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, log: Path, *, keep_log: bool = True
    ) -> None:
        self.process = process
        self.keep_log = keep_log
        self.url = url
        self.log = log

    @classmethod
    def start(
        cls,
        port: int = 0,
        state: Path | None = None,
        chain_id: int = ANVIL_CHAIN_ID,
        block_time: int = 1,
        mixed_mining: bool = True,
        extra: Sequence[str] = (),
    ) -> Self:
        """Start anvil on 127.0.0.1 and wait until it answers.

        Parameters
        ----------
        port : int
            Port, 0 for any free one.
        state : Path, optional
            File that keeps the chain; written every second, so that it survives a crash.
        chain_id : int
            Chain id to serve.
        block_time : int
            Seconds between blocks, so that the time of view calls stays near the clock.
        mixed_mining : bool
            Mine at once when a transaction comes in, too.
        extra : Sequence[str]
            More options of the program.

        Raises
        ------
        LocalEnvironmentError
            When the program is missing, or ends at once (a port in use).
        """
        command = [str(find_anvil()), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--chain-id", str(chain_id), "--block-time", str(block_time)]
        if mixed_mining:
            command.append("--mixed-mining")
        if state is not None:
            state.parent.mkdir(parents=True, exist_ok=True)
            command += ["--state", str(state), "--state-interval", "1"]
        log = _log_file(state)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *extra],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C at the terminal is ours to handle: we stop anvil last.
                start_new_session=True,
            )
        try:
            url = _wait_until_ready(process, log, port)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return cls(process, url, log, keep_log=state is not None)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return int(self.url.rsplit(":", 1)[1])

    @property
    def running(self) -> bool:
        """Tell whether the process lives."""
        return self.process.poll() is None

    def fund(self, address: str, ether: int = 100) -> None:
        """Set the balance of an account (only a development chain can)."""
        with Rpc(self.url) as rpc:
            rpc.request("anvil_setBalance", [address, hex(ether * 10**18)])

    def stop(self) -> None:
        """End the process; a state file is written before it goes. Safe to repeat."""
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()
        self._clean()

    def kill(self) -> None:
        """End the process without notice, as a crash would."""
        self.process.kill()
        self.process.wait()
        self._clean()

    def _clean(self) -> None:
        if not self.keep_log:
            self.log.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the process."""
        self.stop()


def _log_file(state: Path | None) -> Path:
    if state is not None:
        return state.with_suffix(".log")
    handle, name = tempfile.mkstemp(prefix="datatoken-anvil-", suffix=".log")
    os.close(handle)
    return Path(name)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, port: int) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8", errors="replace")
        if process.poll() is not None:
            reason = text.strip().splitlines()[-1] if text.strip() else "no output"
            raise LocalEnvironmentError(
                f"The local chain did not start: {reason}.",
                f"Is port {port} in use? Choose another one, or 0 for any free one."
                if port
                else f"Its output is in {log}.",
            )
        found = _ADDRESS.search(text)
        if found:
            url = f"http://{found[1]}:{found[2]}"
            if _answers(url):
                return url
        time.sleep(0.02)
    raise LocalEnvironmentError(
        f"The local chain did not answer within {START_TIMEOUT:.0f} seconds.",
        f"Its output is in {log}.",
    )


def _answers(url: str) -> bool:
    try:
        with Rpc(url, timeout=2.0) as rpc:
            # It writes a line for every request: days of gates would fill the disk.
            rpc.request("anvil_setLoggingEnabled", [False])
    except ChainUnreachableError:
        return False
    return True
