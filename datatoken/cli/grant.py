"""``datatoken grant``, ``revoke``, ``relay`` and ``delegate``: consent."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.cli.arguments import Child, Dt, Parent, moment, read_bytes, write_text
from datatoken.cli.errors import DeclinedError
from datatoken.cli.review import as_object, shown
from datatoken.cli.session import Session
from datatoken.roles.errors import AgreementError
from datatoken.roles.granting import check_owner
from datatoken.roles.institution import Institution
from datatoken.roles.owner import AssetOwner, sign_delegation
from datatoken.roles.review import review
from datatoken.roles.signed import MAX_SIGNED_BYTES, SignedMint, parse_signed
from datatoken.roles.user import EndUser
from datatoken.text import show_moment

SignOnly = Annotated[
    Path | None, typer.Option(help="Sign for a relayer into this file, and send nothing.")
]


def grant(
    child: Child,
    parent: Parent,
    expiry: Annotated[
        str, typer.Option(help="Until when: a date, Unix seconds, or 30d; 0 for no end.")
    ] = "0",
    max_rounds: Annotated[
        int, typer.Option(min=0, help="Messages of each kind that may run; 0 for no limit.")
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    sign_only: SignOnly = None,
) -> None:
    """Grant an own DT to a parent, after showing the review and asking.

    Refused, with every reason at once, when the parent breaks the DT's terms or does not name
    it. Where terms and grant both set a limit, the tighter one holds. Repeating is safe.

    **Examples**

        datatoken grant 0xMINE… 0xTHEIRS… --max-rounds 10 --expiry 30d --keystore user-1

        datatoken grant 0xMINE… 0xTHEIRS… --yes --sign-only grant.json --keystore user-1
    """
    session = Session.current()
    site = session.site
    check_owner(site, session.signer.address, child)
    reviewed = review(site, child, parent)
    if not session.output.json:
        for item in shown(reviewed):
            session.output.errors.print(item)
    if reviewed.violations:
        raise AgreementError(reviewed.violations)
    until = moment(expiry, site.now())
    limit = f"{max_rounds} rounds" if max_rounds else "no limit of rounds"
    if not yes and not session.confirm(f"Grant it, with {limit}, until {show_moment(until)}?"):
        raise DeclinedError("It was not granted: nobody agreed.", "Answer y, or give --yes.")
    with session.output.progress("Granting …"):
        if sign_only is not None:
            user = EndUser(site, session.signer)
            signed = user.sign_grant(child, parent, expiry=until, max_rounds=max_rounds)
            write_text(sign_only, signed.model_dump_json())
        else:
            owner = session.role(AssetOwner)
            owner.grant(child, parent, expiry=until, max_rounds=max_rounds)
    result = {"granted": sign_only is None, "expiry": until, "max_rounds": max_rounds}
    done = "Granted." if sign_only is None else f"Signed into {sign_only}; have it relayed."
    session.output.result({**as_object(reviewed), **result}, done)


def revoke(child: Child, parent: Parent, sign_only: SignOnly = None) -> None:
    """Revoke a grant: nothing runs from the next message on.

    A signed grant that has not arrived yet is void, too. Repeating is safe.

    **Example**

        datatoken revoke 0xMINE… 0xTHEIRS… --keystore user-1
    """
    session = Session.current()
    with session.output.progress("Revoking …"):
        if sign_only is not None:
            signed = EndUser(session.site, session.signer).sign_revocation(child, parent)
            write_text(sign_only, signed.model_dump_json())
        else:
            session.role(AssetOwner).revoke(child, parent)
    done = "Revoked." if sign_only is None else f"Signed into {sign_only}; have it relayed."
    result = {"child": child, "parent": parent, "revoked": sign_only is None}
    session.output.result(result, done)


def relay(
    file: Annotated[Path, typer.Argument(help="What `--sign-only` has written.")],
) -> None:
    """Send a mint, grant or revocation that an owner without funds has signed.

    **Example**

        datatoken relay mint.json --keystore a
    """
    session = Session.current()
    signed = parse_signed(read_bytes(file, "signed message", MAX_SIGNED_BYTES))
    with session.output.progress("Relaying …"):
        session.role(Institution).relay(signed)
    dt = signed.ddo.dt if isinstance(signed, SignedMint) else signed.child
    session.output.result(
        {"type": signed.type, "owner": signed.owner, "dt": dt},
        f"Relayed the {signed.type} of {dt}.",
    )


def delegate(
    dt: Dt,
    node: Annotated[str, typer.Argument(help="Account of the node's key (address or name).")],
    until: Annotated[str, typer.Option(help="A date, Unix seconds, or 90d.")] = "90d",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
) -> None:
    """Sign that a node's key may sign receipts for an own DT.

    **Example**

        datatoken delegate 0xMINE… node-1 --until 90d -o delegation.json --keystore user-1
    """
    session = Session.current()
    site = session.site
    check_owner(site, session.signer.address, dt)
    expiry = moment(until, site.now())
    signed = sign_delegation(site, session.signer, dt, session.account(node), expiry)
    write_text(output, signed.model_dump_json(indent=2) + "\n")
    text = signed.model_dump_json(indent=2) if output is None else f"Written to {output}."
    session.output.result(signed, text)
