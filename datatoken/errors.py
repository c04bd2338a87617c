"""Errors of the SDK: one root, one sentence each, and an exit code that the commands return.

The table in ``docs/reference/exit-codes.md`` is generated from `ExitCode`.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of ``datatoken`` and ``fl-edge``."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    BAD_INPUT = 3
    REFUSED = 4
    CHAIN_UNREACHABLE = 5
    STORE = 6
    KEY = 7
    ENVIRONMENT = 8
    TRANSACTION = 9
    RUN_FAILED = 10


class DataTokenError(Exception):
    """Root of all errors that the SDK raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what happened.
    hint : str
        One sentence: what the user can do about it.
    """

    exit_code: ExitCode = ExitCode.INTERNAL
    code: str = "ERROR"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def diagnostics(self) -> str:
        """Return the message and, where there is one, what to do next."""
        return f"{self.message} {self.hint}".strip()


class BadInputError(DataTokenError):
    """A document, a parameter or a file is not what it must be."""

    exit_code = ExitCode.BAD_INPUT
    code = "BAD_INPUT"


class ChainUnreachableError(DataTokenError):
    """No endpoint of the chain answered in time."""

    exit_code = ExitCode.CHAIN_UNREACHABLE
    code = "CHAIN_UNREACHABLE"


class NodesDisagreeError(ChainUnreachableError):
    """The chain's endpoints contradict each other: at least one of them lies or is broken."""

    code = "NODES_DISAGREE"


class StaleViewError(ChainUnreachableError):
    """The newest block that enough endpoints know is too old."""

    code = "STALE_VIEW"


class RolledBackViewError(ChainUnreachableError):
    """The endpoints show an older chain, or another one, than was seen before."""

    code = "ROLLED_BACK_VIEW"


class WrongChainError(DataTokenError):
    """The endpoint serves another chain than the profile names."""

    exit_code = ExitCode.CHAIN_UNREACHABLE
    code = "WRONG_CHAIN"


class StoreError(DataTokenError):
    """The store has not got a block, or has got other bytes than its CID names."""

    exit_code = ExitCode.STORE
    code = "STORE"


class KeystoreError(DataTokenError):
    """A keystore file is missing, malformed, or its password is wrong."""

    exit_code = ExitCode.KEY
    code = "KEY"


class LocalEnvironmentError(DataTokenError):
    """A port is in use, a folder is not writable, a program is missing."""

    exit_code = ExitCode.ENVIRONMENT
    code = "ENVIRONMENT"


class TransactionError(DataTokenError):
    """A contract reverted a transaction, or it could not be sent."""

    exit_code = ExitCode.TRANSACTION
    code = "TRANSACTION"


class RunFailedError(DataTokenError):
    """A governed run ended without its result."""

    exit_code = ExitCode.RUN_FAILED
    code = "RUN_FAILED"
