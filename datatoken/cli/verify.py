"""``datatoken verify``: check an asset's documents, or a receipt's place in the log."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.events import RoundLogged
from datatoken.cli.arguments import Dt, read_bytes
from datatoken.cli.output import facts
from datatoken.cli.session import Command, Session
from datatoken.ddo.canonical import parse_json, validate
from datatoken.ddo.proof import dt_of, proof_of
from datatoken.roles.publishing import publication_violations
from datatoken.roles.site import Site
from datatoken.rounds.documents import InclusionProof
from datatoken.store import cid_of

app = typer.Typer(help="Check documents and inclusion proofs.", no_args_is_help=True)
MAX_PROOF = 1024 * 1024


@app.command("dt", cls=Command)
def verify_dt(dt: Dt) -> None:
    """Check that a DT's DDO, proof and id fit its record, and what it names is in order.

    **Example**

        datatoken verify dt 0x…
    """
    session = Session.current()
    site = session.site
    record = site.documents.record(dt)
    ddo = site.documents.ddo(dt)
    computed = dt_of(
        site.network.chain_id,
        site.network.tokens,
        record.owner,
        proof_of(ddo),
        ddo.children,
        record.salt,
    )
    violations = publication_violations(site, ddo.metadata)
    found = {
        "dt": computed,
        "proof": proof_of(ddo),
        "path": cid_of(record.ddo),
        "owner": record.owner,
        "owner_active": site.reader.is_participant(record.owner),
        "violations": violations,
    }
    lines = {
        "dt": f"{computed}: fits owner, proof, children and salt",
        "proof": f"{found['proof']}: fits the metadata",
        "storage path": f"{found['path']}: its bytes fit the record",
        "owner": f"{record.owner}: {'active' if found['owner_active'] else 'REMOVED'}",
    }
    session.output.result(found, facts(lines), *(f"but: {violation}" for violation in violations))


@app.command("receipt", cls=Command)
def verify_receipt(
    proof: Annotated[Path, typer.Argument(help="Inclusion proof (JSON), from the recorder.")],
) -> None:
    """Check that a receipt is in a round that the job's recorder has logged on the chain.

    **Example**

        datatoken verify receipt proof.json
    """
    session = Session.current()
    content = read_bytes(proof, "inclusion proof", MAX_PROOF)
    plain = parse_json(content, "inclusion proof", MAX_PROOF)
    found = validate(InclusionProof, plain, "inclusion proof")
    event = logged_round(session.site, found)
    header = found.header
    value = {
        "receipt": found.receipt,
        "job": header.job,
        "round": header.number,
        "document": header.digest(),
        "head": header.head(),
        "tx_hash": event.tx_hash,
        "block_number": event.block_number,
    }
    session.output.result(value, "The receipt is in the log.", facts(value))


def logged_round(site: Site, proof: InclusionProof) -> RoundLogged:
    """Return the round that an inclusion proof leads to.

    Raises
    ------
    Refused
        RECORDER_OMISSION when the receipt is not under the header's root, LOG_FORKED when the
        chain holds another document for the round, RECORDER_MISMATCH for another recorder's.
    """
    header = proof.header
    if not proof.holds():
        raise Refused(
            Reason.RECORDER_OMISSION, "The proof does not lead from the receipt to the round."
        )
    if (header.chain_id, header.log) != (site.network.chain_id, site.network.log):
        raise Refused(Reason.WRONG_CHAIN, "The proof is of another chain or log.")
    if site.reader.job(header.job).recorder != header.recorder:
        raise Refused(
            Reason.RECORDER_MISMATCH, f"{header.recorder} is not the recorder of the job."
        )
    for event in site.events.history(RoundLogged, job=header.job, sender=header.recorder):
        if isinstance(event, RoundLogged) and event.round == header.number:
            if (event.head, event.document) == (header.head(), header.digest()):
                return event
            raise Refused(
                Reason.LOG_FORKED, f"The chain holds another document for round {header.number}."
            )
    raise Refused(Reason.RECORDER_BEHIND, f"Round {header.number} is not on the chain.")
