"""Labels that no rule knows have no effect; they are counted by name, so that a detector's new word is seen."""

from tests.support.stories import S, Stage, buyer_comment, comment, frame, frames, played
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rulebook.reader import load_rulebook


def counted(stage: Stage) -> dict[str, int]:
    return {
        name.removeprefix("unknown_label:"): number
        for name, number in stage.collector.counts.items()
        if name.startswith("unknown_label:")
    }


def test_labels_of_frames_and_comments_are_counted_by_name() -> None:
    said = [comment(5 * S, labels=("right:trademark", "abuse")), buyer_comment(6 * S, labels=("abuse:hate",))]
    stage = played(frames(0, 3 * S, labels=("indoor", "minor")), said)
    assert counted(stage) == {"indoor": 4, "right:trademark": 1, "abuse:hate": 1}


def test_what_a_rule_knows_is_not_counted_wherever_it_stands() -> None:
    known = ("theme-mismatch", "minor", "illegal-background", "abuse", "rights:unspecified", "prohibited:x")
    assert counted(played(frame(0, labels=known), comment(1 * S, labels=known))) == {}


def test_labels_that_are_judged_by_what_a_supplier_may_do_are_known() -> None:
    assert counted(played(frame(0, labels=("restricted:fda",)))) == {}


def test_at_most_fifty_names_are_distinguished() -> None:
    stage = played([frame(at, labels=(f"new-{at}", "new-0")) for at in range(60)])
    found = counted(stage)
    assert found.pop("other") == 10
    assert found.pop("new-0") == 61
    assert found == {f"new-{at}": 1 for at in range(1, 50)}


def test_a_candidate_counts_nothing() -> None:
    stage = Stage(RoomMachine(load_rulebook(), shadow=True)).play([frame(0, labels=("indoor",))])
    assert counted(stage) == {}
