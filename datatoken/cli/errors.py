"""Runs a command line program: every error is one sentence, a hint and a documented code."""

import json
import os
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import click
import typer
from rich.console import Console
from rich.text import Text
from typer.main import get_command

from datatoken.cli.output import plain
from datatoken.cli.settings import Format, load_settings
from datatoken.errors import BadInputError, DataTokenError, ExitCode
from datatoken.text import clean

INTERRUPTED = 130
DEBUG = "DATATOKEN_DEBUG"


class DeclinedError(DataTokenError):
    """A human was asked and did not agree."""

    exit_code = ExitCode.REFUSED
    code = "DECLINED"


def run(app: typer.Typer, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run `app` and return its exit code; shared by ``datatoken`` and ``fl-edge``.

    With ``--format json`` an object {"error": {code, message, hint, exit_code}} is the
    result on stdout; the sentence is on stderr in either case.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = _wants_json(given)
    try:
        code = get_command(app).main(args=given, prog_name=name, standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.OK
    except DataTokenError as error:
        return _report(error, as_json)
    except click.UsageError as error:
        return _usage(error, as_json)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        return _report(
            DataTokenError(
                f"Something unexpected happened: {type(error).__name__}: {error}",
                f"Please report it; {DEBUG}=1 shows where.",
            ),
            as_json,
        )


def _report(error: DataTokenError, as_json: bool) -> int:
    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("Error: ", "bold red"), clean(error.message)))
    if error.hint:
        console.print(Text(clean(error.hint), style="dim"))
    if as_json:
        _print_object(error.code, error.message, error.hint, error.exit_code, error)
    return int(error.exit_code)


def _usage(error: click.UsageError, as_json: bool) -> int:
    error.show()
    if as_json:
        hint = "Run the command with --help."
        _print_object("USAGE", error.format_message(), hint, ExitCode.USAGE, None)
    return int(ExitCode.USAGE)


def _print_object(
    code: str, message: str, hint: str, exit_code: int, error: DataTokenError | None
) -> None:
    body: dict[str, object] = {
        "code": code,
        "message": message,
        "hint": hint,
        "exit_code": int(exit_code),
    }
    violations = getattr(error, "violations", None)
    if violations:
        body["violations"] = plain(violations)
    body |= plain(getattr(error, "details", {}))
    sys.stdout.write(json.dumps({"error": body}, indent=2) + "\n")
    sys.stdout.flush()


def _wants_json(arguments: Sequence[str]) -> bool:
    """Tell which format is in force, before the command line is known to be right."""
    flags = {name: value for name in ("format", "folder") if (value := _option(arguments, name))}
    config = _option(arguments, "config") or os.environ.get("DATATOKEN_CONFIG")
    try:
        return load_settings(flags, Path(config) if config else None).format is Format.JSON
    except BadInputError:
        return flags.get("format") == Format.JSON.value


def _option(arguments: Sequence[str], name: str) -> str | None:
    found = None
    for argument, following in zip_longest(arguments, arguments[1:]):
        if argument == f"--{name}":
            found = following
        elif argument.startswith(f"--{name}="):
            found = argument.partition("=")[2]
    return found
