"""Final scores and pins are functions of the set of events: the same in any order and after any crash (I-11)."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import naive_suppliers as naive
from tests.support.examples import examples
from tests.support.supplier_stories import DAY, HOUR, Chain, Line, at, payment, pinned, profile, quote, rejected, tick

SUPPLIERS = ["a", "b", "c"]
# Few times, months and rules apart, with times at the boundaries of windows, so that boundaries are met often.
BASES = [at("2022-06-30 23:59:59.999"), at("2022-07-01"), at("2022-07-31 23:59:59.999"), at("2022-08-01"),
         at("2022-08-02 23:59:59.999"), at("2022-08-03"), at("2022-08-31 23:59:59.999"), at("2022-09-01"),
         at("2022-09-03"), at("2022-09-02 23:59:59.999")]  # fmt: skip
EARLIEST, LATEST = at("2022-06-20"), at("2022-09-20")
TIMES = st.builds(
    lambda base, by: min(max(base + by, EARLIEST), LATEST),
    st.sampled_from(BASES),
    st.sampled_from([0, 0, 1, -1, 5 * DAY, 12 * DAY, 30 * DAY, 30 * DAY - 1, -30 * DAY, 48 * HOUR]),
)
WHO = st.sampled_from(SUPPLIERS)
EVENTS = st.one_of(
    st.builds(
        lambda when, who, id_, rfq, after: quote(when, who, id_=id_, rfq=rfq, after=after),
        TIMES, WHO, st.sampled_from("123456"), st.sampled_from("xyz"),
        st.sampled_from([0, 12 * HOUR, 12 * HOUR + 1, 24 * HOUR, 24 * HOUR + 1]),
    ),
    st.builds(lambda when, who, id_: quote(when, who, kind="replied", id_=id_), TIMES, WHO, st.sampled_from("123456")),
    st.builds(
        lambda when, kind, usd, who, id_, rfq: payment(when, kind, usd, who, id_=id_, rfq=rfq),
        TIMES, st.sampled_from(["paid", "settled", "refunded"]),
        st.sampled_from(["0.01", "500", "999.99", "1000", 1000.01, 5000, 20000, 35000]),
        WHO, st.sampled_from("1234"), st.sampled_from(["r", "r", "r", None]),
    ),
)  # fmt: skip
PROFILES = st.lists(
    st.builds(profile, TIMES, WHO, st.sampled_from(["toys", "tools"]), st.sampled_from(["verified", "standard"])),
    max_size=4,
    unique_by=lambda line: (line.key, line.at),
)


@st.composite
def stories(draw: st.DrawFn) -> list[Line]:
    lines = [*draw(st.lists(EVENTS, min_size=1, max_size=14)), *draw(PROFILES), tick(draw(TIMES))]
    return draw(st.permutations(lines))


@settings(max_examples=examples(250), deadline=None)
@given(stories())
def test_in_any_order_of_arrival_the_scores_are_those_of_the_set(story: list[Line]) -> None:
    assert naive.shown(Chain().play(*story).end().scores) == naive.final(story)


@settings(max_examples=examples(120), deadline=None)
@given(stories(), st.lists(st.sampled_from(["", "checkpoint", "crash"]), max_size=18))
def test_checkpoints_and_crashes_anywhere_change_nothing(story: list[Line], between: list[str]) -> None:
    chain = Chain()
    for number, line in enumerate(story):
        chain.play(line)
        if number < len(between) and between[number]:
            getattr(chain, between[number])()
    assert naive.shown(chain.end().scores) == naive.final(story)


@settings(max_examples=examples(120), deadline=None)
@given(stories(), st.lists(st.booleans(), max_size=18))
def test_a_worker_has_published_at_the_end_what_a_replay_publishes(story: list[Line], crash: list[bool]) -> None:
    """Final outputs are not asked for: the watermark advances past the end, as in a worker that waits."""
    chain = Chain()
    for number, line in enumerate(story):
        chain.play(line).checkpoint()
        if number < len(crash) and crash[number]:
            chain.crash()
    until = max(line.at for line in story)
    for later in range(4):  # ranks and assessments wait two seconds of the watermark
        chain.advance(until + 1 + later * 5000).checkpoint()
    assert naive.shown(chain.scores) == naive.final([*story, tick(until + 15_000)])


@settings(max_examples=examples(100), deadline=None)
@given(stories())
def test_a_score_has_one_content_under_one_identity(story: list[Line]) -> None:
    chain = Chain()
    for line in story:
        chain.play(line).checkpoint()
    chain.end()
    contents: dict[tuple[str, str], Any] = {}
    for topic, _, id_, body in chain.published:
        if topic in ("supplier-score", "pin-decision"):
            assert contents.setdefault((topic, id_), body) == body


RFQ_EVENTS = st.lists(
    st.builds(
        lambda make, when, id_, who: make(at("2022-08-10") + when, id_, "rfq", who),
        st.sampled_from([pinned, pinned, rejected]), st.integers(0, 1500), st.sampled_from("12345"), WHO,
    ),
    min_size=1, max_size=14, unique_by=lambda line: (line.at, line.key),
)  # fmt: skip


def decided(lines: list[Line]) -> list[tuple[int, str, str, Any]]:
    """Pins by the rules, computed slowly in the order of time."""
    known, gone, granted, pins = set(), set(), 0, []
    order = sorted(naive.first_arrivals(lines), key=lambda line: line.at)
    for value in [line.value for line in order if line.value]:
        name = (value["supplier_id"], value["quote_id"])
        if value["kind"] == "rejected":
            gone.add(name)
        elif name not in known:
            known.add(name)
            if name not in gone and granted < 3:
                granted += 1
                pins.append((value["at"], *name, granted))
            else:
                pins.append((value["at"], *name, "rejected" if name in gone else "full"))
    return pins


@settings(max_examples=examples(200), deadline=None)
@given(RFQ_EVENTS, st.data())
def test_pins_do_not_depend_on_arrival_within_the_lateness_nor_on_crashes(story: list[Line], data: Any) -> None:
    story = data.draw(st.permutations(story))
    chain = Chain()
    for line in story:
        chain.play(line)
        if data.draw(st.booleans()):
            chain.crash()
    published = [
        (one["at"], one["supplier_id"], one["quote_id"], one["place"] or one["reason"]) for one in chain.end().pins
    ]
    # One supplier's shard decides which of two events with the same id counts: the first to arrive.
    assert sorted(published) == sorted(decided(story))
