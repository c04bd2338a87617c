"""Introductions: whose word counts, and whether all of them fit together."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import BadInputError
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.agreement.introductions import (
    Contact,
    SignedIntroduction,
    certificate_digest,
    check_introduction,
    parse_introduction,
    sign_introduction,
)
from rtt_tracer.agreement.joining import known, missing
from rtt_tracer.agreement.plan import Plan
from rtt_tracer.control.certificates import make_certificate
from tests.support.mpc import INTERSECT, NETWORK, NOW, MpcWorld
from tests.support.receipts import delegate


@pytest.fixture(scope="module")
def world() -> MpcWorld:
    return MpcWorld()


@pytest.fixture(scope="module")
def plan(world: MpcWorld) -> Plan:
    return world.plan()


def why(plan: Plan, signed: SignedIntroduction, now: int = NOW) -> str | None:
    dt = signed.introduction.dt
    return check_introduction(signed, NETWORK, plan.of(dt).owner, now)


def test_honest_introduction_survives_the_way_through_a_courier(
    world: MpcWorld, plan: Plan
) -> None:
    signed = world.introduce(plan, world.dts[0])

    read = parse_introduction(canonical_bytes(signed))

    assert read == signed
    assert why(plan, read) is None


def test_forged_introduction_of_another_node_is_refused(world: MpcWorld, plan: Plan) -> None:
    """A stranger, another party's node, and a courier that changes a port."""
    victim, other = world.dts[0], world.dts[1]
    honest = world.introduce(plan, victim)
    stranger = sign_introduction(Signer.random(), honest.delegation, honest.introduction)
    by_other = sign_introduction(
        world.nodes[other].key, world.nodes[other].delegation, honest.introduction
    )
    moved = honest.introduction.model_copy(update={"control": world.contact(
        make_certificate("x", "127.0.0.1")[0])})  # fmt: skip
    changed = honest.model_copy(update={"introduction": moved})

    assert why(plan, stranger) == "the delegated node did not sign it"
    assert why(plan, by_other) == "its delegation is for another DT"
    assert why(plan, changed) == "the delegated node did not sign it"


def test_delegation_must_be_the_owners_current_and_of_this_chain(
    world: MpcWorld, plan: Plan
) -> None:
    dt = world.dts[0]
    key, introduction = world.nodes[dt].key, world.introduce(plan, dt).introduction
    owner = world._owners[dt]
    elsewhere = replace(NETWORK, chain_id=1)
    delegations = {
        "its delegation is not signed by the DT's owner": delegate(
            Signer.random(), dt, key.address, NETWORK
        ),
        "its delegation has expired": delegate(owner, dt, key.address, NETWORK, NOW),
        "its delegation is for another chain or registry": delegate(
            owner, dt, key.address, elsewhere
        ),
    }

    for sentence, delegation in delegations.items():
        assert why(plan, sign_introduction(key, delegation, introduction)) == sentence


def test_courier_can_withhold_an_introduction_and_nothing_else(world: MpcWorld, plan: Plan) -> None:
    """Garbage, foreign and stale introductions are as good as missing."""
    a, b, c, d = world.dts
    good = world.introduce(plan, a)
    handed = [
        world.introduce(plan, b, request=sha256_hex(b"an earlier request"), run="0" * 32),
        world.introduce(plan, c, job=sha256_hex(b"another job")),
        sign_introduction(
            Signer.random(), world.nodes[d].delegation, world.introduce(plan, d).introduction
        ),
        good,
        world.introduce(plan, a),  # a second one: the first counts
    ]

    found = known(plan, handed, NETWORK, NOW)

    assert found == {a: good}
    assert missing(plan, found) == [b, c, d]
    with pytest.raises(Refused) as caught:
        plan.agreed(found)
    assert caught.value.reason is Reason.PARTY_MISSING


def reason(plan: Plan, found: dict[Hex32, SignedIntroduction]) -> Reason:
    with pytest.raises(Refused) as caught:
        plan.agreed(found)
    return caught.value.reason


def test_tables_with_other_ids_are_refused_before_anything_is_shared(
    world: MpcWorld, plan: Plan
) -> None:
    b = world.dts[1]
    for change in ({"alignment": sha256_hex(b"other ids")}, {"rows": 99}):
        found = world.all(plan) | {b: world.introduce(plan, b, **change)}
        assert reason(plan, found) is Reason.ALIGNMENT_MISMATCH


