"""What a chaos run says of `vigil notify`: alerts that are missing, and alerts that were sent too often."""

from pathlib import Path
from typing import Any

from tools.chaos_notify import NotifyUnderFire


def incident(name: str, stage: str = "violation", snoozed_until: int | None = None) -> dict[str, Any]:
    return {"verdict_id": name, "stage": stage, "snoozed_until": snoozed_until}


def under_fire(tmp_path: Path, *sent: str) -> NotifyUnderFire:
    """One that has sent a step for each verdict named, and was started twice."""
    made = NotifyUnderFire("nowhere:9092", tmp_path, 1)
    made.starts = 2
    made.receiver.bodies = [name.encode() for name in sent]
    made.receiver.taken = [{"id": name} for name in sent]
    return made


async def test_a_violation_without_an_alert_is_a_finding(tmp_path: Path) -> None:
    wrong = await under_fire(tmp_path, "a").missing([incident("a"), incident("b"), None], 0)
    assert wrong == ["notify: nothing was sent of the verdict b"]


async def test_what_has_ended_or_is_snoozed_need_not_be_sent(tmp_path: Path) -> None:
    story = [incident("a", "ended"), incident("b", "at-risk"), incident("c", snoozed_until=5)]
    assert await under_fire(tmp_path).missing(story, 0) == []


async def test_a_step_may_be_sent_once_for_each_start_and_not_more_often(tmp_path: Path) -> None:
    assert await under_fire(tmp_path, "a", "a").missing([], 0) == []
    assert await under_fire(tmp_path, "a", "a", "a").missing([], 0) == ["notify: a was sent 3 times"]
