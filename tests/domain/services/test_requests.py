"""Duties of service requests: cover in the order of its tests, deadlines, status, compensation."""

from hashlib import sha256
from typing import Any

import pytest

from tests.support.line_stories import Line, lines_of, measure, order, paid, request, step
from tests.support.supplier_stories import DAY, HOUR, at, tick

PAID, SENT, NOON = at("2022-07-02"), at("2022-07-05 10:00"), at("2022-07-10 12:00")


def sold(*lines: tuple[str, str, str], sent: int = SENT) -> list[Line]:
    return [paid(PAID, "o", *(lines or (("p", "1000.00", "local"),))), order(sent, "o", "dispatched")]


def duties(*story: Line) -> dict[str, Any]:
    return {line["duty"]: line for line in lines_of(*story)["obligation"]}


# ---- what opens, and until when --------------------------------------------------------------------------------------

ON_SITE = {"service-answer": 24 * HOUR, "service-visit": 7 * DAY, "service-complete": 90 * DAY}
NEEDS = [
    ("support", {"service-answer": 24 * HOUR}),
    ("parts", {"service-answer": 24 * HOUR, "service-parts": 48 * HOUR}),
    ("installation", ON_SITE),
    ("maintenance", ON_SITE),
    ("repair", ON_SITE),
]


@pytest.mark.parametrize(("need", "spans"), NEEDS)
def test_a_need_opens_its_duties(need: str, spans: dict[str, int]) -> None:
    said = duties(*sold(), request(NOON, need=need))
    assert {duty: line["due"] - NOON for duty, line in said.items()} == spans
    for duty, line in said.items():
        assert (line["since"], line["at"], line["status"], line["owed_by"]) == (NOON, NOON, "open", "supplier")
        assert line["warn_at"] == NOON + spans[duty] // 2
        assert (line["ref"], line["order_id"], line["product_id"], line["buyer_id"]) == ("q", "o", "p", "b")
        assert (line["reason"], line["done_at"], line["compensation_usd"]) == (None, None, None)
        assert line["rulebook"] == "2022-07-01"


def test_the_line_of_a_duty_field_by_field() -> None:
    said = duties(*sold(), request(NOON, need="support"))["service-answer"]
    assert said == {
        "obligation_id": sha256(b"service-answer|s|q").hexdigest()[:32],
        "duty": "service-answer",
        "owed_by": "supplier",
        "supplier_id": "s",
        "ref": "q",
        "at": NOON,
        "status": "open",
        "reason": None,
        "since": NOON,
        "warn_at": NOON + 12 * HOUR,
        "due": NOON + 24 * HOUR,
        "done_at": None,
        "compensation_usd": None,
        "order_id": "o",
        "product_id": "p",
        "buyer_id": "b",
        "rulebook": "2022-07-01",
    }


def test_the_id_escapes_percent_and_bar() -> None:
    said = duties(*sold(), request(NOON, "a|b%c", need="support"))["service-answer"]
    assert said["obligation_id"] == sha256(b"service-answer|s|a%7Cb%25c").hexdigest()[:32]


@pytest.mark.parametrize(("when", "lines"), [("2022-06-30 23:59:59.999", 0), ("2022-07-01", 1)])
def test_dues_are_in_force_from_2022_07_01(when: str, lines: int) -> None:
    sent = at("2022-06-15")
    story = [paid(sent, "o", ("p", "1", "remote")), order(sent, "o", "dispatched"), request(at(when), need="support")]
    assert len(lines_of(*story, tick(NOON))["obligation"]) == lines
    assert len(lines_of(request(at(when), need="support"), tick(NOON))["obligation"]) == lines, "not covered"


# ---- closing, cancelling, status -------------------------------------------------------------------------------------

CLOSED_BY = {
    "service-answer": {"answered", "parts-sent", "visited", "completed"},
    "service-parts": {"parts-sent", "completed"},
    "service-visit": {"visited", "completed"},
    "service-complete": {"completed"},
}


@pytest.mark.parametrize("kind", ["answered", "parts-sent", "visited", "completed"])
def test_which_step_closes_which_duty(kind: str) -> None:
    said = duties(*sold(), request(NOON, need="repair"), step(NOON + 1, kind))
    said |= {"service-parts": duties(*sold(), request(NOON, need="parts"), step(NOON + 1, kind))["service-parts"]}
    assert {duty for duty, line in said.items() if line["status"] == "met"} == {
        duty for duty, kinds in CLOSED_BY.items() if kind in kinds
    }


