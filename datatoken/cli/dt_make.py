"""``datatoken dt make``: a metadata document from options."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from datatoken.cli.arguments import hex32, moment, pairs, read_bytes, scalar, write_text
from datatoken.cli.session import Session
from datatoken.ddo.canonical import parse_json, validate
from datatoken.ddo.models import MAX_DDO_BYTES, SELF, Metadata
from datatoken.ddo.tables import TableSchema
from datatoken.errors import BadInputError


def _reference(text: str) -> str:
    return SELF if text == SELF else hex32(text)


def make(
    type_: Annotated[
        str, typer.Option("--type", metavar="data|compute|algorithm", help="Kind of the asset.")
    ],
    name: Annotated[str, typer.Option(help="What people call it.")],
    endpoint: Annotated[str, typer.Option(help="The service's endpoint.")] = "",
    description: Annotated[str | None, typer.Option(help="A sentence on it.")] = None,
    provider: Annotated[str | None, typer.Option(help="Who provides it.")] = None,
    price: Annotated[str | None, typer.Option(help="What it costs.")] = None,
    op: Annotated[
        list[str] | None,
        typer.Option(parser=hex32, metavar="OPERATION", help="Supported; repeatable."),
    ] = None,
    child: Annotated[
        list[str] | None,
        typer.Option(parser=hex32, metavar="DT", help="A child, in order; repeatable."),
    ] = None,
    each: Annotated[
        str | None,
        typer.Option(parser=_reference, metavar="OPERATION|self", help="What every child runs."),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(metavar="INDEX=OPERATION|self", help="What one child runs; repeatable."),
    ] = None,
    self_op: Annotated[
        str | None,
        typer.Option(parser=hex32, metavar="OPERATION", help="What runs at the owner itself."),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATION:KEY=VALUE", help="A fixed parameter; repeatable."),
    ] = None,
    purpose: Annotated[str | None, typer.Option(help="What the children are asked for.")] = None,
    recorder: Annotated[
        str | None, typer.Option(help="Account that logs the rounds (address or name).")
    ] = None,
    recorder_endpoint: Annotated[str, typer.Option(help="The recorder's endpoint.")] = "",
    accept_purpose: Annotated[
        list[str] | None, typer.Option(help="Term: a purpose accepted; repeatable.")
    ] = None,
    accept_guarantor: Annotated[
        list[str] | None, typer.Option(help="Term: a guarantor accepted; repeatable.")
    ] = None,
    expiry: Annotated[
        str | None, typer.Option(help="Term: until when (date, Unix seconds, or 30d).")
    ] = None,
    max_rounds: Annotated[
        int | None, typer.Option(help="Term: messages of each kind for a grant.")
    ] = None,
    max_messages: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=NUMBER", help="Term: the same for train, evaluate or query."),
    ] = None,
    min_participants: Annotated[
        int | None, typer.Option(help="Term: children that must take part (default all).")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE|LOW..HIGH|A,B", help="Term on a parameter; repeatable."),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Columns of the data: a table schema in JSON."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
) -> None:
    r"""Write a metadata document (a DDO without dt and proof); edit it as you like.

    **Examples**

        datatoken dt make --type data --name "My ECG" --op 0xEDGECOMP \
            --max-rounds 10 --allow "learning-rate=0.0..0.1" -o ecg.json

        datatoken dt make --type data --name "Users of A" --child 0x1… --child 0x2… \
            --each 0xEDGECOMP --self-op 0xFEDAVERAGE --recorder recorder -o users.json

        datatoken dt make --type algorithm --name "Heart model" --child 0xUSERS \
            --each self --purpose "heart disease research" -o algorithm.json
    """
    session = Session.current()
    terms = {
        "purposes": accept_purpose,
        "guarantors": [session.account(a) for a in accept_guarantor or []] or None,
        "expiry": moment(expiry, int(time.time())) or None,
        "max_rounds": max_rounds,
        "max_messages": dict(pairs(max_messages)) or None,
        "min_participants": min_participants,
        "parameters": {name_: _constraint(text) for name_, text in _split(allow)} or None,
    }
    extra = {
        "name": name,
        "description": description,
        "provider": provider,
        "price": price,
        "purpose": purpose,
        "terms": _given(terms) or None,
        "recorder": None
        if recorder is None
        else {"account": session.account(recorder), "endpoint": recorder_endpoint},
        "table_schema": None if schema is None else _schema(schema),
    }
    service: dict[str, Any] = {
        "type": type_,
        "endpoint": endpoint,
        "child_dts": child,
        "supported_ops": op,
        "workflows": _workflows(child or [], each, run, self_op, fix),
        "extra_params": _given(extra),
    }
    plain = {"services": [_given(service)]}
    validate(Metadata, plain, "metadata")
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    write_text(output, text + "\n")
    session.output.result(plain, text if output is None else f"Written to {output}.")


def _schema(path: Path) -> dict[str, Any]:
    plain = parse_json(read_bytes(path, "table schema", MAX_DDO_BYTES), path.name, MAX_DDO_BYTES)
    return validate(TableSchema, plain, "table schema").model_dump(mode="json", exclude_none=True)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _split(texts: list[str] | None) -> list[tuple[str, str]]:
    found = []
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not separator:
            raise BadInputError(f"{text!r} is not KEY=VALUE.")
        found.append((name, value))
    return found


def _constraint(text: str) -> dict[str, Any]:
    """Read a term: a range, an enumeration or a constant."""
    low, dots, high = text.partition("..")
    if dots:
        bounds = {"minimum": low, "maximum": high}
        return {name: scalar(value) for name, value in bounds.items() if value}
    if "," in text:
        return {"enum": [scalar(value) for value in text.split(",")]}
    return {"const": scalar(text)}


def _workflows(
    children: list[str],
    each: str | None,
    run: list[str] | None,
    self_op: str | None,
    fix: list[str] | None,
) -> list[dict[str, Any]]:
    stage = {str(i): each for i in range(len(children)) if each is not None}
    for key, value in _split(run):
        stage[key] = _reference(value)
    if self_op is not None:
        stage[SELF] = self_op
    if not stage:
        return []
    parameters: dict[str, dict[str, Any]] = {}
    for operation, value in [text.partition(":")[::2] for text in fix or []]:
        parameters.setdefault(hex32(operation), {}).update(pairs([value]))
    workflow: dict[str, Any] = {"set_ops": [stage]}
    if parameters:
        workflow["configs"] = {"parameters": parameters}
    return [workflow]
