"""When an action was changed by what concerns another verdict: the incident's snooze ends with it."""

from msgspec.structs import replace

from tests.support.host_stories import DAY, START, Stage, review, verdict
from vigil.app.domain.hosts.host import HostEvent
from vigil.topics.internal import ActionInRoom

FIRST, SECOND = verdict("sleeping", 0, "a"), verdict("sleeping", DAY, "b")


def revised(*story: HostEvent) -> dict[str, tuple[int, int | None]]:
    """By verdict: the revision of its action, and when another one changed it, in ms after START."""
    stage = Stage(crashes=iter(lambda: True, None)).play(*story)
    last = {one.body.verdict_id: one.body for one in stage.collector.outputs if isinstance(one.body, ActionInRoom)}
    found = {}
    for name, body in last.items():
        assert body.action is not None
        found[name] = (body.action.revision, None if body.revised_at is None else body.revised_at - START)
    return found


def test_verdicts_in_their_order_change_no_action() -> None:
    assert revised(FIRST, SECOND) == {"a": (1, None), "b": (1, None)}


def test_a_late_verdict_changes_later_actions_as_of_its_publication() -> None:
    late = replace(FIRST, published_at=START + DAY + 5000)
    assert revised(SECOND, late) == {"a": (1, None), "b": (2, DAY + 5000)}
    assert revised(SECOND, FIRST) == {"a": (1, None), "b": (2, None)}, "a replay knows no publication"


def test_a_review_changes_later_actions_as_of_its_time_and_its_own_by_its_decision() -> None:
    story = (FIRST, SECOND, review("a", DAY + 9))
    assert revised(*story) == {"a": (2, None), "b": (2, DAY + 9)}
    assert revised(*story, review("a", DAY + 20, "upheld", 1)) == {"a": (3, None), "b": (3, DAY + 20)}
    assert revised(*story, review("b", DAY + 30, "upheld", 1)) == {"a": (2, None), "b": (3, DAY + 9)}


def test_what_changes_no_other_action_leaves_no_trace() -> None:
    assert revised(FIRST, SECOND, review("a", DAY + 9, "upheld")) == {"a": (2, None), "b": (1, None)}
    assert revised(FIRST, SECOND, review("b", DAY + 9)) == {"a": (1, None), "b": (2, None)}
