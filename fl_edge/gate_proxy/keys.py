"""Keys and certificates that a gate proxy is started with: read and checked before it listens."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    load_ssh_private_key,
    load_ssh_public_key,
)
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, uses_nist_ec_curve

from datatoken.errors import BadInputError

T = TypeVar("T")
HINT = "Make one: ssh-keygen -t ecdsa -b 384 -N '' -f FILE."


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return a SuperNode's private key.

    Raises
    ------
    BadInputError
    """
    try:
        found = _read(path, lambda content: load_ssh_private_key(content, None))
    except TypeError:
        raise BadInputError(f"The key {path} has a passphrase.", HINT) from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise _no_key(path)
    if not uses_nist_ec_curve(found.public_key()):
        raise _no_key(path)
    return found


def read_public_key(path: Path) -> bytes:
    """Return a SuperNode's public key, as flwr sends it.

    Raises
    ------
    BadInputError
    """
    found = _read(path, load_ssh_public_key)
    if not isinstance(found, ec.EllipticCurvePublicKey) or not uses_nist_ec_curve(found):
        raise _no_key(path)
    return public_key_to_bytes(found)


def read_root_certificates(path: Path) -> bytes:
    """Return certificates by which a SuperLink is known.

    Raises
    ------
    BadInputError
    """
    try:
        found = path.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found.decode("ascii"))
    except (ValueError, ssl.SSLError):  # before OSError, which SSLError is
        raise BadInputError(f"{path} holds no certificates (PEM).") from None
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise BadInputError(f"The certificates {path} can't be read: {why}.") from None
    return found


def _read(path: Path, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise BadInputError(f"The key {path} can't be read: {why}.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(path) from None


def _no_key(path: Path) -> BadInputError:
    return BadInputError(f"{path} is no key of a SuperNode.", HINT)
