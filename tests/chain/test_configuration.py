"""Profiles and deployment files: one clear sentence for every mistake."""

from pathlib import Path

import pytest

from datatoken.chain.deployment import Deployment
from datatoken.chain.profiles import BUILT_IN, load_profile
from datatoken.errors import BadInputError, LocalEnvironmentError, WrongChainError
from tests.support.chain import Chain

CUSTOM = """
name = "consortium"
chain_id = 4242
finality = "finalized"
confirmations = 2
legacy_gas_price = true
block_time = 3
"""


def test_built_in_profiles() -> None:
    """PlatON rules on the stand-in; a real node is not part of the tests."""
    assert {name: profile.chain_id for name, profile in BUILT_IN.items()} == {
        "anvil": 31337,
        "platon": 210425,
        "platon-dev": 20250407,
        "platon-stand-in": 20250407,
    }
    assert load_profile("platon").finality == "latest"
    assert load_profile("platon").legacy_gas_price
    assert not load_profile("platon").stand_in


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "consortium.toml"
    path.write_text(CUSTOM)

    profile = load_profile(path)

    assert (profile.chain_id, profile.finality, profile.block_time) == (4242, "finalized", 3.0)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name = ", "cannot be read"),
        ("chain_id = 1", "name"),
        (CUSTOM + "colour = 'red'", "colour"),
        (CUSTOM.replace("4242", "'4242'"), "chain_id"),
        (CUSTOM.replace("finalized", "someday"), "finality"),
        (CUSTOM.replace("block_time = 3", "block_time = -3"), "block_time"),
    ],
)
def test_malformed_profiles(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)

    with pytest.raises(BadInputError) as refused:
        load_profile(path)

    assert part in refused.value.message


def test_unknown_and_missing_profiles(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as refused:
        load_profile("mainnet")
    assert "platon" in refused.value.hint
    with pytest.raises(BadInputError):
        load_profile(tmp_path / "none.toml")


def test_a_deployment_file_round_trips(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "new" / "deployment.json"

    chain.deployment.save(path)

    assert Deployment.load(path) == chain.deployment
    assert [entry.name for entry in path.parent.iterdir()] == ["deployment.json"]
    assert chain.deployment.network_profile() == BUILT_IN["anvil"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda text: "", "JSON"),
        (lambda text: text.replace("chain_id", "chainId"), "chain_id"),
        (lambda text: text.replace("0x", "0X", 1), "institutions"),
        (lambda text: text.replace("31337", '"31337"'), "chain_id"),
        (lambda text: text.replace("{", '{"extra": 1,', 1), "extra"),
        (lambda text: text + " " * 70_000, "larger"),
    ],
)
def test_malformed_deployment_files(
    chain: Chain, tmp_path: Path, change: object, part: str
) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(change(chain.deployment_path.read_text()))  # type: ignore[operator]

    with pytest.raises(BadInputError) as refused:
        Deployment.load(path)

    assert part in refused.value.message


def test_a_missing_deployment_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as refused:
        Deployment.load(tmp_path / "none.json")

    assert "datatoken up" in refused.value.hint


def test_a_deployment_file_in_a_folder_not_writable(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalEnvironmentError):
        chain.deployment.save(tmp_path / "file" / "deployment.json")


def test_a_profile_of_another_chain(chain: Chain) -> None:
    mixed = chain.deployment.model_copy(update={"profile": "platon"})

    with pytest.raises(BadInputError):
        mixed.network_profile()


def test_contracts_that_are_not_there(chain: Chain) -> None:
    missing = chain.deployment.model_copy(update={"market": "0x" + "11" * 20})
    exchanged = chain.deployment.model_copy(
        update={"tokens": chain.network.market, "market": chain.network.tokens}
    )

    with pytest.raises(WrongChainError) as refused:
        missing.verify(chain.rpc)
    with pytest.raises(WrongChainError):
        exchanged.verify(chain.rpc)

    assert "no market contract" in refused.value.message
    chain.deployment.verify(chain.deployment.connect())
