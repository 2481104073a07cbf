"""Places: by claim, and by completion."""

from typing import Any

import pytest

from tests.support.line_stories import Line, claim, lines_of, measure, member
from tests.support.supplier_stories import DAY, SECOND, Chain, at, tick

EARLY, FIRST = at("2022-05-01"), at("2022-07-28 09:00")
LAST = at("2022-09-03") - 1


def parts(*story: Line) -> dict[str, Any]:
    return {line["supplier_id"]: line for line in lines_of(*story)["participation"]}


def test_the_101st_of_100_has_no_place() -> None:
    story = [claim(FIRST + n, "recruit", f"s{n:03}") for n in range(101)]
    said = parts(*story)
    assert [said[f"s{n:03}"]["place"] for n in range(100)] == list(range(1, 101))
    assert said["s099"]["status"] == "completed"
    last = said["s100"]
    assert (last["status"], last["place"], last["at"]) == ("no-place", None, FIRST + 100)
    assert (last["claimed_at"], last["completed_at"], last["rewards"]) == (FIRST + 100, FIRST + 100, [])
    assert said == parts(*reversed(story)), "by time, whatever the order of arrival"


def test_claims_of_one_instant_go_by_their_lines() -> None:
    said = parts(claim(FIRST, "recruit", "z"), claim(FIRST, "recruit", "a"), claim(FIRST - 1, "recruit", "m"))
    assert {who: line["place"] for who, line in said.items()} == {"m": 1, "z": 2, "a": 3}


def test_who_may_not_enter_takes_no_place() -> None:
    closed = member(EARLY, "n", signed_at=EARLY)
    said = parts(closed, claim(FIRST, "recruit", "n"), claim(FIRST + 1, "recruit", "s"))
    assert (said["n"]["status"], said["s"]["place"]) == ("refused", 1)


def challenger(who: str, since: int) -> list[Line]:
    return [
        member(EARLY, who, stars=0),
        claim(at("2022-08-10"), "stars-2-level", who),
        measure(since, "predicted-stars", 1, who),
    ]


def test_places_by_completion_go_by_its_time_and_then_by_supplier() -> None:
    tenth = at("2022-08-12")
    story = [*challenger("z", tenth), *challenger("b", tenth + 1), *challenger("a", tenth + 1)]
    before = parts(*story, tick(LAST - 1))
    assert {line["status"] for line in before.values()} == {"claimed"}
    said = parts(*story, tick(LAST + DAY))
    assert {who: line["place"] for who, line in said.items()} == {"z": 1, "a": 2, "b": 3}
    one = said["b"]
    assert (one["status"], one["at"], one["completed_at"]) == ("completed", LAST, tenth + 1)
    assert one["rewards"] == [{"reward": "showcase-2-months", "valid_until": None}]
    assert one["reward_by"] == at("2022-09-11") - 1


def test_the_1001st_of_1000_has_no_place() -> None:
    story = [line for n in range(1001) for line in challenger(f"s{n:04}", at("2022-08-12"))]
    said = parts(*story, tick(LAST + DAY))
    assert (said["s0999"]["place"], said["s0999"]["status"]) == (1000, "completed")
    last = said["s1000"]
    assert (last["status"], last["place"], last["at"]) == ("no-place", None, LAST)
    assert (last["completed_at"], last["rewards"], last["reward_by"]) == (at("2022-08-12"), [], None)


@pytest.mark.parametrize(
    ("programme", "story", "ends"),
    [("recruit", [claim(FIRST, "recruit")], FIRST), ("stars-2-level", challenger("s", at("2022-08-12")), LAST)],
)
def test_a_claim_that_a_crash_keeps_from_going_out_goes_out_after_it(
    programme: str, story: list[Line], ends: int
) -> None:
    chain = Chain().play(*story).advance(ends + 1).crash(sent=False).advance(ends + 90 * SECOND).checkpoint()
    [line] = [one for one in chain.states("participation").values() if one["programme"] == programme]
    assert (line["status"], line["place"]) == ("completed", 1)


def test_claims_of_a_backlog_between_two_checkpoints_go_by_their_time() -> None:
    claims = [claim(FIRST + n * SECOND, "recruit", who) for n, who in enumerate("zay")]
    chain = Chain().play(*claims, tick(FIRST + DAY)).checkpoint().checkpoint()
    places = {line["supplier_id"]: line["place"] for line in chain.states("participation").values()}
    assert places == {"z": 1, "a": 2, "y": 3}


# ---- live: by the clock, and decisions stand ------------------------------------------------------------------------


def lives(*story: Line) -> Chain:
    """What a worker publishes of a story in order of arrival, with a checkpoint after each event."""
    chain = Chain()
    for line in story:
        chain.play(line).checkpoint()
    return chain


def places(chain: Chain, until: int) -> dict[str, int | None]:
    """The place of each supplier once the clock has passed `until`."""
    for _ in range(3):  # the place, its answer, the line
        chain.advance(until + 1).checkpoint()
    return {line["supplier_id"]: line["place"] for line in chain.states("participation").values()}


def test_live_claims_in_order_within_the_lateness_are_put_in_order_and_later_ones_are_not() -> None:
    chain = lives(claim(FIRST + 2000, "recruit", "z"), claim(FIRST + 1, "recruit", "a"))
    assert places(chain, FIRST + 2000) == {"a": 1, "z": 2}
    chain.play(claim(FIRST, "recruit", "m")).checkpoint()
    assert places(chain, FIRST + 2000) == {"a": 1, "z": 2, "m": 3}, "decisions stand"


def closed(when: int, who: str) -> Line:
    """A profile of a supplier that has not opened yet: it may not enter."""
    return member(when, who, signed_at=EARLY)


def test_a_place_is_not_given_to_a_claim_that_what_comes_within_the_lateness_refuses() -> None:
    chain = lives(claim(FIRST, "recruit", "n"), claim(FIRST + 1, "recruit", "s"), closed(FIRST - 1, "n"))
    assert places(chain, FIRST + 1) == {"n": None, "s": 1}


def test_a_claim_that_is_accepted_after_all_has_the_place_of_its_time() -> None:
    opened = member(FIRST - 1, "n", signed_at=EARLY, opened_at=EARLY)
    first, other = claim(FIRST, "recruit", "n"), claim(FIRST + 1, "recruit", "s")
    assert places(lives(closed(FIRST - DAY, "n"), first, other, opened), FIRST + 1) == {"n": 1, "s": 2}
    again = lives(first, other, closed(FIRST - DAY, "n"), opened)
    assert places(again, FIRST + 1) == {"n": 1, "s": 2}, "accepted, refused, accepted"


def test_what_comes_after_the_decision_takes_no_place_back() -> None:
    chain = lives(claim(FIRST, "recruit", "n"), claim(FIRST + 1, "recruit", "s"))
    assert places(chain, FIRST + 1) == {"n": 1, "s": 2}
    chain.play(closed(FIRST - 1, "n"), claim(FIRST + 2, "recruit", "t")).checkpoint()
    assert places(chain, FIRST + 2) == {"n": None, "s": 2, "t": 3}
