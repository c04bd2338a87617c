"""Which protocols fit which parties, and which are secure without anybody's word for it."""

from collections.abc import Mapping, Sequence

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import BadInputError
from datatoken.types import Scalar
from rtt_tracer.engines.base import Role

PROTOCOL, INSECURE_DEALER = "protocol", "insecure-dealer"
SPU_PARTIES = {"ABY3": 3, "SECURENN": 3, "CHEETAH": 2}
"""SPU's protocols that need no dealer → number of compute parties."""
WITH_DEALER = "SEMI2K"
ROSETTA_PARTIES = {"SecureNN": 3}


def check_protocol(roles: Sequence[Role], parameters: Mapping[str, Scalar]) -> str:
    """Return the protocol of a run; empty where its parties are not linked.

    Parameters
    ----------
    roles : sequence of Role
        Of all participants.
    parameters : mapping
        The effective run configuration: `protocol`, `insecure-dealer`.

    Raises
    ------
    Refused
        PROTOCOL_INSECURE where a trusted dealer would learn everything and nobody has said
        that he knows.
    BadInputError
        When roles, protocol and number of parties do not go together.
    """
    kinds, ranks = set(roles), sum(role.linked for role in roles)
    protocol = str(parameters.get(PROTOCOL, ""))
    if kinds == {Role.LOCAL}:
        return ""
    if kinds == {Role.SPU_INTERSECT}:
        _number(ranks, 2, "An intersection")
        return protocol
    if kinds == {Role.ROSETTA}:
        return _rosetta(protocol or "SecureNN", ranks)
    if kinds == {Role.SPU_SHARE, Role.SPU_COMPUTE}:
        return _spu(protocol, ranks, parameters.get(INSECURE_DEALER) is True)
    found = ", ".join(sorted(role.value for role in kinds))
    raise BadInputError(
        f"Parties with the roles {found} can't run together.",
        "Give data DTs an operation that shares and compute DTs one that computes on shares.",
    )


def _spu(protocol: str, ranks: int, dealer: bool) -> str:
    if protocol == WITH_DEALER:
        if not dealer:
            raise Refused(
                Reason.PROTOCOL_INSECURE,
                f"{WITH_DEALER} trusts the first compute party as dealer: it could learn all rows.",
            )
        if ranks < 2:
            _number(ranks, 2, WITH_DEALER)
        return protocol
    _number(ranks, _known(SPU_PARTIES, protocol), protocol)
    return protocol


def _rosetta(protocol: str, ranks: int) -> str:
    _number(ranks, _known(ROSETTA_PARTIES, protocol), f"{protocol} on Rosetta")
    return protocol


def _known(parties: Mapping[str, int], protocol: str) -> int:
    if protocol not in parties:
        raise BadInputError(
            f"There is no protocol {protocol[:40]!r} for these parties.",
            f"Take one of: {', '.join(parties)}.",
        )
    return parties[protocol]


def _number(found: int, needed: int, what: str) -> None:
    if found != needed:
        raise BadInputError(
            f"{what} runs between {needed} parties; the algorithm has {found}.",
            "Compose as many compute DTs as the protocol needs, or take another protocol.",
        )
