"""What a chaos run compares: of actions the last revision, and of withdrawn ones only what does not depend on the order
of reviews."""

from typing import Any

from tests.support.comparison import compare_events, compare_states
from vigil.app.domain.registry import REGISTRY

ACTIONS = REGISTRY.outputs["enforcement"]
SCORES = REGISTRY.outputs["supplier-score"]


def action(**changed: Any) -> dict[str, Any]:
    fields = {"action_id": "a", "revision": 1, "status": "active", "host_id": "h", "count": 3, "steps": ["close"]}
    return {**fields, "ban_days": None, **changed}


def compared(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    return compare_events(ACTIONS, then, [(b"h", value) for value in now])


def test_an_active_action_is_compared_by_its_steps() -> None:
    assert compared([action()], [action(revision=2)]) == []
    assert compared([action()], [action(), action(revision=2, count=2)])
    assert compared([action()], [action(), action(count=2)]), "two contents under one revision"


def test_a_withdrawn_action_is_compared_without_its_former_steps() -> None:
    then = [action(), action(revision=2, status="withdrawn")]
    now = [action(count=2), action(revision=2, count=2, status="withdrawn")]
    assert compared(then, now) == []
    assert compared(then, now[:1]), "it was not withdrawn"
    assert compared(then, [action(), action(revision=2, status="withdrawn", host_id="other")])


def test_an_incident_is_compared_without_the_number_of_revisions_of_its_action() -> None:
    incidents = REGISTRY.outputs["incident"]
    then = {"incident_id": "i", "action": {"status": "active", "revision": 3, "count": 2}}
    now = {**then, "action": {**then["action"], "revision": 1}}  # type: ignore[dict-item]
    assert compare_states(incidents, [(b"i", then)], [(b"i", now)]) == []
    other = {**then, "action": {**then["action"], "count": 1}}  # type: ignore[dict-item]
    assert compare_states(incidents, [(b"i", then)], [(b"i", other)])
    assert compare_states(incidents, [(b"i", {**then, "action": None})], [(b"i", now)])


def test_a_state_is_compared_by_the_last_message_of_its_key() -> None:
    score = {"supplier_id": "s", "at": 5, "predicted": 60}
    assert compare_states(SCORES, [(b"s", score)], [(b"s", {**score, "predicted": 50}), (b"s", score)]) == []
    assert compare_states(SCORES, [(b"s", score)], [(b"s", score), (b"s", None)]), "it was deleted"
    assert compare_states(SCORES, [(b"s", score)], [(b"s", {**score, "at": 9})]), "another time"
    assert compare_states(SCORES, [(b"s", score)], [(b"s", {**score, "at": 9})], ["at"]) == []
