"""The compose files name commands and options that exist. No container is started here."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from typer.main import get_command

from datatoken.cli.app import app as datatoken
from fl_edge.cli.app import app as fl_edge
from rtt_tracer.cli.app import app as rtt_tracer

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
