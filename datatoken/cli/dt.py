"""``datatoken dt``: check, publish, show and list data tokens."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from datatoken.chain.events import TokenMinted
from datatoken.cli.arguments import Dt, read_bytes, write_text
from datatoken.cli.dt_make import make
from datatoken.cli.output import facts, plain, row, table
from datatoken.cli.session import Command, Session
from datatoken.ddo.canonical import parse_json, validate
from datatoken.ddo.models import MAX_DDO_BYTES, Metadata
from datatoken.ddo.proof import proof_of
from datatoken.roles.errors import CompositionError
from datatoken.roles.owner import AssetOwner
from datatoken.roles.publishing import publication_violations
from datatoken.roles.user import EndUser
from datatoken.store import cid_of
from datatoken.text import show_moment
from datatoken.trace.usage import name_of, party
from datatoken.types import AssetKind

app = typer.Typer(help="Data tokens: describe, check, publish, look up.", no_args_is_help=True)
app.command("make", cls=Command)(make)
MetadataFile = Annotated[Path, typer.Argument(metavar="FILE", help="Metadata: {services: [ … ]}.")]
Salt = Annotated[int, typer.Option(help="Tells two DTs with the same metadata apart.")]


def read_metadata(path: Path) -> Metadata:
    """Read a metadata document; raise `BadInputError` with the first wrong field."""
    content = read_bytes(path, "metadata", MAX_DDO_BYTES)
    return validate(Metadata, parse_json(content, "metadata", MAX_DDO_BYTES), "metadata")


@app.command(cls=Command)
def check(file: MetadataFile) -> None:
    """Check a metadata document against chain and store; nothing is stored or sent.

    **Example**

        datatoken dt check metadata.json
    """
    session = Session.current()
    metadata = read_metadata(file)
    if violations := publication_violations(session.site, metadata):
        raise CompositionError(violations)
    proof = proof_of(metadata)
    session.output.result({"proof": proof, "violations": []}, f"In order; its proof is {proof}.")


@app.command(cls=Command)
def publish(
    file: MetadataFile,
    salt: Salt = 0,
    sign_only: Annotated[
        Path | None,
        typer.Option(help="Sign for a relayer into this file, and send nothing."),
    ] = None,
) -> None:
    """Verify a metadata document, put its DDO into the store, and mint its DT.

    Minting comes last: nothing is left half done. Repeating is safe: the same metadata and
    salt are the same DT.

    **Examples**

        datatoken dt publish metadata.json --keystore a

        datatoken dt publish metadata.json --keystore user-1 --sign-only mint.json
    """
    session = Session.current()
    metadata = read_metadata(file)
    with session.output.progress("Publishing …"):
        if sign_only is not None:
            signed = EndUser(session.site, session.signer).sign_mint(metadata, salt=salt)
            write_text(sign_only, signed.model_dump_json(exclude_none=True))
            ddo = signed.ddo
        else:
            ddo = session.role(AssetOwner).publish(metadata, salt=salt)
    session.output.result({"dt": ddo.dt, "proof": ddo.proof}, ddo.dt)


@app.command(cls=Command)
def show(dt: Dt) -> None:
    """Show a DT's record and its verified DDO.

    **Example**

        datatoken dt show 0x… --format json
    """
    session = Session.current()
    site = session.site
    record = site.documents.record(dt)
    ddo = site.documents.ddo(dt)
    extra = ddo.service.extra_params
    owner = party(site, record.owner)
    path = cid_of(record.ddo)
    value = {"dt": dt, "record": record, "path": path, "owner": owner, "ddo": ddo}
    names = [f"{name_of(site, child)} {child}".strip() for child in ddo.children]
    session.output.result(
        value,
        facts(
            {
                "dt": dt,
                "name": extra.name or "-",
                "type": ddo.service.type,
                "owner": f"{owner.name} {owner.account}".strip(),
                "minted": show_moment(record.minted_at),
                "storage path": path,
                "proof": record.proof,
                "endpoint": ddo.service.endpoint,
                "children": "\n".join(names) or "-",
            }
        ),
        "",
        json.dumps(plain(ddo.service), indent=2, ensure_ascii=False),
    )


@app.command("list", cls=Command)
def list_tokens(
    owner: Annotated[str | None, typer.Option(help="DTs of this account only.")] = None,
    kind: Annotated[str | None, typer.Option(help="data, compute or algorithm.")] = None,
) -> None:
    """List the DTs on the chain.

    **Example**

        datatoken dt list --owner a
    """
    session = Session.current()
    indexed: dict[str, Any] = {} if owner is None else {"owner": session.account(owner)}
    shown = table("dt", "name", "type", "children", "owner")
    found = []
    for event in session.site.events.history(TokenMinted, **indexed):
        assert isinstance(event, TokenMinted)
        type_ = AssetKind(event.kind).name.lower()
        if kind not in (None, type_):
            continue
        name = name_of(session.site, event.dt)
        found.append(
            {
                "dt": event.dt,
                "name": name,
                "type": type_,
                "children": event.children,
                "owner": event.owner,
                "minted_at": event.time,
            }
        )
        row(shown, event.dt, name, type_, event.children, event.owner)
    session.output.result(found, shown)
