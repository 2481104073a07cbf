"""Reviews, late verdicts and what they change: revisions, withdrawals, and reviews that name an unknown verdict."""

import base64

import pytest

from tests.support.host_stories import DAY, START, Stage, played, review, verdict
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.verdicts import Action


def brief(actions: list[Action]) -> list[tuple[str, int, str, int, int | None]]:
    return [(action.action_id, action.revision, action.status, action.count, action.ban_days) for action in actions]


THREE = (verdict("absence", 0, "a"), verdict("absence", DAY, "b"), verdict("absence", 2 * DAY, "c"))
FIRST_REVISIONS = [("a", 1, "active", 1, None), ("b", 1, "active", 2, 7), ("c", 1, "active", 3, 15)]


def test_an_overturned_verdict_is_withdrawn_and_later_ones_count_one_less() -> None:
    assert brief(played(*THREE, review("a", 3 * DAY)).actions) == [
        *FIRST_REVISIONS,
        ("a", 2, "withdrawn", 1, None),
        ("b", 2, "active", 1, None),
        ("c", 2, "active", 2, 7),
    ]


def test_overturning_the_last_changes_no_other() -> None:
    assert brief(played(*THREE, review("c", 3 * DAY)).actions) == [*FIRST_REVISIONS, ("c", 2, "withdrawn", 3, 15)]


def test_a_withdrawn_action_keeps_every_field_of_its_last_active_revision() -> None:
    actions = played(*THREE, review("a", 3 * DAY), review("b", 4 * DAY)).actions
    last_active = next(action for action in actions if action.action_id == "b" and action.revision == 2)
    withdrawn = next(action for action in actions if action.action_id == "b" and action.revision == 3)
    assert withdrawn.status == "withdrawn"
    assert last_active.count == 1
    for field in Action.__struct_fields__:
        if field not in ("revision", "status", "decided_by", "decided_at"):
            assert getattr(withdrawn, field) == getattr(last_active, field)


def test_a_later_uphold_puts_it_back() -> None:
    final = played(*THREE, review("a", 3 * DAY), review("a", 4 * DAY, "upheld")).final
    assert brief(list(final.values())) == [
        ("a", 3, "active", 1, None),
        ("b", 3, "active", 2, 7),
        ("c", 3, "active", 3, 15),
    ]


def test_upholding_a_verdict_that_counts_says_who_decided_and_changes_nothing_else() -> None:
    actions = played(*THREE, review("a", 3 * DAY, "upheld")).actions
    assert brief(actions) == [*FIRST_REVISIONS, ("a", 2, "active", 1, None)]
    assert (actions[-1].decided_by, actions[-1].decided_at) == ("moderator", START + 3 * DAY)
    assert actions[-1].approved_by == ()


def test_overturning_again_says_who_decided_last() -> None:
    actions = played(*THREE, review("c", 3 * DAY), review("c", 4 * DAY, offset=1)).actions
    assert [(action.status, action.decided_at) for action in actions[3:]] == [
        ("withdrawn", START + 3 * DAY),
        ("withdrawn", START + 4 * DAY),
    ]


def test_the_same_review_again_has_no_effect() -> None:
    story = (*THREE, review("a", 3 * DAY, "upheld"), review("c", 3 * DAY))
    assert played(*story, *story[3:]).actions == played(*story).actions


def test_the_latest_review_by_time_counts_whatever_the_order_of_arrival() -> None:
    final = played(*THREE, review("c", 4 * DAY, "upheld", offset=0), review("c", 3 * DAY, offset=1)).final
    assert final["c"].status == "active"


def test_of_two_reviews_of_one_time_the_higher_offset_counts() -> None:
    overturned, upheld = review("c", 3 * DAY, offset=7), review("c", 3 * DAY, "upheld", offset=8)
    assert played(*THREE, overturned, upheld).final["c"].status == "active"
    assert played(*THREE, upheld, overturned).final["c"].status == "active"


def test_of_two_reviews_of_one_time_without_offsets_the_last_to_arrive_counts() -> None:
    overturned, upheld = review("c", 3 * DAY, offset=None), review("c", 3 * DAY, "upheld", offset=None)
    assert played(*THREE, overturned, upheld).final["c"].status == "active"
    assert played(*THREE, upheld, overturned).final["c"].status == "withdrawn"


