"""Each status of an obligation or participation is sent once; an obligation ends; many at once are a digest."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.line_alert_stories import ALL, H, obligation, participation
from tests.support.notify_stories import T0, Desk, S
from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.plans import BREACHED_MS
from vigil.app.notify.shown import labels, payload

DAY_MS = 24 * H
MINUTE = 60 * S


def alerts(desk: Desk) -> list[LineAlert]:
    return [change.alert for change in desk.changes() if isinstance(change.alert, LineAlert)]


# ---- obligations


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (obligation("met"), "met"),
        (obligation("void"), "void"),
        (obligation("open", at=0), "open"),
        (obligation("not-covered", reason="expired", since=None, due=None), "not-covered"),
    ],
)
def test_an_obligation_opens_at_risk_and_its_end_resolves_it(end: Any, why: str) -> None:
    desk = Desk(ALL)
    assert desk.say(obligation("open"), obligation(), end) == ["opened at-risk", f"resolved {why}"]
    assert list(desk.book.open_alerts()) == []


def test_a_breach_updates_and_a_late_fulfilment_resolves() -> None:
    desk, late = Desk(ALL), obligation("breached", done_at=T0 + 50 * H)
    assert desk.say(obligation(), obligation("breached")) == ["opened at-risk", "breached breached"]
    assert desk.say(late) == ["resolved closed-late"]
    assert desk.say(late, obligation("breached")) == [], "a breach is sent once"


def test_all_of_it_is_one_alert_and_each_step_has_a_key_of_its_own() -> None:
    desk = Desk(ALL)
    desk.say(obligation(), obligation("breached"), obligation("met"))
    assert len({one.id for one in alerts(desk)}) == 1
    assert len(set(desk.ids())) == 3
    assert len({str(labels(one)) for one in alerts(desk)}) == 1, "an Alertmanager knows an alert by its labels"


def test_a_breach_that_was_never_at_risk_opens() -> None:
    assert Desk(ALL).say(obligation("breached")) == ["opened breached"]
    late = obligation("breached", done_at=T0 + 50 * H)
    assert Desk(ALL).say(late) == ["opened breached", "resolved closed-late"]


def test_what_is_neither_at_risk_nor_breached_is_not_sent() -> None:
    said = (obligation("open"), obligation("met"), obligation("not-covered"), obligation("void"))
    assert Desk(ALL).say(*said) == []


def test_a_line_that_is_deleted_ends_its_alert() -> None:
    desk = Desk(ALL)
    desk.say(obligation())
    assert desk.delete(obligation()) == ["resolved gone"]
    assert len(desk.book.marks) == 0
    assert desk.delete(obligation(ref="unknown")) == []
    desk.say(obligation(ref="late"), obligation("met", ref="late"))
    assert desk.delete(obligation("breached", ref="late")) == []


def test_the_same_status_is_sent_once_however_often_it_is_published_and_after_a_restart() -> None:
    desk = Desk(ALL)
    assert desk.say(obligation(), obligation(), obligation(order_id="order-13")) == ["opened at-risk"]
    for said, expected in ((obligation(), []), (obligation("breached"), ["breached breached"])):
        assert desk.restart() == []
        assert desk.say(said, said) == expected
    desk.restart()
    assert desk.say(obligation("met"), obligation("met")) == ["resolved met"]
    desk.restart()
    assert desk.say(obligation("met"), obligation("breached", at=49)) == ["opened breached"]


def test_a_status_that_comes_back_is_sent_again() -> None:
    desk = Desk(ALL)
    assert desk.say(obligation(), obligation("open", at=0), obligation()) == [
        "opened at-risk", "resolved open", "opened at-risk",
    ]  # fmt: skip
    assert len(set(desk.ids())) == 3, "or a receiver would take the second for the first"


def test_a_breach_that_nobody_fulfils_ends_after_a_week_for_alertmanagers_alone() -> None:
    desk = Desk(ALL.replace('["hook"]', '["hook", "ops"]'))
    desk.say(obligation(), obligation("breached"), obligation(ref="other"))
    assert desk.wait(T0 + BREACHED_MS - MINUTE) == []
    assert desk.wait(T0 + BREACHED_MS) == ["ops resolved expired"]
    assert [one.ref for one in desk.book.firing("ops")] == ["other"], "what is at risk stays"  # type: ignore[union-attr]
    assert desk.say(obligation("breached", done_at=T0 + 300 * H)) == ["resolved closed-late"]
    assert desk.say(obligation("breached")) == []


# ---- participations


def test_each_state_of_a_participation_is_sent_once_and_has_no_end() -> None:
    desk = Desk(ALL)
    said = [participation(), participation(), participation("completed"), participation("completed", reward_by=T0)]
    assert desk.say(*said) == ["noted claimed", "noted completed"]
    assert list(desk.book.open_alerts()) == []
    desk.restart()
    assert desk.say(participation("completed"), participation("no-place")) == ["noted no-place"]
    assert desk.delete(participation()) == []
    assert len(desk.book.marks) == 0


# ---- routes


@pytest.mark.parametrize(
    ("route", "fits", "not_fits"),
    [
        ('kinds = ["obligation"]', [obligation()], [participation()]),
        ('kinds = ["participation"]', [participation()], [obligation()]),
        ('kinds = ["violation"]', [], [obligation(), participation()]),
        ('kinds = ["obligation"]\nduties = ["service-parts"]', [obligation()], [obligation(duty="reward")]),
        ('kinds = ["obligation"]\nstatuses = ["breached"]', [obligation("breached")], [obligation()]),
        ('kinds = ["obligation"]\nowed_by = ["marketplace"]', [obligation(owed_by="marketplace")], [obligation()]),
        ('kinds = ["obligation"]\nsuppliers = ["merchant-?"]', [obligation()], [obligation(supplier_id="x")]),
        (
            'kinds = ["obligation", "participation"]\nsuppliers = ["merchant-*"]\nstatuses = ["refused", "breached"]',
            [participation("refused"), obligation("breached")],
            [participation(), obligation(), participation("refused", "x")],
        ),
        (
            'kinds = ["obligation", "participation"]\nprogrammes = ["strength-pack"]',
            [participation()],
            [obligation(), participation(programme="recruit")],
        ),
    ],
)
def test_a_route_takes_what_matches_it(route: str, fits: list[Any], not_fits: list[Any]) -> None:
    text = f'[[routes]]\nto = ["hook"]\n{route}'
    assert [one for one in fits if not Desk(text).say(one)] == []
    assert [one for one in not_fits if Desk(text).say(one)] == []


def test_the_end_goes_to_those_who_received_the_beginning() -> None:
    more = '[[routes]]\nto = ["chat", "ops"]\nkinds = ["obligation"]\nstatuses = ["at-risk"]\nends = false\n'
    desk = Desk(ALL + more)
    assert sorted(desk.say(obligation())) == ["chat opened at-risk", "opened at-risk", "ops opened at-risk"]
    assert desk.say(obligation("breached")) == ["breached breached"]
    assert sorted(desk.say(obligation("met"))) == ["ops resolved met", "resolved met"], "an Alertmanager always"


QUIET = ALL + 'quiet = [{ from = "00:00", until = "23:59", then = "hold" }]\n'
QUIET_ENDS = T0 - T0 % DAY_MS + DAY_MS - MINUTE


def test_quiet_hours_hold_or_drop_what_is_sent_once_all_the_same() -> None:
    holding = Desk(QUIET)
    assert holding.say(obligation()) == []
    assert holding.wait(QUIET_ENDS - 1) == []
    assert holding.wait(QUIET_ENDS) == ["opened at-risk"]
    dropping = Desk(QUIET.replace("hold", "drop"))
    assert dropping.say(obligation()) == []
    dropping.now = QUIET_ENDS
    assert dropping.say(obligation()) == [], "what is dropped is not sent when it is published again"
    assert dropping.say(obligation("breached")) == ["opened breached"]


# ---- many at once


def month_end(count: int, status: str = "at-risk", first: int = 0) -> list[Any]:
    return [
        obligation(status, f"FR/eee/2022-{number}", supplier_id=f"m-{number}", duty="epr-declaration", at=number % 3)
        for number in range(first, first + count)
    ]


def test_of_many_at_once_some_are_sent_singly_and_the_rest_are_one_digest() -> None:
    desk = Desk(ALL)
    assert len(desk.say(*month_end(300))) == 20
    assert desk.say(obligation()) == ["opened at-risk"], "another duty has a window of its own"
    assert desk.wait(T0 + 10 * MINUTE - 1) == []
    assert desk.wait(T0 + 10 * MINUTE) == ["digest at-risk 280"]
    digest = alerts(desk)[-1]
    assert digest.suppliers == tuple(f"m-{number}" for number in range(20, 30))
    assert (digest.since, digest.at, digest.due) == (T0, T0 + 2 * H, T0 + 48 * H)
    assert payload(desk.changes()[-1])["digest"]["count"] == 280
    assert desk.wait(T0 + 11 * MINUTE) == []
    assert len(desk.say(*month_end(30, first=300))) == 20, "the next window begins anew"


def test_what_stands_in_a_digest_is_settled_and_its_end_is_not_sent() -> None:
    desk = Desk(ALL)
    desk.say(*month_end(30))
    assert desk.book.low_water() != {}
    desk.wait(T0 + 10 * MINUTE)
    assert desk.say(*month_end(30)) == []
    assert len(desk.say(*month_end(30, "met"))) == 20
    assert desk.book.low_water() == {}
    assert desk.restart() == []


def test_what_is_no_longer_so_is_left_out_of_the_digest() -> None:
    desk = Desk(ALL)
    desk.say(*month_end(30))
    desk.say(*month_end(5, "met", first=20), *month_end(3, "breached", first=27))
    assert desk.wait(T0 + 10 * MINUTE) == ["digest at-risk 2"]
    desk = Desk(ALL)
    desk.say(*month_end(21), *month_end(1, "met", first=20))
    assert desk.wait(T0 + 10 * MINUTE) == []


@pytest.mark.parametrize("kill_after", [0, 19, 20, 21, 50])
def test_a_kill_loses_and_repeats_no_line(kill_after: int) -> None:
    desk = Desk(ALL)
    for number, said in enumerate(month_end(60)):
        desk.say(said)
        if number == kill_after:
            desk.restart()
    desk.wait(T0 + 20 * MINUTE)
    singly = [one.ref for one in alerts(desk) if not one.count]
    assert len(set(singly)) == len(singly)
    assert len(singly) + sum(one.count for one in alerts(desk)) == 60
    assert desk.restart() == []


def test_a_digest_that_is_repeated_has_the_same_id() -> None:
    desk = Desk(ALL + "singly = 0\n")
    desk.say(*month_end(5))
    stored = dict(desk.marks)
    desk.wait(T0 + 10 * MINUTE)
    [(_, first)] = desk.ids()
    again = Desk(ALL + "singly = 0\n")
    again.log, again.offset, again.marks = desk.log, desk.offset, stored
    again.book.low_water = lambda: {desk.log[0].partition: 0}  # type: ignore[method-assign]
    again.restart()
    again.wait(T0 + 20 * MINUTE)
    assert again.ids() == [("hook", first)]


def test_the_file_says_how_many_are_sent_singly_and_for_how_long_the_rest_is_counted() -> None:
    desk = Desk(ALL + "singly = 0\n", head="digest_s = 60\n")
    assert desk.say(*month_end(5)) == []
    assert desk.wait(T0 + MINUTE) == ["digest at-risk 5"]
    assert len(Desk(ALL + "singly = 1000000\n").say(*month_end(100))) == 100


def test_a_window_lasts_as_long_as_quiet_hours() -> None:
    desk = Desk(QUIET)
    assert desk.say(*month_end(40)) == []
    assert desk.wait(QUIET_ENDS - 1) == []
    said = desk.wait(QUIET_ENDS)
    assert sorted(said) == ["digest at-risk 20"] + ["opened at-risk"] * 20


# ---- in any order


def test_the_last_status_wins_whatever_was_read_before() -> None:
    for order in permutations([obligation(), obligation("breached"), obligation("met")]):
        desk = Desk(ALL)
        desk.say(*order, obligation("met"))
        assert list(desk.book.open_alerts()) == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "at-risk", "breached", "closed-late", "met", "gone"]), st.booleans()),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=examples(60))
def test_whatever_is_read_again_and_restarted_each_change_of_status_is_sent_once(steps: list[tuple[str, bool]]) -> None:
    """Beside a count by hand; the second of each step says whether the process is killed after it."""
    desk, seen = Desk(ALL), list[str]()
    expected, status, is_open = [], "", False
    for step, kill in steps:
        if step == "gone":
            seen += desk.delete(obligation())
            desk.log.clear()
        else:
            late = {"done_at": T0 + 50 * H} if step == "closed-late" else {}
            said = obligation("breached" if late else step, **late)
            seen += desk.say(said, said)
        if kill:
            seen += desk.restart()
        now = {"closed-late": "breached"}.get(step, step)
        if now in ("at-risk", "breached") and now != status:
            updates = status == "at-risk" and now == "breached"
            expected.append(f"{'breached' if updates else 'opened'} {now}")
            is_open = True
        if step not in ("at-risk", "breached") and is_open:
            expected.append(f"resolved {step}")
            is_open = False
        status = now
    assert seen == expected