DUE = NOON + 24 * HOUR
STATUS = [
    # steps after the request, now, status, at, done_at
    ([], DUE - 12 * HOUR - 1, "open", NOON, None),
    ([], DUE - 12 * HOUR, "at-risk", DUE - 12 * HOUR, None),
    ([], DUE - 1, "at-risk", DUE - 12 * HOUR, None),
    ([], DUE, "breached", DUE, None),
    ([("answered", DUE - 1)], DUE + DAY, "met", DUE - 1, DUE - 1),
    ([("answered", DUE)], DUE, "met", DUE, DUE),
    ([("answered", DUE + 1)], DUE + 1, "breached", DUE, DUE + 1),
    ([("completed", DUE + 5), ("answered", DUE + 7)], DUE + 9, "breached", DUE, DUE + 5),
    ([("answered", NOON - 5)], NOON, "met", NOON, NOON - 5),
    ([("cancelled", DUE)], DUE + DAY, "void", DUE, None),
    ([("cancelled", DUE + 1)], DUE + DAY, "breached", DUE, None),
    ([("cancelled", NOON - 5)], NOON, "void", NOON, None),
    ([("answered", NOON + 5), ("cancelled", NOON + 5)], DUE, "met", NOON + 5, NOON + 5),
    ([("answered", NOON + 6), ("cancelled", NOON + 5)], DUE, "void", NOON + 5, NOON + 6),
    ([("answered", NOON + 5), ("cancelled", NOON + 6)], DUE, "met", NOON + 5, NOON + 5),
    ([("answered", DUE + 6), ("cancelled", NOON + 5)], DUE + 6, "void", NOON + 5, DUE + 6),
]


@pytest.mark.parametrize(("steps", "now", "status", "since", "done_at"), STATUS)
def test_status_at_each_boundary(
    steps: list[tuple[str, int]], now: int, status: str, since: int, done_at: int | None
) -> None:
    story = [request(NOON, need="support"), *(step(when, kind) for kind, when in steps)]
    said = duties(*sold(), *story, tick(now))["service-answer"]
    assert (said["status"], said["at"], said["done_at"]) == (status, since, done_at)


def test_of_steps_of_one_kind_the_first_to_arrive_counts() -> None:
    story = [request(NOON, need="support"), step(NOON + 9, "answered"), step(NOON + 3, "answered")]
    assert duties(*sold(), *story)["service-answer"]["done_at"] == NOON + 9


# ---- cover -----------------------------------------------------------------------------------------------------------

LAST = at("2023-08-06") - 1
COVER = [
    ([], NOON, "repair", "unknown-order"),
    ([order(SENT, "o", "dispatched")], NOON, "repair", "unknown-order"),
    (sold(("other", "1", "local")), NOON, "repair", "unknown-order"),
    ([paid(PAID, "o", ("p", "1", "local"))], NOON, "repair", "not-dispatched"),
    (sold(("p", "1", "none"), sent=NOON + 1), NOON, "repair", "not-dispatched"),
    (sold(("p", "1", "none")), NOON, "support", "no-service"),
    (sold(("p", "1", "remote")), NOON, "repair", "no-service"),
    (sold(("p", "1", "remote")), NOON, "installation", "no-service"),
    (sold(("p", "1", "remote")), NOON, "maintenance", "no-service"),
    (sold(("p", "1", "remote")), LAST + 1, "repair", "no-service"),
    (sold(("p", "1", "local")), LAST + 1, "repair", "expired"),
]


@pytest.mark.parametrize(("story", "when", "need", "reason"), COVER)
def test_the_first_test_that_fails_is_the_reason(story: list[Line], when: int, need: str, reason: str) -> None:
    (said,) = lines_of(*story, request(when, need=need))["obligation"]
    assert (said["duty"], said["status"], said["reason"], said["at"]) == ("service-answer", "not-covered", reason, when)
    nulls = ("since", "warn_at", "due", "done_at", "compensation_usd")
    assert [said[name] for name in nulls] == [None] * 5
    assert (said["order_id"], said["product_id"], said["buyer_id"]) == ("o", "p", "b")
    assert (said["owed_by"], said["rulebook"]) == ("supplier", "2022-07-01")


