"""Why a gate refuses: stable codes, one sentence each, and what the user can do.

The codes are part of the public interface (docs/reference/reasons.md): a log, a reply to a
Flower server and an exit message all carry the same word.
"""

from enum import StrEnum

from datatoken.errors import DataTokenError, ExitCode


class Reason(StrEnum):
    """Reason codes of a refusal, in the order of the decision's steps."""

    # 0: the view
    CHAIN_UNREACHABLE = "CHAIN_UNREACHABLE"
    STORE_UNREACHABLE = "STORE_UNREACHABLE"
    WRONG_CHAIN = "WRONG_CHAIN"
    STALE_VIEW = "STALE_VIEW"
    ROLLED_BACK_VIEW = "ROLLED_BACK_VIEW"
    NODES_DISAGREE = "NODES_DISAGREE"
    STATE_UNAVAILABLE = "STATE_UNAVAILABLE"
    # 1: job, task, guarantor, recorder, announcement
    JOB_UNKNOWN = "JOB_UNKNOWN"
    JOB_AMBIGUOUS = "JOB_AMBIGUOUS"
    JOB_NOT_OPEN = "JOB_NOT_OPEN"
    TASK_NOT_OPEN = "TASK_NOT_OPEN"
    GUARANTOR_NOT_REGISTERED = "GUARANTOR_NOT_REGISTERED"
    GUARANTOR_NOT_ACCEPTED = "GUARANTOR_NOT_ACCEPTED"
    RECORDER_MISMATCH = "RECORDER_MISMATCH"
    NOT_ANNOUNCED = "NOT_ANNOUNCED"
    # 2: documents
    DOCUMENT_MISSING = "DOCUMENT_MISSING"
    DOCUMENT_MISMATCH = "DOCUMENT_MISMATCH"
    # 3: grants
    NOT_IN_JOB = "NOT_IN_JOB"
    GRANT_MISSING = "GRANT_MISSING"
    GRANT_REVOKED = "GRANT_REVOKED"
    GRANT_EXPIRED = "GRANT_EXPIRED"
    OWNER_REMOVED = "OWNER_REMOVED"
    TOO_FEW_PARTICIPANTS = "TOO_FEW_PARTICIPANTS"
    # 4: the operation
    OPERATION_MISMATCH = "OPERATION_MISMATCH"
    OPERATION_UNSUPPORTED = "OPERATION_UNSUPPORTED"
    OPERATION_NOT_REGISTERED = "OPERATION_NOT_REGISTERED"
    OPERATION_RETIRED = "OPERATION_RETIRED"
    MESSAGE_KIND_NOT_ANSWERED = "MESSAGE_KIND_NOT_ANSWERED"
    LOCK_MISMATCH = "LOCK_MISMATCH"
    # 5: parameters and terms
    PARAMETERS_OUTSIDE_TERMS = "PARAMETERS_OUTSIDE_TERMS"
    PURPOSE_NOT_ACCEPTED = "PURPOSE_NOT_ACCEPTED"
    TERMS_EXPIRED = "TERMS_EXPIRED"
    # 6: the compute request
    REQUEST_MISSING = "REQUEST_MISSING"
    REQUEST_MISMATCH = "REQUEST_MISMATCH"
    REQUEST_SIGNATURE = "REQUEST_SIGNATURE"
    REQUEST_EXPIRED = "REQUEST_EXPIRED"
    REQUEST_REPLAYED = "REQUEST_REPLAYED"
    # 7: rounds
    ROUNDS_EXHAUSTED = "ROUNDS_EXHAUSTED"
    RECORDER_OMISSION = "RECORDER_OMISSION"
    RECORDER_BEHIND = "RECORDER_BEHIND"
    RECORDER_UNREACHABLE = "RECORDER_UNREACHABLE"
    LOG_FORKED = "LOG_FORKED"
    LOG_INVALID = "LOG_INVALID"
    ROUND_TOO_SMALL = "ROUND_TOO_SMALL"
    # at the edge: what came in, what would leave
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
    ENVELOPE_MISMATCH = "ENVELOPE_MISMATCH"
    RUN_NOT_ACCEPTED = "RUN_NOT_ACCEPTED"
    REPLY_WITHHELD = "REPLY_WITHHELD"
    APP_FAILED = "APP_FAILED"
    # between parties of an MPC run
    AGREEMENT_MISMATCH = "AGREEMENT_MISMATCH"
    ALIGNMENT_MISMATCH = "ALIGNMENT_MISMATCH"
    PROTOCOL_INSECURE = "PROTOCOL_INSECURE"
    PARTY_MISSING = "PARTY_MISSING"
    PARTY_STOPPED = "PARTY_STOPPED"
    CHECKPOINT_MISMATCH = "CHECKPOINT_MISMATCH"
    DEADLINE_PASSED = "DEADLINE_PASSED"
    ENGINE_MISSING = "ENGINE_MISSING"
    ENGINE_FAILED = "ENGINE_FAILED"