def test_an_overturned_ban_no_longer_prolongs_one_of_another_family() -> None:
    goods = [verdict("prohibited-goods", n, f"goods {n}") for n in range(5)]
    story = [*goods, verdict("absence", 10, "first"), verdict("absence", 11, "second")]
    assert played(*story).final["second"].ban_until == START + 4 + 90 * DAY
    final = played(*story, review("goods 4", DAY)).final
    # The fourth still bans for 30 days.
    assert (final["second"].revision, final["second"].ban_until) == (2, START + 3 + 30 * DAY)
    assert final["first"].revision == 1


def test_a_late_verdict_changes_the_actions_after_it() -> None:
    late = verdict("absence", DAY, "b")
    assert brief(played(THREE[0], THREE[2], late).actions) == [
        ("a", 1, "active", 1, None),
        ("c", 1, "active", 2, 7),
        ("b", 1, "active", 2, 7),
        ("c", 2, "active", 3, 15),
    ]


def test_a_late_verdict_changes_only_the_count_of_actions_beyond_the_last_step() -> None:
    story = [verdict("absence", n, f"{n}") for n in (0, 1, 2, 3, 5)]
    final = played(*story, verdict("absence", 4, "4")).final
    assert (final["5"].revision, final["5"].count, final["5"].ban_days) == (2, 6, 30)


def test_the_same_verdict_again_has_no_effect() -> None:
    assert brief(played(*THREE, *THREE).actions) == FIRST_REVISIONS


def test_a_verdict_again_after_it_was_overturned_stays_overturned() -> None:
    assert played(*THREE, review("c", 3 * DAY), THREE[2]).final["c"].status == "withdrawn"


def test_a_review_that_comes_before_its_verdict_is_applied_right_after_it() -> None:
    early = played(THREE[0], THREE[1], review("c", 2 * DAY), THREE[2])
    assert brief(early.actions) == [*FIRST_REVISIONS, ("c", 2, "withdrawn", 3, 15)]
    assert early.letters == []


@pytest.mark.parametrize(("watermark", "rejected"), [(2000, 0), (2001, 1)])
def test_a_review_of_an_unknown_verdict_is_rejected_once_its_deadline_passes(watermark: int, rejected: int) -> None:
    stage = Stage(wait_ms=2000).play(review("nobody's", 0)).advance(START + watermark)
    assert len(stage.result.letters) == rejected


@pytest.mark.parametrize(
    ("watermark", "rejected_at"),
    [
        (
            -2000,
            0,
        ),  # live and idle: the watermark is behind the wall clock, by which the review arrives at 0, by the lateness
        (-500, 1500),
        (-DAY, 0),  # a backlog: the verdicts up to the review's own time must have been read
        (MIN_TIME, 0),  # nothing was read yet
    ],
)
def test_a_review_waits_for_the_allowed_lateness_also_where_the_watermark_is_behind(
    watermark: int, rejected_at: int
) -> None:
    stage = Stage(wait_ms=2000)
    stage.state.apply(review("nobody's", 0), watermark if watermark == MIN_TIME else START + watermark, stage.collector)
    assert stage.advance(START + rejected_at).result.letters == []
    assert [letter.at for letter in stage.advance(START + rejected_at + 1).result.letters] == [START + rejected_at]


def test_a_rejected_review_is_published_in_its_original_bytes() -> None:
    (letter,) = Stage().play(review("nobody's", 0, offset=42)).advance(START + DAY).result.letters
    assert (letter.topic, letter.partition, letter.offset) == ("review", 3, 42)
    assert letter.reason == "unknown-verdict"
    assert "nobody's" in letter.detail
    assert letter.at == START + 2000
    assert base64.b64decode(letter.key or "") == b"host"
    assert base64.b64decode(letter.value or "") == b'{"as":"it came"}'


def test_a_rejected_review_has_no_effect_when_its_verdict_arrives_after_all() -> None:
    stage = Stage().play(review("a", 0)).advance(START + DAY)
    assert stage.play(verdict("absence", 0, "a")).result.final["a"].status == "active"


