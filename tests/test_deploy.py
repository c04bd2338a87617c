"""The compose files name commands and options that exist. No container is started here."""

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from typer.main import get_command

from datatoken.cli.app import app as datatoken
from fl_edge.cli.app import app as fl_edge
from rtt_tracer.cli.app import app as rtt_tracer
from rtt_tracer.settings import NetworkSettings

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "deploy").glob("*.yaml"))
PROGRAMS = {"datatoken": datatoken, "fl-edge": fl_edge, "rtt-tracer": rtt_tracer}
EXTRAS = {"flower", "service", "mpc", "ipfs"}


def services_of(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text())["services"].values())


def service_of(path: Path) -> dict[str, Any]:
    """Return the one that is ours, and not Flower's."""
    (found,) = [one for one in services_of(path) if one["command"][0] in PROGRAMS]
    return found


def test_there_is_one_for_each_role() -> None:
    roles = {path.stem for path in FILES}

    assert roles == {
        "recorder",
        "superlink",
        "supernode",
        "gate-proxy",
        "service-private",
        "service-federated",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_command_and_its_options_exist(path: Path) -> None:
    program, name, *given = service_of(path)["command"]

    root = get_command(PROGRAMS[program])
    assert isinstance(root, click.Group)
    command = root.commands[name]

    known = {option for parameter in command.params for option in parameter.opts}
    used = {option.partition("=")[0] for option in given}
    assert used <= known
    required = {
        parameter.opts[0]
        for parameter in command.params
        if parameter.required and parameter.param_type_name == "option"
    }
    assert required <= used


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_container_has_few_rights_and_the_image_what_it_needs(path: Path) -> None:
    for service in services_of(path):
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert all(":ro" in volume or volume.endswith(":/state") for volume in service["volumes"])
        build = service["build"]
        assert (path.parent / build["context"] / build["dockerfile"]).is_file()
        assert set(build["args"]["EXTRAS"].split(",")) <= EXTRAS


def test_state_belongs_to_the_account_that_runs() -> None:
    """A volume takes the owner of the image's folder; root's would end every daemon at once."""
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()

    made = next(n for n, line in enumerate(lines) if line.startswith("RUN install -d"))
    user = next(n for n, line in enumerate(lines) if line.startswith("USER"))
    volume = lines.index("VOLUME /state")
    assert made < user < volume
    uid = lines[user].split()[1]
    assert f"--uid {uid}" in "\n".join(lines)
    assert re.search(rf"-o {uid} .*-m 700 /state", lines[made])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_header_says_whose_the_mounted_files_are(path: Path) -> None:
    header = path.read_text().partition("services:")[0]

    mounted = {
        volume.partition(":")[0].removeprefix("./")
        for service in services_of(path)
        for volume in service["volumes"]
        if volume.startswith("./")
    }
    (owned,) = re.findall(r"chown -R 10001 (.*)", header)
    assert {name.removeprefix("deploy/") for name in owned.split()} == mounted


def test_spu_gets_the_library_that_it_loads() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    spu = text.partition('if [ "$SPU" = 1 ]; then')[2].partition("fi \\")[0]

    assert "libgomp1" in spu
    assert "import spu" in spu


@pytest.mark.parametrize("domain", ["private", "federated"])
def test_parties_bind_the_address_that_they_announce(domain: str) -> None:
    """Behind a bridge it cannot: 0.0.0.0 is refused, the machine's address is not there."""
    path = ROOT / f"deploy/service-{domain}.yaml"
    service = service_of(path)

    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert 'host = "0.0.0.0"' not in path.read_text().replace('for host = "0.0.0.0" it is', "")
    assert "certificate" in path.read_text()
    with pytest.raises(ValueError, match="own address"):
        NetworkSettings(host="0.0.0.0")


def lets_in(name: str) -> bool:
    """Tell what a build's context holds: the last pattern that matches decides."""
    found = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = name.split("/")
        folders = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        tail = pattern.removeprefix("**/")
        if any(
            fnmatch.fnmatchcase(one.rpartition("/")[2] if tail != pattern else one, tail)
            for one in folders
        ):
            found = line.startswith("!")
    return found


def test_an_image_holds_no_secret() -> None:
    """Threat: keys, passwords and rows that lie in the checkout go into a layer."""
    secrets = [
        "deploy/recorder/password",
        "deploy/recorder/recorder.json",
        "deploy/data/rows.csv",
        ".datatoken/keys/password",
        ".git/config",
        ".engines/spu/pyvenv.cfg",
        "node.json",
        "examples/rows.csv",
        "datatoken/__pycache__/types.cpython-311.pyc",
    ]

    assert [name for name in secrets if lets_in(name)] == []
    done = subprocess.run(
        ["git", "check-ignore", "deploy/recorder/password"], cwd=ROOT, check=False
    )
    assert done.returncode == 0


def test_an_image_holds_all_that_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = ["pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]]
    for folder in (*wheel["packages"], *wheel["force-include"]):
        files = (ROOT / folder).rglob("*")
        found = [one for one in files if one.is_file() and "__pycache__" not in one.parts]
        assert found
        wanted += [one.relative_to(ROOT).as_posix() for one in found]

    assert [name for name in wanted if not lets_in(name)] == []


def test_the_supernode_behind_a_gate_reaches_nothing_else() -> None:
    plain = yaml.safe_load((ROOT / "deploy" / "gate-proxy.yaml").read_text())
    stock = plain["services"]["supernode"]

    assert stock["networks"] == ["inside"]
    assert plain["networks"]["inside"] == {"internal": True}
    assert all("/config" not in volume for volume in stock["volumes"])
    program, *given = stock["command"]
    help_text = subprocess.run(
        [Path(sys.executable).parent / program, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {option.partition("=")[0] for option in given} <= set(
        re.findall(r"--[a-z-]+", help_text)
    )
