"""Write the reference pages from the code: ``python docs/reference/generate.py``.

A test compares the pages with the code, so that neither can drift.
"""

import ast
import inspect
from functools import cache
from pathlib import Path

import click
import typer
from typer.main import get_command

from datatoken.authorization.reasons import HINTS, Reason
from datatoken.chain.error_texts import TEXTS
from datatoken.chain.errors import contract_errors
from datatoken.cli.app import app as datatoken
from datatoken.cli.session import PANEL
from datatoken.errors import ExitCode
from fl_edge.cards import cards as fl_cards
from fl_edge.cli.app import app as fl_edge
from rtt_tracer.cards import cards as mpc_cards
from rtt_tracer.cli.app import app as rtt_tracer

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/reference/generate.py; do not edit. -->\n"

MEANINGS = {
    ExitCode.OK: "Done.",
    ExitCode.INTERNAL: "Something unexpected; please report it.",
    ExitCode.USAGE: "The command line is wrong: see `--help`.",
    ExitCode.BAD_INPUT: "A document, a parameter, a file or a setting is not what it must be.",
    ExitCode.REFUSED: "Refused: a [reason](reasons.md), terms that are broken, or nobody agreed.",
    ExitCode.CHAIN_UNREACHABLE: "The chain is out of reach, or is another chain.",
    ExitCode.STORE: "The store has not got a block, or has got other bytes.",
    ExitCode.KEY: "A keystore is missing or malformed, or its password is wrong.",
    ExitCode.ENVIRONMENT: "A port is in use, a folder is not writable, a program is missing.",
    ExitCode.TRANSACTION: "A contract refused a transaction, or it could not be sent.",
    ExitCode.RUN_FAILED: "A governed run ended without its result.",
}


def pages() -> dict[str, str]:
    """Return the reference pages by file name."""
    return {
        "commands.md": commands(datatoken, "datatoken"),
        "fl-edge.md": commands(fl_edge, "fl-edge"),
        "rtt-tracer.md": commands(rtt_tracer, "rtt-tracer"),
        "operations.md": f"# Shipped MPC operations\n\n{NOTE}\n{mpc_cards()}",
        "fl-operations.md": f"# Shipped Flower operations\n\n{NOTE}\n{fl_cards()}",
        "exit-codes.md": exit_codes(),
        "reasons.md": reasons(),
    }


def commands(app: typer.Typer, name: str) -> str:
    """Return a page with every command of a program."""
    root = get_command(app)
    parts = [f"# `{name}`\n\n{NOTE.strip()}", inspect.cleandoc(root.help or "")]
    shared: list[str] = []
    _add(parts, shared, root, name)
    if shared:
        head = "## Settings of every command\n\nFlag, else environment, else `datatoken.toml`."
        parts.append(f"{head}\n\n" + _table(("option", "meaning"), shared))
    parts.append("Exit codes: [exit-codes.md](exit-codes.md).")
    return "\n\n".join(parts) + "\n"


def _add(parts: list[str], shared: list[str], command: click.Command, path: str) -> None:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _add(parts, shared, inner, f"{path} {name}")
        return
    context = click.Context(command, info_name=path)
    arguments: list[str] = []
    options: list[str] = []
    for parameter in command.params:
        panel = getattr(parameter, "rich_help_panel", None)
        line = _row(parameter, context)
        if panel == PANEL:
            if line not in shared:
                shared.append(line)
        elif isinstance(parameter, click.Argument):
            arguments.append(line)
        elif not getattr(parameter, "hidden", False):
            options.append(line)
    parts.append(f"## `{path}`\n\n{inspect.cleandoc(command.help or '')}")
    if arguments:
        parts.append(_table(("argument", "meaning"), arguments))
    if options:
        parts.append(_table(("option", "meaning"), options))


def _row(parameter: click.Parameter, context: click.Context) -> str:
    help_ = " ".join((getattr(parameter, "help", "") or "").split())
    if isinstance(parameter, click.Argument):
        name = str(parameter.metavar or parameter.name).upper()
    else:
        name = ", ".join([*parameter.opts, *parameter.secondary_opts])
        if not getattr(parameter, "is_flag", False):
            name += f" {_metavar(parameter)}"
    default = parameter.get_default(context)
    if callable(default) or default in (None, False, "", [], ()) or parameter.required:
        return f"`{name}` | {help_}"
    return f"`{name}` | {help_} (default `{getattr(default, 'value', default)}`)"