def test_without_a_deadline_a_review_is_rejected_at_the_end_of_the_input() -> None:
    stage = Stage(wait_ms=None).play(review("nobody's", 0), review("a", 1)).advance(START + 300 * DAY)
    assert stage.result.letters == []
    letters = stage.play(verdict("absence", 300 * DAY, "a")).end().result.letters
    assert [(letter.detail.split('"')[1], letter.at) for letter in letters] == [("nobody's", START + 300 * DAY)]
    assert stage.result.final["a"].status == "withdrawn"


def test_events_older_than_the_memory_have_no_effect_and_are_counted() -> None:
    stage = Stage().play(verdict("absence", 0, "a"), verdict("absence", 400 * DAY, "b"))
    stage.play(verdict("absence", 0, "on the day")).advance(START + 400 * DAY + 1)
    stage.play(verdict("absence", 0, "too old"), review("a", 0))
    assert set(stage.result.final) == {"a", "b", "on the day"}
    assert stage.result.counts == {"too_old": 2}


def test_a_review_of_an_expired_verdict_is_rejected() -> None:
    stage = Stage().play(verdict("rights", 0, "a")).advance(START + 400 * DAY + 1)
    stage.play(review("a", 400 * DAY + 1)).advance(START + 401 * DAY)
    assert [letter.reason for letter in stage.result.letters] == ["unknown-verdict"]
    assert stage.result.final["a"].status == "active"


def test_an_expired_verdict_publishes_nothing_and_still_counts_for_late_ones() -> None:
    stage = Stage().play(verdict("rights", 0, "a"), verdict("rights", 300 * DAY, "b"))
    stage.advance(START + 500 * DAY)  # a has expired, b has not
    stage.play(verdict("rights", 200 * DAY, "late"))
    final = stage.result.final
    assert {name: (action.revision, action.count) for name, action in final.items()} == {
        "a": (1, 1),
        "b": (2, 3),
        "late": (1, 2),
    }


def test_a_rejected_review_leaves_the_verdicts_of_its_host() -> None:
    stage = Stage().play(verdict("absence", 0, "a"), review("nobody's", DAY)).advance(START + 2 * DAY)
    assert [letter.reason for letter in stage.result.letters] == ["unknown-verdict"]
    assert stage.play(verdict("absence", 2 * DAY, "b")).result.final["b"].count == 2


def test_each_verdict_is_deleted_in_its_own_time() -> None:
    stage = Stage().play(verdict("rights", 0, "a"), verdict("rights", 500 * DAY, "b")).advance(START + 801 * DAY)
    assert stage.play(verdict("rights", 801 * DAY, "c")).result.final["c"].count == 2


def test_an_expired_host_leaves_nothing_behind() -> None:
    stage = Stage(crashes=iter(lambda: True, None)).play(*THREE, review("a", 3 * DAY), review("nobody's", 4 * DAY))
    assert not stage.state.expired()
    stage.advance(START + 802 * DAY + 1)
    assert stage.state.expired()
    assert set(stage.stored) <= {b""}


def test_an_expired_host_that_was_never_stored_leaves_nothing_behind() -> None:
    stage = Stage().play(*THREE).advance(START + 802 * DAY + 1)
    assert stage.state.expired()


def test_each_review_waits_its_own_time() -> None:
    stage = Stage(wait_ms=2000).play(review("x", 0), review("y", 1000)).advance(START + 2500)
    assert [letter.at for letter in stage.result.letters] == [START + 2000]
    assert [letter.at for letter in stage.advance(START + 4000).result.letters] == [START + 2000, START + 3000]


def test_pending_reviews_keep_their_order_of_arrival_after_a_restart() -> None:
    stage = Stage(wait_ms=None)
    stage.play(*(review("a", 0, "upheld" if n % 2 else "overturned", offset=None) for n in range(12)))
    chunks = {name: part for name, part in stage.state.dump_changes().items() if part is not None}
    stage.state = stage.machine.load("host", dict(sorted(chunks.items(), reverse=True)))
    stage.play(verdict("absence", 0, "a"))
    assert [action.status for action in stage.result.actions] == ["active", *["withdrawn", "active"] * 6]
