"""The environment that an app's process inherits: nothing of the owner's in it.

flwr starts an app in a process of its own with the SuperNode's environment. So the launcher
keeps the names below and drops the rest before flwr is even imported. Where an app runs under
the same account, files stay readable to it: give the keystore to another account and use
``--isolation process`` where that matters.
"""

import ctypes
import os
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from datatoken.errors import LocalEnvironmentError

KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
        *("LANG", "LANGUAGE", "TZ", "TERM", "NO_COLOR", "TMPDIR", "TEMP", "TMP"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("FLWR_LOG_LEVEL", "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"),
    }
)
KEPT_PREFIXES = (
    "LC_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "NUMEXPR_",
    "CUDA_",
    "NVIDIA_",
    "TF_",
    "KERAS_",
    "XLA_",
)
PINNED = {
    # A FAB's hash pins its code only as long as nothing else is installed for it.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
}
_PR_SET_DUMPABLE = 4


def app_environment(
    environment: Mapping[str, str], home: Path, passed: Iterable[str] = ()
) -> dict[str, str]:
    """Return the environment for flwr and its apps.

    Parameters
    ----------
    environment : mapping
        The launcher's own.
    home : Path
        The private FLWR_HOME.
    passed : iterable of str
        Further names that the operator lets through.
    """
    names = KEPT | set(passed)
    kept = {
        name: value
        for name, value in environment.items()
        if name in names or name.startswith(KEPT_PREFIXES)
    }
    # flower-superexec and flwr-clientapp are found on PATH: they must be this installation's.
    programs = str(Path(sys.executable).parent)
    kept["PATH"] = os.pathsep.join([programs, kept.get("PATH", os.defpath)])
    return kept | PINNED | {"FLWR_HOME": str(home)}


def replace_environment(environment: Mapping[str, str]) -> None:
    """Make `environment` this process's own, for all that it starts."""
    os.environ.clear()
    os.environ.update(environment)


def hide_process() -> None:
    """Keep other processes of this account out of memory and first environment (Linux).

    Best effort: root can always look, and other systems have other means.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def fresh_home(path: Path) -> Path:
    """Return an empty folder for FLWR_HOME that only this account can enter.

    Raises
    ------
    LocalEnvironmentError
    """
    try:
        if path.is_symlink():
            path.unlink()
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The folder {path} can't be emptied: {error.strerror}.",
            "Give a state folder that this account may write to.",
        ) from None
    return path.resolve()


def lock_state(folder: Path) -> int:
    """Make the state folder and take it for this process; return the lock's handle.

    Raises
    ------
    LocalEnvironmentError
        Another SuperNode uses the folder, or it is not writable.
    """
    import fcntl

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The state folder {folder} can't be used: {error.strerror}.",
            "Give a folder that this account may write to.",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise LocalEnvironmentError(
            f"Another SuperNode uses the state folder {folder}.", "Give each its own --state."
        ) from None
    return handle


def check_port(host: str, port: int) -> None:
    """Refuse a port that is in use.

    Raises
    ------
    LocalEnvironmentError
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LocalEnvironmentError(
                f"Port {port} on {host} can't be used: {error.strerror}.",
                "Give another one with --port, or 0 for any.",
            ) from None
