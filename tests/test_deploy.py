"""The compose files name commands and options that exist. No container is started here."""

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


def service_of(path: Path) -> dict[str, Any]:
    (service,) = yaml.safe_load(path.read_text())["services"].values()
    found: dict[str, Any] = service
    return found


def test_there_is_one_for_each_role() -> None:
    roles = {path.stem for path in FILES}

    assert roles == {"recorder", "superlink", "supernode", "service-private", "service-federated"}


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
    service = service_of(path)

    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(":ro" in volume or volume.endswith(":/state") for volume in service["volumes"])
    build = service["build"]
    assert (path.parent / build["context"] / build["dockerfile"]).is_file()
    assert set(build["args"]["EXTRAS"].split(",")) <= EXTRAS