def _metavar(parameter: click.Parameter) -> str:
    if parameter.metavar:
        return parameter.metavar
    if isinstance(parameter.type, click.Choice):
        return "|".join(str(getattr(c, "value", c)) for c in parameter.type.choices)
    return parameter.type.name.upper().replace(" RANGE", "")


def _table(head: tuple[str, str], rows: list[str]) -> str:
    # A bar inside a cell would end it.
    cells = []
    for row in rows:
        name, _, meaning = row.partition("` | ")
        name, meaning = name.replace("|", "\\|"), meaning.replace("|", "\\|")
        cells.append(f"| {name}` | {meaning} |")
    return "\n".join([f"| {head[0]} | {head[1]} |", "|---|---|", *cells])


def exit_codes() -> str:
    """Return the page of exit codes and of the error codes that lead to them."""
    rows = [
        f"| {code.value} | {code.name} | {MEANINGS[code]} | {', '.join(_codes(code)) or '-'} |"
        for code in ExitCode
    ]
    return "\n".join(
        [
            "# Exit codes",
            "",
            NOTE,
            "`datatoken`, `fl-edge` and `rtt-tracer` leave with one of these. One sentence and,",
            "where there is one, a hint are on stderr; with `--format json` the result on stdout",
            'is `{"error": {"code", "message", "hint", "exit_code"}}`, with `violations` where',
            "several things are wrong. 130: interrupted.",
            "",
            "| exit code | name | meaning | `code` in the error object |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _codes(code: ExitCode) -> list[str]:
    """Return the error codes that lead to an exit code, read from the sources."""
    found = {f"`{name}`" for name, leads_to in error_codes().items() if leads_to is code}
    if code is ExitCode.USAGE:
        found.add("`USAGE`")
    if code is ExitCode.TRANSACTION:
        found.add("[contract errors](reasons.md#contract-errors)")
    if code is ExitCode.REFUSED:
        found.add("[reasons](reasons.md)")
    return sorted(found)


@cache
def error_codes() -> dict[str, ExitCode]:
    """Return every `code` that an error class of the packages carries, with its exit code.

    The sources are read instead of imported: what is imported depends on who asks.
    """
    classes: dict[str, ast.ClassDef] = {}
    for package in ("datatoken", "fl_edge", "rtt_tracer"):
        for path in sorted((HERE.parents[1] / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    classes[node.name] = node
    found = {}
    for name, node in classes.items():
        code, exit_code = _field(node, "code"), _inherited(name, classes)
        if isinstance(code, ast.Constant) and exit_code is not None:
            found[str(code.value)] = exit_code
    return found


def _field(node: ast.ClassDef, name: str) -> ast.expr | None:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            targets: list[ast.expr] = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return statement.value
    return None


def _inherited(name: str, classes: dict[str, ast.ClassDef]) -> ExitCode | None:
    node = classes.get(name)
    if node is None:
        return None
    own = _field(node, "exit_code")
    if isinstance(own, ast.Attribute) and own.attr == "exit_code":
        return _inherited(ast.unparse(own.value), classes)
    if isinstance(own, ast.Attribute):
        return ExitCode[own.attr]
    bases = [_inherited(base.id, classes) for base in node.bases if isinstance(base, ast.Name)]
    return next((base for base in bases if base is not None), None)


def reasons() -> str:
    """Return the page of reason codes and contract errors."""
    lines = [
        "# Reason codes",
        "",
        NOTE,
        "Why a gate refuses, in the order of the decision's steps. The same word is in a gate's",
        "log, in the reply to a Flower server and in the `code` of a command's error.",
        "",
        "| code | what to do |",
        "|---|---|",
        *(f"| `{reason.value}` | {HINTS[reason]} |" for reason in Reason),
        "",
        "## Contract errors",
        "",
        "Why a contract refuses. Words in braces are filled in.",
        "",
        "| code | sentence | what to do |",
        "|---|---|---|",
    ]
    for name, kind in sorted(contract_errors().items(), key=lambda item: item[1].code):
        message, hint = TEXTS.get(name, (f"The contract refused: {name}.", ""))
        lines.append(f"| `{kind.code}` | {message} | {hint or '-'} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