COVERED = [
    (("p", "1", "remote"), SENT, NOON, "support"),
    (("p", "1", "remote"), SENT, NOON, "parts"),
    (("p", "1", "local"), SENT, NOON, "support"),
    (("p", "1", "local"), NOON, NOON, "repair"),
    (("p", "1", "local"), SENT, LAST, "repair"),
]


@pytest.mark.parametrize(("line", "sent", "when", "need"), COVERED)
def test_covered(line: tuple[str, str, str], sent: int, when: int, need: str) -> None:
    assert duties(*sold(line, sent=sent), request(when, need=need))["service-answer"]["status"] == "open"


def test_thirteen_months_end_with_the_last_day_of_a_shorter_month() -> None:
    story = sold(sent=at("2023-01-31 08:00"))
    assert duties(*story, request(at("2024-02-29 23:59:59.999")))["service-answer"]["status"] == "open"
    assert duties(*story, request(at("2024-03-01")))["service-answer"]["reason"] == "expired"


def test_lines_of_one_product_are_one() -> None:
    story = sold(("p", "600.00", "none"), ("p", "400.00", "local"), ("r", "9000", "local"))
    said = duties(*story, request(NOON), tick(NOON + 7 * DAY))
    assert said["service-visit"]["compensation_usd"] == "20.00"


# ---- compensation ----------------------------------------------------------------------------------------------------

AMOUNTS = [
    ("1000.00", "20.00"),
    ("0.24", "0.00"),
    ("0.25", "0.01"),
    ("0.75", "0.02"),
    ("1.24", "0.02"),
    ("1.25", "0.03"),
    ("24999.74", "499.99"),
    ("24999.75", "500.00"),
    ("25000.00", "500.00"),
    ("99999.00", "500.00"),
]


@pytest.mark.parametrize(("amount", "owed"), AMOUNTS)
def test_compensation_is_two_per_cent_half_cents_up_at_most_500(amount: str, owed: str) -> None:
    said = duties(*sold(("p", amount, "local")), request(NOON), tick(NOON + 7 * DAY))
    assert said["service-visit"]["compensation_usd"] == owed


def test_only_the_first_breached_duty_on_site_carries_it() -> None:
    late = tick(NOON + 90 * DAY)
    both = duties(*sold(), request(NOON), late)
    assert [both[duty]["status"] for duty in ON_SITE] == ["breached"] * 3
    assert [both[duty]["compensation_usd"] for duty in ON_SITE] == [None, "20.00", None]
    visited = duties(*sold(), request(NOON), step(NOON + 1, "visited"), late)
    assert [visited[duty]["compensation_usd"] for duty in ON_SITE] == [None, None, "20.00"]
    done_late = duties(*sold(), request(NOON), step(NOON + 7 * DAY + 1, "completed"), late)
    assert [done_late[duty]["compensation_usd"] for duty in ON_SITE] == [None, "20.00", None]


def test_parts_that_come_late_are_not_compensated() -> None:
    said = duties(*sold(), request(NOON, need="parts"), tick(NOON + 9 * DAY))
    assert (said["service-parts"]["status"], said["service-parts"]["compensation_usd"]) == ("breached", None)


# ---- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "lines"), [(401, 1), (401 + 1, 0)])
def test_a_closed_duty_is_forgotten_400_days_after_it_was_due(days: int, lines: int) -> None:
    story = [*sold(), request(NOON, need="support"), step(NOON, "answered")]
    assert len(lines_of(*story, tick(NOON + days * DAY - 1))["obligation"]) == lines


@pytest.mark.parametrize("days", [519, 520, 521, 522, 523, 524, 525, 530])
def test_a_request_keeps_its_cover_and_amount_when_its_order_is_forgotten(days: int) -> None:
    asked = SENT + 390 * DAY
    seen = measure(SENT + 519 * DAY, "leads", 1)
    said = duties(*sold(), request(asked), seen, tick(SENT + days * DAY))
    assert [said[duty]["compensation_usd"] for duty in ON_SITE] == [None, "20.00", None]


@pytest.mark.parametrize(("days", "reason"), [(519, "expired"), (520, "unknown-order")])
def test_an_order_is_known_for_520_days_after_it_was_dispatched(days: int, reason: str) -> None:
    assert duties(*sold(), request(SENT + days * DAY))["service-answer"]["reason"] == reason