def test_an_intersection_is_for_tables_that_are_not_aligned() -> None:
    world = MpcWorld([("data", INTERSECT)] * 2)
    plan = world.plan()
    found = world.all(plan)
    found |= {world.dts[1]: world.introduce(plan, world.dts[1], rows=7, alignment="0x" + "7" * 64)}

    assert plan.agreed(found)


def test_party_with_another_engine_version_is_refused(world: MpcWorld, plan: Plan) -> None:
    dt = world.dts[3]
    found = world.all(plan) | {dt: world.introduce(plan, dt, engine="spu 0.9.4")}

    assert reason(plan, found) is Reason.AGREEMENT_MISMATCH


def test_certificate_of_one_party_used_by_another_is_refused(world: MpcWorld, plan: Plan) -> None:
    a, b, c, _ = world.dts
    stolen = world.contact(world.certificates[a][0])
    honest = world.all(plan)
    link = honest[c].introduction.link

    as_control = honest | {b: world.introduce(plan, b, control=stolen)}
    as_link = honest | {c: world.introduce(plan, c, link=stolen)}
    for_both = honest | {c: world.introduce(plan, c, control=link, link=link)}

    for found in (as_control, as_link, for_both):
        assert reason(plan, found) is Reason.AGREEMENT_MISMATCH


def test_two_parties_on_one_port_are_refused(world: MpcWorld, plan: Plan) -> None:
    c, d = world.dts[2:]
    found = world.all(plan)
    taken = found[c].introduction.link
    assert taken is not None
    same = world.contact(make_certificate("d", "127.0.0.1")[0], taken.port)

    assert reason(plan, found | {d: world.introduce(plan, d, link=same)}) is (
        Reason.AGREEMENT_MISMATCH
    )


@pytest.mark.parametrize(
    ("party", "change"),
    [(0, {"link": True}), (2, {"link": None}), (0, {"rows": None}), (0, {"alignment": None}),
     (2, {"rows": 5, "alignment": "0x" + "1" * 64})],
)  # fmt: skip
def test_introduction_that_does_not_fit_the_role_is_refused(
    world: MpcWorld, plan: Plan, party: int, change: dict[str, Any]
) -> None:
    dt = world.dts[party]
    if change.get("link"):
        change = {"link": world.contact(make_certificate("l", "127.0.0.1")[0])}
    found = world.all(plan) | {dt: world.introduce(plan, dt, **change)}

    assert reason(plan, found) is Reason.AGREEMENT_MISMATCH


def test_second_certificate_in_the_text_is_refused() -> None:
    """It would let its holder in as well."""
    first, second = (make_certificate("x", "127.0.0.1")[0] for _ in range(2))
    key = make_certificate("x", "127.0.0.1")[1]

    assert certificate_digest(first) != certificate_digest(second)
    for text in (first + second, "", key, first.replace("M", "!", 1), first + " ", " " + first,
                 "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n"):  # fmt: skip
        with pytest.raises(ValidationError):
            Contact(host="127.0.0.1", port=1, certificate=text)


@pytest.mark.parametrize(
    "host",
    ["", "a b", "unix:/tmp/x", "unix:x", "dns:x", "127.0.0.1:80", "127.0.0.1/..", "-x", "a\n", "ü"],
)
def test_host_that_is_none_is_refused(host: str) -> None:
    certificate = make_certificate("x", "127.0.0.1")[0]
    with pytest.raises(ValidationError):
        Contact(host=host, port=1, certificate=certificate)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "bank-a.example", "localhost"])
def test_hosts(host: str) -> None:
    certificate = make_certificate("x", host)[0]
    assert Contact(host=host, port=1, certificate=certificate).host == host


def test_malformed_introductions_are_bad_input(world: MpcWorld, plan: Plan) -> None:
    content = canonical_bytes(world.introduce(plan, world.dts[0]))

    for wrong in (b"", b"{}", content[:-1], content + b" ", b"x" * 20_000, b'{"a":' * 5000):
        with pytest.raises(BadInputError):
            parse_introduction(wrong)
