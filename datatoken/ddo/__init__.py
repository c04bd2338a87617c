"""DDO models, canonical JSON, proof, workflows, terms and agreement."""

from datatoken.ddo.agreement import Violation, agreement_violations, composition_violations
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ddo.models import (
    SELF,
    Configs,
    Ddo,
    ExtraParams,
    Metadata,
    RecorderRef,
    Service,
    Workflow,
)
from datatoken.ddo.operation import OperationDocument, ReplyPolicy, Reveal, parse_operation
from datatoken.ddo.proof import children_hash, ddo_bytes, dt_of, make_ddo, parse_ddo, proof_of
from datatoken.ddo.terms import Constraint, ParameterSpec, Terms

__all__ = [
    "SELF",
    "Configs",
    "Constraint",
    "Ddo",
    "ExtraParams",
    "Metadata",
    "OperationDocument",
    "ParameterSpec",
    "RecorderRef",
    "ReplyPolicy",
    "Reveal",
    "Service",
    "Terms",
    "Violation",
    "Workflow",
    "agreement_violations",
    "canonical_bytes",
    "children_hash",
    "composition_violations",
    "ddo_bytes",
    "dt_of",
    "make_ddo",
    "parse_ddo",
    "parse_operation",
    "proof_of",
]
