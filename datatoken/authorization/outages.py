"""Errors of chain, store, documents and own state, turned into refusals."""

import sqlite3

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import (
    BadInputError,
    ChainUnreachableError,
    LocalEnvironmentError,
    NodesDisagreeError,
    RolledBackViewError,
    StaleViewError,
    StoreError,
    WrongChainError,
)

_VIEWS = {
    NodesDisagreeError: Reason.NODES_DISAGREE,
    StaleViewError: Reason.STALE_VIEW,
    RolledBackViewError: Reason.ROLLED_BACK_VIEW,
}


class as_refusals:  # noqa: N801 (reads as a statement: with as_refusals())
    """Turn the errors of chain, store and own state into refusals: out of reach means refused."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refused) or error is None:
            return
        if isinstance(error, WrongChainError):
            raise Refused(Reason.WRONG_CHAIN, error.message) from error
        if isinstance(error, ChainUnreachableError):
            reason = _VIEWS.get(type(error), Reason.CHAIN_UNREACHABLE)
            raise Refused(reason, error.message) from error
        if isinstance(error, StoreError):
            raise Refused(Reason.STORE_UNREACHABLE, error.message) from error
        if isinstance(error, BadInputError):
            raise Refused(Reason.MALFORMED_MESSAGE, error.message) from error
        if isinstance(error, LocalEnvironmentError):
            raise Refused(Reason.STATE_UNAVAILABLE, error.message) from error
        if isinstance(error, sqlite3.Error):
            why = f"The gate's own state can't be read or written: {error}."
            raise Refused(Reason.STATE_UNAVAILABLE, why) from error
