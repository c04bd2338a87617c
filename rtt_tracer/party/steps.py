"""What a party's state machine hears, and what it asks its driver to do. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from datatoken.authorization.reasons import Reason, Refused, public_sentence
from datatoken.errors import DataTokenError, ExitCode
from datatoken.rounds.receipts import SignedReceipt
from datatoken.types import Hex32
from rtt_tracer.control.messages import Message, Stop
from rtt_tracer.engines.events import EngineEvent


class State(StrEnum):
    """Where a party's run is; the last four are final."""

    WAITING = "waiting"
    AUTHORISED = "authorised"
    AGREED = "agreed"
    RUNNING = "running"
    FINISHED = "finished"
    REFUSED = "refused"
    """By the own gate."""
    STOPPED = "stopped"
    """By a peer, or by its own operator."""
    FAILED = "failed"
    """Engine, deadline, environment."""

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self in (State.FINISHED, State.REFUSED, State.STOPPED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run has ended at this party."""

    state: State
    reason: str | None = None
    """A `Reason`, or the code of an error that is none."""
    sentence: str = ""
    exit_code: ExitCode | None = None
    told: str | None = None
    """What peers are told instead of the sentence, where that may hold an operation's words."""

    @property
    def stop(self) -> Stop | None:
        """What peers are told: no endpoint, no path; None of a run that has ended well."""
        if self.reason is None:
            return None
        said = public_sentence(self.reason, self.sentence) if self.told is None else self.told
        return Stop(reason=str(self.reason), sentence=said[:1000])

    @property
    def code(self) -> ExitCode:
        """What the party's process returns."""
        if self.exit_code is not None:
            return self.exit_code
        plain = {State.FINISHED: ExitCode.OK, State.REFUSED: ExitCode.REFUSED}
        return plain.get(self.state, ExitCode.RUN_FAILED)


NOT_MINE = frozenset(
    {
        Reason.PARTY_MISSING,
        Reason.CHECKPOINT_MISMATCH,
        Reason.DEADLINE_PASSED,
        Reason.ENGINE_FAILED,
    }
)
"""Reasons that are no refusal of the own gate: something has failed."""


def outcome_of(error: DataTokenError) -> Outcome:
    """Return how an error ends the run."""
    if isinstance(error, Refused):
        state = State.FAILED if error.reason in NOT_MINE else State.REFUSED
        if error.reason is Reason.PARTY_STOPPED:
            state = State.STOPPED
        return Outcome(state, error.reason, error.message)
    return Outcome(State.FAILED, error.code, error.message, error.exit_code)


# What the machine hears


@dataclass(frozen=True, slots=True)
class Heard:
    """A peer has said something; its name is proven by its certificate."""

    dt: Hex32
    message: Message
    at: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A peer can't be reached any more."""

    dt: Hex32


@dataclass(frozen=True, slots=True)
class Granted:
    """The own gate allows a stage."""

    stage: int


@dataclass(frozen=True, slots=True)
class Denied:
    """The own gate refuses a stage, or can't tell."""

    stage: int
    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class EngineSaid:
    """A line of the engine's process."""

    event: EngineEvent


@dataclass(frozen=True, slots=True)
class EngineGone:
    """The engine's process has ended."""

    code: int


@dataclass(frozen=True, slots=True)
class InputsIn:
    """Every share that this party waits for is here, or the own rows are in place."""


@dataclass(frozen=True, slots=True)
class ResultsIn:
    """Every share of the results has come, and they are put together (receivers)."""


@dataclass(frozen=True, slots=True)
class ResultsOut:
    """The own shares of the results are at their receivers."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The own receipt of a stage; it is not stored before all have signed."""

    stage: int
    receipt: SignedReceipt
    at: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that the driver was asked to do has failed."""

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The operator wants the run to end."""


Event = (
    Heard
    | Lost
    | Granted
    | Denied
    | EngineSaid
    | EngineGone
    | InputsIn
    | ResultsIn
    | ResultsOut
    | Signed
    | Trouble
    | Interrupted
)


# What the machine asks for


@dataclass(frozen=True, slots=True)
class Say:
    """Tell all peers, or one."""

    message: Message
    to: Hex32 | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the own gate about a stage; answered by `Granted` or `Denied`."""

    stage: int


@dataclass(frozen=True, slots=True)
class Go:
    """Count the permission of a stage, then let the engine start it (where it takes part)."""

    stage: int
    engine: bool


@dataclass(frozen=True, slots=True)
class StartEngine:
    """All have agreed: start the engine, where it has not been started before."""


@dataclass(frozen=True, slots=True)
class SendShares:
    """Send every linked party its own shares of the rows."""


@dataclass(frozen=True, slots=True)
class SendResults:
    """Send the own shares of the results to their receivers; answered by `ResultsOut`."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign the receipt of a stage; answered by `Signed`."""

    stage: int
    common: Hex32
    commitment: Hex32
    commitments: Mapping[Hex32, Hex32] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Store:
    """All parties have signed a stage: store the own receipt, for the recorder."""

    stage: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something for people: a line of events.jsonl, and a new state where one is given."""

    event: str
    facts: Mapping[str, object] = field(default_factory=dict)
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over here."""

    outcome: Outcome


Action = Say | Ask | StartEngine | Go | SendShares | SendResults | Sign | Store | Note | Finish
