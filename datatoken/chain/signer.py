"""The account that signs: a keystore file (Web3 Secret Storage, version 3) and a password.

Keys are never printed, logged or taken from a command line.
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from datatoken.chain.profiles import ANVIL_CHAIN_ID
from datatoken.errors import KeystoreError, LocalEnvironmentError
from datatoken.types import Address, Hex32

SCRYPT_WORK = 2**18
_MAX_FILE = 64 * 1024

# The accounts of anvil's published mnemonic: everybody has their keys.
PUBLIC_ACCOUNTS = frozenset(
    {
        "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
        "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65",
        "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
        "0x976ea74026e726554db657fa54763abd0c3a0aa9",
        "0x14dc79964da2c08b23698b3d3cc7ca32193d9955",
        "0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
        "0xa0ee7a142d267c1f36714e4a8f75612f20a79720",
        "0xbcd4042de499d14e55001ccbb24a551f3b954096",
        "0x71be63f3384f5fb98995898a86b02fb2426c5788",
        "0xfabb0ac9d68b0b445fb7357272ff202c5651694a",
        "0x1cbd3b2770909d4e10f157cabc84c7264073c9ec",
        "0xdf3e18d64bc6a983f673ab319ccae4f1a57c7097",
        "0xcd3b766ccdd6ae721141f452c550ca635964ce71",
        "0x2546bcd3c84621e976d8185a91a922ae77ecec30",
        "0xbda5747bfd65f08deb54cb465eb87d40e51b197e",
        "0xdd2fd4581271e230360230f9337d5c0430bf44c0",
        "0x8626f6940e2eb28930efb4cef49b2d1f2c9c1199",
    }
)


def refuse_public_key(address: Address, chain_id: int, *, stand_in: bool = False) -> None:
    """Refuse anvil's published keys on any chain but anvil's own.

    Parameters
    ----------
    address : Address
        Account that is to sign.
    chain_id : int
        Chain that the signature is for.
    stand_in : bool
        A local node plays that chain.

    Raises
    ------
    KeystoreError
        When the key is public and the chain is a real one.
    """
    if address.lower() in PUBLIC_ACCOUNTS and chain_id != ANVIL_CHAIN_ID and not stand_in:
        raise KeystoreError(
            f"The key of {address} is published with anvil and is refused on chain {chain_id}.",
            "Create a key of your own.",
        )


class Signer:
    """An account that can sign.

    Parameters
    ----------
    account : LocalAccount
        The key.
    stand_in : bool
        Allow published keys on a chain that a local node plays.
    """

    def __init__(self, account: LocalAccount, *, stand_in: bool = False) -> None:
        self._account = account
        self._stand_in = stand_in
        self.address: Address = account.address.lower()

    @classmethod
    def from_key(cls, key: str | bytes, *, stand_in: bool = False) -> Self:
        """Return the signer of a raw private key (tests and generated accounts)."""
        try:
            return cls(Account.from_key(key), stand_in=stand_in)
        except Exception as error:  # eth-keys raises several unrelated types
            raise KeystoreError("This is not a private key of 32 bytes.") from error

    @classmethod
    def random(cls) -> Self:
        """Return a new account."""
        return cls.from_key(secrets.token_bytes(32))

    @classmethod
    def from_keystore(cls, path: Path, password: str, *, stand_in: bool = False) -> Self:
        """Open a keystore file.

        Raises
        ------
        KeystoreError
            When the file is missing or malformed, or the password is wrong.
        """
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_FILE + 1)
        except OSError as error:
            raise KeystoreError(
                f"The keystore {path} cannot be read: {error.strerror}.",
                "Check the path, or create one with `datatoken key create`.",
            ) from error
        try:
            document = json.loads(content)
            if not isinstance(document, dict) or document.get("version") != 3:
                raise TypeError("not version 3")
        except (ValueError, TypeError) as error:
            raise KeystoreError(f"{path} is not a keystore file (version 3).") from error
        return cls.from_key(_decrypt(path, document, password), stand_in=stand_in)

    @classmethod
    def create(cls, path: Path, password: str, *, work: int = SCRYPT_WORK) -> Self:
        """Create an account and its keystore file, readable by its owner alone.

        Parameters
        ----------
        path : Path
            New file; an existing one is never replaced.
        password : str
            Password, not empty.
        work : int
            scrypt's N, a power of two; smaller is faster and weaker.

        Raises
        ------
        KeystoreError
            When the file exists or the password is empty.
        LocalEnvironmentError
            When the folder is not writable.
        """
        signer = cls.random()
        signer.save(path, password, work=work)
        return signer

    def save(self, path: Path, password: str, *, work: int = SCRYPT_WORK) -> None:
        """Write the key to a new keystore file; see `create`."""
        if not password:
            raise KeystoreError("The password of a keystore must not be empty.")
        document = Account.encrypt(self._account.key, password, kdf="scrypt", iterations=work)
        content = json.dumps(document).encode()
        if path.exists():
            raise KeystoreError(
                f"The keystore {path} exists and is not replaced.", "Choose another file."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise LocalEnvironmentError(
                f"The keystore {path} cannot be written: {error.strerror}."
            ) from error
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def sign_transaction(
        self, fields: Mapping[str, Any], *, stand_in: bool = False
    ) -> tuple[bytes, Hex32]:
        """Sign a transaction and return its raw bytes and its hash.

        Raises
        ------
        KeystoreError
            When the key is a published one and the chain a real one.
        """
        allowed = stand_in or self._stand_in
        refuse_public_key(self.address, int(fields["chainId"]), stand_in=allowed)
        signed = self._account.sign_transaction(dict(fields))
        return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()

    def sign_typed_data(
        self,
        domain: Mapping[str, Any],
        types: Mapping[str, Any],
        message: Mapping[str, Any],
    ) -> str:
        """Sign EIP-712 data; return 65 bytes in hex.

        `types` leaves out `EIP712Domain`, which follows from `domain`.
        """
        self._refuse_domain(domain)
        signed = self._account.sign_typed_data(dict(domain), dict(types), dict(message))
        return "0x" + bytes(signed.signature).hex()

    def sign_full(self, typed_data: Mapping[str, Any]) -> str:
        """Sign a whole EIP-712 message {types, primaryType, domain, message}."""
        self._refuse_domain(typed_data["domain"])
        signed = self._account.sign_typed_data(full_message=dict(typed_data))
        return "0x" + bytes(signed.signature).hex()

    def sign_message(self, content: bytes) -> str:
        """Sign bytes as a personal message (EIP-191); return 65 bytes in hex."""
        signed = self._account.sign_message(encode_defunct(content))
        return "0x" + bytes(signed.signature).hex()

    def _refuse_domain(self, domain: Mapping[str, Any]) -> None:
        if "chainId" in domain:
            refuse_public_key(self.address, int(domain["chainId"]), stand_in=self._stand_in)

    def __repr__(self) -> str:
        """Return the address only: never the key."""
        return f"Signer({self.address})"


def _decrypt(path: Path, document: Mapping[str, Any], password: str) -> bytes:
    try:
        return bytes(Account.decrypt(dict(document), password))
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise KeystoreError(
                f"The password of keystore {path} is wrong.", "Give the right password."
            ) from error
        raise KeystoreError(f"{path} is not a keystore file (version 3).") from error
    except Exception as error:  # eth-keyfile raises KeyError, TypeError and others
        raise KeystoreError(f"{path} is not a keystore file (version 3).") from error