HINTS: dict[Reason, str] = {
    Reason.CHAIN_UNREACHABLE: "Check that the node runs, then resume the job.",
    Reason.STORE_UNREACHABLE: "Check the store's address, then resume the job.",
    Reason.WRONG_CHAIN: "Compare the chain id of the node with deployment.json.",
    Reason.STALE_VIEW: "Check that the node is in sync and that this machine's clock is right.",
    Reason.ROLLED_BACK_VIEW: "Point the gate to a node that is in sync.",
    Reason.NODES_DISAGREE: "Find out which endpoint lies, and take it out of the deployment file.",
    Reason.STATE_UNAVAILABLE: "Free the disk that the gate's state is on, or its lock.",
    Reason.JOB_UNKNOWN: "Post the algorithm DT to the task market: datatoken job post.",
    Reason.JOB_AMBIGUOUS: "Name the job: fl-edge run --job.",
    Reason.JOB_NOT_OPEN: "Ask the guarantor to reopen it, or post a new job.",
    Reason.TASK_NOT_OPEN: "Create a task and post the algorithm DT to it.",
    Reason.GUARANTOR_NOT_REGISTERED: "A registered institution has to post the job.",
    Reason.GUARANTOR_NOT_ACCEPTED: "Ask an institution that the owner's terms accept to post it.",
    Reason.RECORDER_MISMATCH: "Post the job with the recorder that the DDO names.",
    Reason.NOT_ANNOUNCED: "The composite's owner has to announce the job: datatoken job announce.",
    Reason.DOCUMENT_MISSING: "Put the DDO into the store again: datatoken dt publish.",
    Reason.DOCUMENT_MISMATCH: "The bytes are not the registered ones; fetch them from the owner.",
    Reason.NOT_IN_JOB: "Compose the DT into the algorithm, or run another job.",
    Reason.GRANT_MISSING: "The owner has to grant it: datatoken grant.",
    Reason.GRANT_REVOKED: "The owner has withdrawn the permission; ask the owner.",
    Reason.GRANT_EXPIRED: "The owner has to grant it anew: datatoken grant.",
    Reason.OWNER_REMOVED: "The owner has to be enrolled or registered again.",
    Reason.TOO_FEW_PARTICIPANTS: "Wait for more owners to grant, or agree on a lower minimum.",
    Reason.OPERATION_MISMATCH: "Run the registered bundle, byte for byte: fl-edge run.",
    Reason.OPERATION_UNSUPPORTED: "Ask the owner to support the operation in a new DT.",
    Reason.OPERATION_NOT_REGISTERED: "The administrator has to register it: datatoken op register.",
    Reason.OPERATION_RETIRED: "Use the operation that replaces it.",
    Reason.MESSAGE_KIND_NOT_ANSWERED: "Ask only for what the operation declares.",
    Reason.LOCK_MISMATCH: "Install the versions of the operation's lock.",
    Reason.PARAMETERS_OUTSIDE_TERMS: "Change the parameters, or ask the owner for other terms.",
    Reason.PURPOSE_NOT_ACCEPTED: "Ask the owner whether the purpose can be accepted.",
    Reason.TERMS_EXPIRED: "Ask the owner for a new DT with a later expiry.",
    Reason.REQUEST_MISSING: "Start the run with fl-edge run, which signs a compute request.",
    Reason.REQUEST_MISMATCH: "Sign a request for this job, operation, parameters and audience.",
    Reason.REQUEST_SIGNATURE: "The algorithm's owner has to sign the compute request.",
    Reason.REQUEST_EXPIRED: "Sign a new compute request with a later deadline.",
    Reason.REQUEST_REPLAYED: "Sign a new compute request: each starts one run.",
    Reason.ROUNDS_EXHAUSTED: "Ask the owner for a new grant with more rounds.",
    Reason.RECORDER_OMISSION: "Ask the recorder for the missing receipt; keep its acknowledgement.",
    Reason.RECORDER_BEHIND: "Wait until the recorder has logged the earlier rounds.",
    Reason.RECORDER_UNREACHABLE: "Check the recorder's endpoint, then resume the job.",
    Reason.LOG_FORKED: "Keep both documents: the recorder has shown two histories.",
    Reason.LOG_INVALID: "Keep the document: the recorder has logged what nobody signed.",
    Reason.ROUND_TOO_SMALL: "Sample at least the minimum of participants that the terms name.",
    Reason.MALFORMED_MESSAGE: "Send messages that flwr itself makes.",
    Reason.ENVELOPE_MISMATCH: "Use an unmodified SuperLink.",
    Reason.RUN_NOT_ACCEPTED: "Use an unmodified SuperLink and an app without agents.",
    Reason.REPLY_WITHHELD: "Make the app's reply fit the reply policy of its operation.",
    Reason.APP_FAILED: "See the log at the data owner; the text of the error stays there.",
    Reason.AGREEMENT_MISMATCH: "Compare engine versions, then start all parties from one request.",
    Reason.ALIGNMENT_MISMATCH: "Run an intersection first, so that all tables hold the same ids.",
    Reason.PROTOCOL_INSECURE: "Take a protocol without a dealer, or set insecure-dealer to true.",
    Reason.PARTY_MISSING: "Start every party and open its ports, then sign a new compute request.",
    Reason.PARTY_STOPPED: "See the reason at the party that stopped first.",
    Reason.CHECKPOINT_MISMATCH: "Keep both signed words: a party says other things to others.",
    Reason.DEADLINE_PASSED: "See which party was slow; raise the deadline if it needs longer.",
    Reason.ENGINE_MISSING: "Start the SuperLink, or make the engine: make spu, make rosetta.",
    Reason.ENGINE_FAILED: "See engine.log in the run's folder at the party; it stays there.",
}

