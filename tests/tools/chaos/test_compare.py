"""What a chaos run compares of actions: all of their last revision, but of a withdrawn one only what does not depend on
the order in which reviews arrive."""

from typing import Any

from tests.support.harness import _compare_actions


def action(**told: Any) -> dict[str, Any]:
    fields = {"action_id": "a", "revision": 1, "status": "active", "host_id": "h", "count": 3, "steps": ["close"]}
    return {**fields, "ban_days": None, **told}


def compared(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    return _compare_actions(then, [(b"h", value) for value in now])


def test_an_active_action_is_compared_by_what_it_leads_to() -> None:
    assert compared([action()], [action(revision=2)]) == []
    assert compared([action()], [action(), action(revision=2, count=2)])
    assert compared([action()], [action(), action(count=2)]), "two contents under one revision"


def test_a_withdrawn_action_is_withdrawn_whatever_it_led_to_before() -> None:
    then = [action(), action(revision=2, status="withdrawn")]
    now = [action(count=2), action(revision=2, count=2, status="withdrawn")]
    assert compared(then, now) == []
    assert compared(then, now[:1]), "it was not withdrawn"
    assert compared(then, [action(), action(revision=2, status="withdrawn", host_id="other")])
