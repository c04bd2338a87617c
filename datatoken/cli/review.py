"""``datatoken review``: what an owner should see before granting."""

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.syntax import Syntax
from rich.text import Text

from datatoken.cli.arguments import Child, Parent
from datatoken.cli.output import facts
from datatoken.cli.session import Session
from datatoken.roles.review import Code, Review, review
from datatoken.text import clean, show_moment
from datatoken.trace.lineage import upwards
from datatoken.trace.render import lineage_tree

ShowCode = Annotated[bool, typer.Option("--code", help="Print the whole code.")]


def review_command(child: Child, parent: Parent, code: ShowCode = False) -> None:
    """Show who asks for a DT, for what, with which code, parameters, rounds and expiry.

    What is revealed to whom, and what changed in the code since the last grant, too. Nothing
    is sent.

    **Example**

        datatoken review 0xMINE… 0xTHEIRS… --code
    """
    session = Session.current()
    found = review(session.site, child, parent)
    above = upwards(session.site, parent)
    session.output.result(
        {**as_object(found), "granted": found.standing, "above": above.above},
        *shown(found, code=code),
        "",
        Text("Who stands above it so far", style="bold"),
        lineage_tree(above),
    )


def as_object(found: Review) -> dict[str, object]:
    """Return a review as the JSON object that the commands print."""
    return {
        "child": found.child.dt,
        "parent": found.parent.dt,
        "requester": {"account": found.requester, "name": found.requester_name},
        "purpose": found.purpose,
        "members": found.members,
        "codes": [
            {
                "operation": code.operation,
                "name": code.document.name,
                "bundle": code.document.bundle,
                "retired": code.retired,
                "messages": code.document.messages,
                "fixed": code.fixed,
                "schema": code.document.parameters,
                "reveals": code.document.reveals,
                "files": code.files,
                "seen": code.seen,
                "diff": code.diff,
            }
            for code in found.codes
        ],
        "terms": found.terms,
        "recorder": found.recorder,
        "violations": found.violations,
    }


def shown(found: Review, *, code: bool = False) -> list[RenderableType]:
    """Return a review as what is printed for people."""
    terms = found.terms
    limits = [f"{terms.max_rounds} of each kind"] if terms.max_rounds is not None else []
    limits += [f"{count} {kind.value}" for kind, count in terms.max_messages.items()]
    extra = found.child.service.extra_params
    parent = found.parent.service.extra_params
    lines: list[RenderableType] = [
        facts(
            {
                "asset": f"{extra.name or ''} {found.child.dt}".strip(),
                "asked by": f"{found.requester_name or 'unknown'} ({found.requester})",
                "for": f"{parent.name or ''} {found.parent.dt}".strip(),
                "described as": parent.description or "-",
                "purpose": found.purpose or "none is named",
                "together with": f"{found.members - 1} other DTs",
                "rounds": f"your terms: {', '.join(limits) or 'no limit'}",
                "expiry": f"your terms: {show_moment(terms.expiry)}",
                "recorder": found.recorder.account if found.recorder else "none is named",
                "granted now": _standing(found),
            }
        )
    ]
    for one in found.codes:
        lines += _shown_code(one, code=code)
    lines += ["", Text("What leaves", style="bold")]
    lines += [f"  {what} → {to}" for what, to in found.reveals] or ["  nothing is declared"]
    if found.violations:
        lines += ["", Text("It breaks your terms", style="bold red")]
        lines += [f"  {violation}" for violation in found.violations]
    return lines


def _standing(found: Review) -> str:
    grant = found.standing
    if not grant.active:
        return "no (revoked)" if grant.epoch else "no"
    return f"yes, until {show_moment(grant.expiry)}, rounds {grant.max_rounds or 'without limit'}"


def _shown_code(one: Code, *, code: bool) -> list[RenderableType]:
    document = one.document
    fixed = ", ".join(f"{name}={value!r}" for name, value in one.fixed.items())
    free = [name for name in document.parameters if name not in one.fixed]
    lines: list[RenderableType] = [
        "",
        Text(clean(f"Runs {document.name}"), style="bold"),
        facts(
            {
                "  operation": one.operation + (" (RETIRED)" if one.retired else ""),
                "  bundle": document.bundle,
                "  description": document.description or "-",
                "  answers": ", ".join(document.messages) or "-",
                "  fixed": fixed or "-",
                "  free, within the schema": ", ".join(free) or "-",
                "  files": ", ".join(f"{n} ({len(t)})" for n, t in one.files.items())
                or "the store has not got the bundle",
                "  seen before": _seen(one),
            }
        ),
    ]
    if one.diff:
        lines.append(Syntax(clean(one.diff), "diff", word_wrap=True))
    if code:
        for name, text in one.files.items():
            lines.append(Text(clean(f"--- {name}"), style="bold"))
            lines.append(Syntax(clean(text), "python", word_wrap=True))
    return lines


def _seen(one: Code) -> str:
    if one.seen is None:
        return "never: read it (--code)"
    return "the same bytes" if one.seen == one.document.bundle else "other bytes; the diff is below"
