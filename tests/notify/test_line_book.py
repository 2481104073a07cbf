"""Each status of an obligation or participation is sent once; an obligation ends; many at once are a digest."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.line_alert_stories import ALL, H, book, events, obligation, participation, take, write
from tests.support.notify_stories import T0, S
from vigil.app.notify.line_alerts import participation_id
from vigil.app.notify.line_book import DAY_MS, LineBook
from vigil.app.notify.line_words import payload
from vigil.app.notify.shown import labels

AT_RISK, BREACHED = ("opened", "at-risk"), ("breached", "breached")


def sent(lines: LineBook, *said: Any, now: int = T0) -> list[tuple[str, str]]:
    return events([change for one in said for change in take(lines, one, now)])


def restarted(lines: LineBook, routes: str = ALL, store: dict[str, bytes] | None = None, **bounds: int) -> LineBook:
    """Another book with what this one wrote down."""
    store = {} if store is None else store
    write(lines, store)
    again = book(routes, **bounds)
    assert again.load(store) == {}
    return again


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
    lines = book()
    assert sent(lines, obligation("open"), obligation(), end) == [AT_RISK, ("resolved", why)]
    assert not lines.open


def test_a_breach_updates_and_a_late_fulfilment_resolves() -> None:
    lines = book()
    late = obligation("breached", done_at=T0 + 50 * H)
    assert sent(lines, obligation(), obligation("breached"), late) == [AT_RISK, BREACHED, ("resolved", "closed-late")]
    assert sent(lines, late, obligation("breached")) == [], "a breach is sent once"


def test_all_of_it_is_one_alert_and_each_step_has_a_key_of_its_own() -> None:
    lines = book()
    changes = [
        one.change for said in (obligation(), obligation("breached"), obligation("met")) for one in take(lines, said)
    ]
    assert len({one.line.id for one in changes}) == 1
    assert len({one.id for one in changes}) == len(changes) == 3
    assert len({str(labels(one.line)) for one in changes}) == 1, "an Alertmanager knows an alert by its labels"


def test_a_breach_that_was_never_at_risk_opens() -> None:
    assert sent(book(), obligation("breached")) == [("opened", "breached")]
    late = obligation("breached", done_at=T0 + 50 * H)
    assert sent(book(), late) == [("opened", "breached"), ("resolved", "closed-late")]


def test_what_is_neither_at_risk_nor_breached_is_not_sent() -> None:
    assert sent(book(), obligation("open"), obligation("met"), obligation("not-covered"), obligation("void")) == []


def test_a_line_that_is_deleted_ends_its_alert() -> None:
    lines = book()
    assert sent(lines, obligation()) == [AT_RISK]
    [gone] = lines.gone(obligation().obligation_id, T0 + 25 * H, T0)
    assert (gone.change.line.why, len(lines)) == ("gone", 0)
    assert lines.gone("unknown", T0, T0) == []


def test_the_same_status_is_sent_once_however_often_it_is_published_and_after_a_restart() -> None:
    lines, store = book(), dict[str, bytes]()
    again = obligation(order_id="order-13")
    assert sent(lines, obligation(), obligation(), again) == [AT_RISK]
    for said, expected in ((obligation(), []), (obligation("breached"), [BREACHED]), (obligation("breached"), [])):
        lines = restarted(lines, store=store)
        assert sent(lines, said) == expected
    lines = restarted(lines, store=store)
    assert sent(lines, obligation("met"), obligation("met")) == [("resolved", "met")]
    lines = restarted(lines, store=store)
    assert sent(lines, obligation("met"), obligation("breached", at=49)) == [("opened", "breached")]


def test_a_status_that_comes_back_is_sent_again() -> None:
    steps = [obligation(), obligation("open", at=0), obligation()]
    lines = book()
    changes = [change for one in steps for change in take(lines, one)]
    assert events(changes) == [AT_RISK, ("resolved", "open"), AT_RISK]
    assert len({change.id for change, _ in changes}) == 3, "or a receiver would take the second for the first"


def test_a_breach_that_nobody_fulfils_ends_after_a_week_for_alertmanagers_alone() -> None:
    routes = ALL.replace('["hook"]', '["hook", "ops"]')
    lines = book(routes)
    sent(lines, obligation(), obligation("breached"), now=T0)
    sent(lines, obligation(ref="other"), now=T0)
    assert restarted(lines, routes).tick(T0 + 7 * DAY_MS - 1) == []
    [over] = lines.tick(T0 + 7 * DAY_MS)
    assert (over.change.line.why, set(over.when)) == ("expired", {"ops"})
    assert [one.ref for one in lines.open.values()] == ["other"], "what is at risk stays"
    assert sent(lines, obligation("breached", done_at=T0 + 300 * H), obligation("breached")) == []


# ---- participations


def test_each_state_of_a_participation_is_sent_once_and_has_no_end() -> None:
    lines = book()
    steps = [participation(), participation(), participation("completed"), participation("completed", reward_by=T0)]
    assert sent(lines, *steps) == [("noted", "claimed"), ("noted", "completed")]
    assert not lines.open
    lines = restarted(lines)
    assert sent(lines, participation("completed"), participation("no-place")) == [("noted", "no-place")]
    assert lines.gone(participation_id("strength-pack/2022-09/merchant-7"), T0, T0) == []
    assert len(lines) == 0


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
    assert [one for one in fits if not sent(book(text), one)] == []
    assert [one for one in not_fits if sent(book(text), one)] == []


def test_the_end_goes_to_those_who_received_the_beginning() -> None:
    more = '[[routes]]\nto = ["chat", "ops"]\nkinds = ["obligation"]\nstatuses = ["at-risk"]\nends = false\n'
    lines = book(ALL + more)
    [opened] = take(lines, obligation())
    [breached] = take(lines, obligation("breached"))
    [resolved] = take(lines, obligation("met"))
    assert [set(one.when) for one in (opened, breached, resolved)] == [
        {"hook", "chat", "ops"},
        {"hook"},
        {"hook", "ops"},
    ], "an Alertmanager always receives the end"


QUIET = ALL + 'quiet = [{ from = "00:00", until = "23:59", then = "hold" }]\n'


def test_quiet_hours_hold_or_drop_what_is_sent_once_all_the_same() -> None:
    midnight = T0 - T0 % DAY_MS
    end = midnight + DAY_MS - 60 * S
    [held] = take(book(QUIET), obligation(), T0)
    assert held.when == {"hook": end}
    dropping = book(QUIET.replace("hold", "drop"))
    assert sent(dropping, obligation()) == []
    assert sent(dropping, obligation(), now=end) == [], "what is dropped is not sent when it is published again"
    assert sent(dropping, obligation("breached"), now=end) == [("opened", "breached")]


# ---- many at once


def month_end(count: int, status: str = "at-risk", first: int = 0) -> list[Any]:
    return [
        obligation(status, f"FR/eee/2022-{number}", supplier_id=f"m-{number}", duty="epr-declaration", at=number % 3)
        for number in range(first, first + count)
    ]


def test_of_many_at_once_some_are_sent_singly_and_the_rest_are_one_digest() -> None:
    lines = book()
    assert len(sent(lines, *month_end(1000))) == 20
    assert sent(lines, obligation()) == [AT_RISK], "another duty has a window of its own"
    assert lines.tick(T0 + 600 * S - 1) == []
    [(digest, when)] = lines.tick(T0 + 600 * S)
    assert (digest.event, digest.line.count, when) == ("digest", 980, {"hook": T0 + 600 * S})
    assert digest.line.suppliers == tuple(f"m-{number}" for number in range(20, 30))
    assert (digest.line.since, digest.line.at, digest.line.due) == (T0, T0 + 2 * H, T0 + 48 * H)
    assert payload(digest)["digest"]["count"] == 980
    assert lines.tick(T0 + 700 * S) == []
    assert len(sent(lines, *month_end(30, first=1000), now=T0 + 700 * S)) == 20, "the next window begins anew"


def test_who_received_a_digest_is_not_notified_of_each_end() -> None:
    lines = book()
    sent(lines, *month_end(1000))
    assert len(sent(lines, *month_end(1000, "met"))) == 20
    assert len(sent(lines, *month_end(1000))) == 0, "the window goes on"


@pytest.mark.parametrize("kill_after", [0, 19, 20, 21, 500, 999])
def test_a_kill_changes_no_digest(kill_after: int) -> None:
    lines, store, singly = book(), dict[str, bytes](), 0
    for number, said in enumerate(month_end(1000)):
        singly += len(sent(lines, said))
        if number == kill_after:
            lines = restarted(lines, store=store)
    [(digest, _)] = lines.tick(T0 + 600 * S)
    assert (singly, digest.line.count) == (20, 980)
    assert restarted(lines, store=store).tick(T0 + 700 * S) == []


def test_the_file_says_how_many_are_sent_singly_and_for_how_long_the_rest_is_counted() -> None:
    lines = book(ALL + "singly = 0\n", head="digest_s = 60\n")
    assert sent(lines, *month_end(5)) == []
    [(digest, _)] = lines.tick(T0 + 60 * S)
    assert digest.line.count == 5
    assert len(sent(book(ALL + "singly = 1000000\n"), *month_end(300))) == 300


def test_a_window_lasts_as_long_as_quiet_hours() -> None:
    end = T0 - T0 % DAY_MS + DAY_MS - 60 * S
    lines = book(QUIET)
    assert len(sent(lines, *month_end(40))) == 20
    assert lines.tick(end - 1) == []
    [(digest, when)] = lines.tick(end)
    assert (digest.line.count, when) == (20, {"hook": end})


# ---- bounds


def test_what_is_remembered_is_bounded_and_what_was_dropped_is_not_sent_again() -> None:
    lines = book(ALL + "singly = 1000000\n", most_known=100)
    early, late = month_end(80), [obligation(ref=f"r-{n}", at=24 + n) for n in range(40)]
    sent(lines, *early, *late)
    assert len(lines) <= 100
    store: dict[str, bytes] = {}
    again = restarted(lines, ALL + "singly = 1000000\n", store, most_known=100)
    assert sent(again, *early, *late) == []
    assert sent(again, obligation("breached", ref="r-1", at=99)) == [BREACHED]


def test_open_alerts_are_bounded() -> None:
    lines = book(ALL + "singly = 1000000\n", most_open=10)
    sent(lines, *month_end(12))
    evicted = lines.tick(T0)
    assert [(one.change.line.ref, one.change.line.why) for one in evicted] == [
        ("FR/eee/2022-0", "evicted"),
        ("FR/eee/2022-1", "evicted"),
    ]
    assert len(lines.open) == 10


# ---- in any order


def test_the_last_status_wins_whatever_was_read_before() -> None:
    steps = [obligation(), obligation("breached"), obligation("met")]
    for order in permutations(steps):
        lines = book()
        sent(lines, *order, obligation("met"))
        assert not lines.open


def test_a_state_that_others_wrote_is_left_out() -> None:
    lines = book()
    sent(lines, obligation(), *month_end(30))
    store: dict[str, bytes] = {}
    write(lines, store)
    spoilt = {f"{name}x": value for name, value in store.items() if name[0] in "lg"}
    spoilt |= {f"{name}y": b"{" for name in store}
    again = book()
    assert set(again.load(store | spoilt)) == set(spoilt)
    assert (len(again), len(again.open)) == (31, 21)


STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "at-risk", "breached", "closed-late", "met", "gone"]), st.booleans()),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=examples(60))
def test_whatever_is_read_again_and_restarted_each_change_of_status_is_sent_once(steps: list[tuple[str, bool]]) -> None:
    """Beside a count by hand; the second of each step says whether the process is killed after it."""
    lines, store, seen = book(), dict[str, bytes](), []
    expected, status, is_open = [], "", False
    for step, kill in steps:
        if step == "gone":
            seen += events(lines.gone(obligation().obligation_id, T0, T0))
        else:
            late = {"done_at": T0 + 50 * H} if step == "closed-late" else {}
            said = obligation("breached" if late else step, **late)
            seen += sent(lines, said) + sent(lines, said)
        if kill:
            lines = restarted(lines, store=store)
        now = {"closed-late": "breached"}.get(step, step)
        if now in ("at-risk", "breached") and now != status:
            expected.append(("breached" if is_open and now == "breached" else "opened", now))
            is_open = True
        if step not in ("at-risk", "breached") and is_open:
            expected.append(("resolved", step))
            is_open = False
        status = now
    assert seen == expected