PUBLIC: dict[Reason, str] = {
    Reason.CHAIN_UNREACHABLE: "The chain is out of the data owner's reach.",
    Reason.STORE_UNREACHABLE: "The store is out of the data owner's reach.",
    Reason.WRONG_CHAIN: "The data owner's node serves another chain.",
    Reason.STALE_VIEW: "The data owner's view of the chain is too old.",
    Reason.ROLLED_BACK_VIEW: "The data owner's nodes show an older chain than before.",
    Reason.NODES_DISAGREE: "The data owner's nodes contradict each other.",
    Reason.STATE_UNAVAILABLE: "The data owner's own state can't be used.",
    Reason.RECORDER_UNREACHABLE: "The recorder is out of the data owner's reach.",
    Reason.ENGINE_MISSING: "What the run computes with is not there.",
}
"""What others are told: the whole sentence names endpoints and paths, for the owner's log."""

WITHHELD = "The owner's log says why."


def public_sentence(code: str, sentence: str) -> str:
    """Return what somebody else than the owner is told.

    Parameters
    ----------
    code : str
        A `Reason`, or the code of an error that is none: of those nothing is told.
    sentence : str
        What the owner is told.
    """
    if code not in set(Reason):
        return WITHHELD
    return PUBLIC.get(Reason(code), sentence)


class Refused(DataTokenError):  # noqa: N818 (the word of DESIGN)
    """A gate refuses: nothing was started, nothing was lost.

    Parameters
    ----------
    reason : Reason
    detail : str
        One sentence of fact; the hint is added from the catalogue.
    """

    exit_code = ExitCode.REFUSED

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail, HINTS[reason])
        self.reason = reason
        self.code = reason.value

    @property
    def public(self) -> str:
        """What others are told of it, beside code and hint."""
        return public_sentence(self.code, self.message)

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.diagnostics()}"
