"""From introductions to a run: whose are valid, and whether they fit together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import Network
from datatoken.types import Hex32
from rtt_tracer.agreement.introductions import (
    SignedIntroduction,
    certificate_digest,
    check_introduction,
    contacts,
)

if TYPE_CHECKING:
    from rtt_tracer.agreement.plan import Participant, Plan


def known(
    plan: "Plan", found: Iterable[SignedIntroduction], network: Network, now: int
) -> dict[Hex32, SignedIntroduction]:
    """Return the valid introductions of a plan's participants; others are left out.

    A recorder may hand on anything: what is not signed by the participant's own node, or is
    for another run, is as good as missing.
    """
    owners = {one.dt: one.owner for one in plan.participants}
    valid: dict[Hex32, SignedIntroduction] = {}
    for signed in found:
        one = signed.introduction
        if one.dt not in owners or one.dt in valid:
            continue
        if (one.job, one.request, one.run) != (plan.job, plan.request, plan.run):
            continue
        if check_introduction(signed, network, owners[one.dt], now) is None:
            valid[one.dt] = signed
    return valid


def missing(plan: "Plan", introductions: Mapping[Hex32, SignedIntroduction]) -> list[Hex32]:
    """Return the participants that have not introduced themselves."""
    return [dt for dt in plan.dts if dt not in introductions]


def check_introductions(plan: "Plan", introductions: Mapping[Hex32, SignedIntroduction]) -> None:
    """Check that all introductions are there and fit together.

    Raises
    ------
    Refused
        PARTY_MISSING, AGREEMENT_MISMATCH or ALIGNMENT_MISMATCH.
    """
    if absent := missing(plan, introductions):
        names = ", ".join(f"{dt[:10]}…" for dt in absent)
        raise Refused(Reason.PARTY_MISSING, f"No introduction of {names}.")
    for one in plan.participants:
        if why := _unfit(plan, one, introductions[one.dt]):
            raise Refused(
                Reason.AGREEMENT_MISMATCH, f"The introduction of DT {one.dt[:10]}… {why}."
            )
    chosen = [introductions[dt] for dt in plan.dts]
    _check_distinct(chosen)
    _check_engines(plan, introductions)
    _check_alignment(plan, introductions)


def _unfit(plan: "Plan", one: "Participant", signed: SignedIntroduction) -> str | None:
    found = signed.introduction
    if (found.job, found.request, found.run, found.dt) != (
        plan.job,
        plan.request,
        plan.run,
        one.dt,
    ):
        return "is for another run"
    if (found.link is not None) != one.role.linked:
        return f"does not fit the role {one.role.value}: it links, or fails to"
    has_rows = found.rows is not None and found.alignment is not None
    if has_rows != (one.input is not None):
        return f"does not fit the role {one.role.value}: it has rows, or has none"
    return None


def _check_distinct(introductions: Iterable[SignedIntroduction]) -> None:
    """One certificate is one party, one port is one party: nobody stands in for another."""
    found = contacts(introductions)
    certificates = Counter(certificate_digest(one.certificate) for one in found)
    ports = Counter((one.host, one.port) for one in found)
    if certificates and max(certificates.values()) > 1:
        raise Refused(Reason.AGREEMENT_MISMATCH, "Two parties show the same certificate.")
    if ports and max(ports.values()) > 1:
        raise Refused(Reason.AGREEMENT_MISMATCH, "Two parties listen on the same port.")


def _check_engines(plan: "Plan", introductions: Mapping[Hex32, SignedIntroduction]) -> None:
    versions: dict[str, set[str]] = {}
    for one in plan.participants:
        name = introductions[one.dt].introduction.engine
        versions.setdefault(one.role.engine, set()).add(name)
    for engine, found in versions.items():
        if len(found) > 1 and engine != "local":
            raise Refused(
                Reason.AGREEMENT_MISMATCH,
                f"The parties have different engines: {', '.join(sorted(found))}.",
            )


def _check_alignment(plan: "Plan", introductions: Mapping[Hex32, SignedIntroduction]) -> None:
    """All tables must hold the same ids in the same order, but where that is computed."""
    if not any(one.role.value in ("spu.share", "rosetta") for one in plan.inputs):
        return
    rows = {
        (introductions[one.dt].introduction.rows, introductions[one.dt].introduction.alignment)
        for one in plan.inputs
    }
    if len(rows) > 1:
        raise Refused(
            Reason.ALIGNMENT_MISMATCH, "The parties' tables do not hold the same ids in one order."
        )
