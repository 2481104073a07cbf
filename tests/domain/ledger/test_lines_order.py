"""Lines are functions of the set of events: the same in any order, batches, and after any crash (I-11)."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import line_stories as lines
from tests.support.examples import examples
from tests.support.line_stories import LINE_TOPICS, Line, lines_of
from tests.support.supplier_stories import DAY, HOUR, Chain, at, quote, tick

SUPPLIERS = ["a", "b"]
BASES = [at("2022-06-30 23:59:59.999"), at("2022-07-01"), at("2022-07-20"), at("2022-07-31 23:59:59.999"),
         at("2022-08-01"), at("2022-08-05 23:59:59.999"), at("2022-08-21"), at("2022-09-02 23:59:59.999"),
         at("2022-10-01")]  # fmt: skip
EARLIEST, LATEST = at("2022-06-20"), at("2022-10-20")
TIMES = st.builds(
    lambda base, by: min(max(base + by, EARLIEST), LATEST),
    st.sampled_from(BASES),
    st.sampled_from([0, 0, 1, -1, HOUR, 24 * HOUR, 7 * DAY, 30 * DAY, -30 * DAY]),
)
WHO = st.sampled_from(SUPPLIERS)
PRODUCTS = st.sampled_from(["p", "r"])
EVENTS = st.one_of(
    st.builds(
        lambda when, id_, who, industry, abilities, service: lines.product(
            when, id_, who, industry=industry, abilities=abilities, service=service, markets=["DE", "FR"],
            traits=["circuit", "paper"], dispatch_days=7, deleted=False,
        ),
        TIMES, PRODUCTS, WHO, st.sampled_from(["machinery", "apparel", "toys"]),
        st.sampled_from([[], ["new"], ["new", "craft"]]), st.sampled_from(["none", "remote", "local"]),
    ),
    st.builds(lambda when, who: lines.product(when, "p", who, deleted=True), TIMES, WHO),
    st.builds(
        lambda when, id_, product, service, buyer, who: lines.paid(
            when, id_, (product, "2500.00", service), buyer=buyer, supplier=who
        ),
        TIMES, st.sampled_from("123"), PRODUCTS, st.sampled_from(["none", "remote", "local"]),
        st.sampled_from("xyz"), WHO,
    ),
    st.builds(
        lines.order, TIMES, st.sampled_from("123"), st.sampled_from(["dispatched", "refund-requested", "disputed"]), WHO
    ),
    st.builds(
        lambda when, kind, until, who: lines.certificate(when, kind, supplier=who, valid_until=until),
        TIMES, st.sampled_from(["warranty-agreement", "local-service", "quality-system"]),
        st.one_of(st.none(), TIMES), WHO,
    ),
    st.builds(
        lambda when, category, who: lines.epr(when, "FR", category, who), TIMES, st.sampled_from(["eee", "paper"]), WHO
    ),
    st.builds(
        lambda when, id_, need, order, who: lines.request(when, id_, need, order, "p", who),
        TIMES, st.sampled_from("45"), st.sampled_from(["support", "parts", "repair"]), st.sampled_from("123"), WHO,
    ),
    st.builds(
        lines.step, TIMES, st.sampled_from(["answered", "parts-sent", "visited", "completed", "cancelled"]),
        st.sampled_from("45"), WHO,
    ),
    st.builds(
        lines.measure, TIMES,
        st.sampled_from(["videos", "showcases", "trade-assurance", "potential-products", "leads", "predicted-stars",
                         "strength-cards", "certificates", "certificate-products", "industry-abilities",
                         "paper-tonnes-year"]),
        st.sampled_from([0, 1, 4.5, 10, 50]), WHO,
    ),
    st.builds(
        lines.claim, TIMES,
        st.sampled_from(["strength-pack", "stars-2-level", "recruit", "million-club", "first-order", "trial-tools"]),
        WHO,
    ),
    st.builds(lambda when, who: lines.done(when, "recruit-materials", "recruit", who), TIMES, WHO),
    st.builds(lambda when, who: lines.done(when, "reward", "strength-pack/2022-08", who), TIMES, WHO),
    st.builds(lambda when, who: lines.ask(when, "upgrade-contact", "u", who), TIMES, WHO),
)  # fmt: skip
PROFILES = st.lists(
    st.builds(
        lambda when, who, membership, stars, opened: lines.member(
            when, who, membership, stars, opened_at=opened, signed_at=EARLIEST
        ),
        TIMES, WHO, st.sampled_from(["verified", "standard"]), st.sampled_from([0, 1, 2]), st.one_of(st.none(), TIMES),
    ),
    max_size=3,
    unique_by=lambda line: (line.key, line.at),
)  # fmt: skip


def identity(line: Line) -> Any:
    """Events that replace each other, or of which the first counts: their order is part of what they say."""
    value = line.value or {}
    if line.topic in ("order", "service-request"):
        return line.topic, line.key, value["order_id" if line.topic == "order" else "request_id"], value["kind"]
    names = ("product_id", "certificate_id", "measure")
    return line.topic, line.key, *(value.get(name) for name in names), value["at"], value.get("kind")


@st.composite
def stories(draw: st.DrawFn) -> list[Line]:
    events = draw(st.lists(EVENTS, min_size=1, max_size=16, unique_by=identity))
    return draw(st.permutations([*events, *draw(PROFILES), tick(draw(TIMES))]))


def without_times(said: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Lines without the time as of which they are: where nothing else changes, they are not published again."""
    return {
        topic: [
            {name: value for name, value in line.items() if name != "at" or not _is_as_of(topic, line)}
            for line in bodies
        ]
        for topic, bodies in said.items()
    }


def _is_as_of(topic: str, line: dict[str, Any]) -> bool:
    """True if the time of a line may change alone; that of a refused claim is the latest claim's."""
    return topic in ("product-standing", "supplier-rights") or line.get("status") == "refused"


@settings(max_examples=examples(40), deadline=None)
@given(stories(), st.randoms(use_true_random=False))
def test_in_any_order_of_arrival_the_lines_are_those_of_the_set(story: list[Line], random: Any) -> None:
    again = list(story)
    random.shuffle(again)
    assert lines_of(*again) == lines_of(*story)


@settings(max_examples=examples(40), deadline=None)
@given(stories(), st.lists(st.sampled_from(["", "checkpoint", "crash"]), max_size=18))
def test_a_worker_has_published_at_the_end_what_a_replay_says(story: list[Line], between: list[str]) -> None:
    chain = Chain()
    for number, line in enumerate(story):
        chain.play(line)
        if number < len(between) and between[number]:
            getattr(chain, between[number])()
    until = max(line.at for line in story)
    for later in range(5):  # assessments wait two seconds; a place by completion waits a minute
        chain.advance(until + 1 + later * 30_000).checkpoint()
    said = {topic: list(chain.states(topic).values()) for topic in LINE_TOPICS}
    assert without_times(said) == without_times(lines_of(*story, tick(until + 120_000)))


def test_a_gold_rfq_is_counted_in_its_month() -> None:
    gold = [quote(at("2022-08-10") + n, id_=f"q{n}") for n in range(3)]
    for line in gold:
        assert line.value is not None
        line.value["rfq_grade"] = "gold"
    story = [lines.member(at("2022-08-01")), *gold, tick(at("2022-08-11"))]
    assert lines.rights(*story)["gold_rfqs"] is None, "no score has been assessed"
    assert lines.rights(*story, tick(at("2022-09-04")))["gold_rfqs"] == {"total": 5, "used": 0, "left": 5}
