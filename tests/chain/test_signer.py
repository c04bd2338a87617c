"""Keystore files: the right password, and no key where it does not belong."""

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from datatoken.chain import signer as signer_module
from datatoken.chain import typed_data
from datatoken.chain.signer import PUBLIC_ACCOUNTS, Signer
from datatoken.errors import ExitCode, KeystoreError, LocalEnvironmentError
from datatoken.signatures import recover_typed
from tests.support.chain import Chain, fresh

LIGHT = 2**10
ANVIL_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


@pytest.fixture
def keystore(tmp_path: Path) -> tuple[Path, Signer]:
    path = tmp_path / "keys" / "admin.json"
    return path, Signer.create(path, "correct horse ß", work=LIGHT)


def test_a_keystore_opens_with_its_password(keystore: tuple[Path, Signer]) -> None:
    path, made = keystore

    opened = Signer.from_keystore(path, "correct horse ß")

    assert opened.address == made.address
    assert opened.sign_message(b"x") == made.sign_message(b"x")


def test_wrong_password(keystore: tuple[Path, Signer]) -> None:
    path, _ = keystore

    with pytest.raises(KeystoreError) as refused:
        Signer.from_keystore(path, "wrong horse")

    assert refused.value.message == f"The password of keystore {path} is wrong."
    assert refused.value.exit_code is ExitCode.KEY
    assert "wrong horse" not in refused.value.diagnostics()


def test_missing_keystore(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError) as refused:
        Signer.from_keystore(tmp_path / "none.json", "x")

    assert "No such file" in refused.value.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"version": 4}',
        b'{"version": 3}',
        b'{"version": 3, "crypto": {}}',
        b'{"version": 3, "crypto": {"kdf": "other"}}',
        b"x" * 100_000,
    ],
)
def test_malformed_keystore(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)

    with pytest.raises(KeystoreError) as refused:
        Signer.from_keystore(path, "x")

    assert "not a keystore file" in refused.value.message


def test_a_keystore_is_its_owners_and_is_never_replaced(keystore: tuple[Path, Signer]) -> None:
    path, _ = keystore
    before = path.read_bytes()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeystoreError):
        Signer.create(path, "x", work=LIGHT)

    assert path.read_bytes() == before


def test_empty_password_and_folder_not_writable(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError):
        Signer.create(tmp_path / "a.json", "", work=LIGHT)
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalEnvironmentError):
        Signer.create(tmp_path / "file" / "a.json", "x", work=LIGHT)

    assert not (tmp_path / "a.json").exists()


def test_other_wallets_keystores_open(tmp_path: Path) -> None:
    account = Account.create()
    path = tmp_path / "geth.json"
    path.write_text(json.dumps(Account.encrypt(account.key, "pw", kdf="pbkdf2", iterations=1000)))

    assert Signer.from_keystore(path, "pw").address == account.address.lower()


def test_secret_never_in_a_text(keystore: tuple[Path, Signer]) -> None:
    signer = Signer.from_key(ANVIL_KEY)

    assert ANVIL_KEY[2:10] not in f"{signer!r} {signer} {vars(signer)}"


@pytest.mark.parametrize("key", ["", "0x12", "zz", "0x" + "00" * 32])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(KeystoreError):
        Signer.from_key(key)


def test_signatures_are_what_everybody_can_check(chain: Chain) -> None:
    signer = Signer.random()
    typed = typed_data.revoke(chain.network, fresh(), fresh(), 0, 1)
    types = {key: value for key, value in typed["types"].items() if key != "EIP712Domain"}

    split = signer.sign_typed_data(typed["domain"], types, typed["message"])

    assert split == signer.sign_full(typed)
    assert recover_typed(typed, split) == signer.address
    message = encode_defunct(b"hello")
    signature = signer.sign_message(b"hello")
    assert Account.recover_message(message, signature=signature).lower() == signer.address


def test_anvils_keys_are_refused_elsewhere() -> None:
    signer = Signer.from_key(ANVIL_KEY)
    fields = {"nonce": 0, "gas": 21000, "gasPrice": 1, "value": 0, "data": "0x"}
    domain = {"name": "DataToken", "version": "1", "chainId": 210425}

    with pytest.raises(KeystoreError):
        signer.sign_transaction({**fields, "chainId": 210425})
    with pytest.raises(KeystoreError):
        signer.sign_typed_data(domain, {"A": [{"name": "x", "type": "uint8"}]}, {"x": 1})

    raw, _ = signer.sign_transaction({**fields, "chainId": 31337})
    stand_in, _ = signer.sign_transaction({**fields, "chainId": 20250407}, stand_in=True)
    assert raw != stand_in


def test_the_list_of_public_accounts_is_anvils() -> None:
    Account.enable_unaudited_hdwallet_features()
    words = "test test test test test test test test test test test junk"
    derived = {
        Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{i}").address.lower()
        for i in range(20)
    }

    assert derived == PUBLIC_ACCOUNTS
    assert signer_module.SCRYPT_WORK == 2**18
