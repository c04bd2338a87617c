"""The settings file of a composite's service."""

from pathlib import Path

import pytest

from datatoken.errors import BadInputError
from datatoken.service.assets.models import PolicyMode
from fl_edge.service.settings import load_service

DT = "0x" + "ab" * 32
WHOLE = f"""
name = "A"
deployment = "deployment.json"
store = "https://store.example"
[node]
key = "node.json"
password_file = "password"
[policy]
mode = "refuse"
[[assets]]
dt = "{DT}"
delegation = "delegation.json"
mode = "auto"
superlink = {{ address = "127.0.0.1:8000", insecure = true }}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "service.toml"
    path.write_text(text)
    return path


def test_whole_file(tmp_path: Path) -> None:
    loaded = load_service(write(tmp_path, WHOLE))

    [entry] = loaded.file.assets
    assert loaded.policy(entry).mode is PolicyMode.AUTO
    assert loaded.automatic
    assert (loaded.store, loaded.file.domain) == ("https://store.example", "federated")
    assert loaded.at(loaded.file.node.key) == tmp_path / "node.json"
    assert loaded.run_folder(DT, "1f").is_relative_to(tmp_path / "service")


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ('address = "127.0.0.1:8000"', 'address = "http://127.0.0.1:8000"', "address"),
        ("insecure = true", 'insecure = true, root_certificates = "ca.pem"', "exclude"),
        ('name = "A"', 'name = "A"\ncertificate = "tls.pem"', "together"),
        ('name = "A"', "", "name"),
        ("[node]", "[nodes]", "node: Field required"),
        ('store = "https', 'store = https"', "TOML"),
    ],
)
def test_one_sentence_for_what_is_wrong(tmp_path: Path, old: str, new: str, wrong: str) -> None:
    with pytest.raises(BadInputError, match=wrong):
        load_service(write(tmp_path, WHOLE.replace(old, new)))


def test_dt_that_is_named_twice(tmp_path: Path) -> None:
    again = WHOLE[WHOLE.index("[[assets]]") :]

    with pytest.raises(BadInputError, match="twice"):
        load_service(write(tmp_path, WHOLE + again))
