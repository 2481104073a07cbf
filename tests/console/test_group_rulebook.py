"""The console says so where its rulebook is not the one that the workers judge by."""

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from tests.support.console_stories import RULEBOOK, ConsoleStage
from vigil.app.console.ingest import group_rulebook
from vigil.app.console.ingest.group_rulebook import GroupRulebook
from vigil.app.engine.changelog import FORMAT, CheckpointMarker
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.runtime.doctor.state import ShardState


def judged_by(*digests: str) -> list[ShardState]:
    markers = [CheckpointMarker(FORMAT, 1, 1, 0, 0, 0, 0, 0, 0, (), 0, digest) for digest in digests]
    return [ShardState("rooms", number, marker) for number, marker in enumerate(markers)]


async def test_another_rulebook_of_any_shard_is_found_and_one_that_was_corrected_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = judged_by("ours", "theirs")
    asked = []

    async def read(settings: Settings, subject: str, changelog: str) -> list[ShardState]:
        asked.append(changelog)
        return states

    monkeypatch.setattr(group_rulebook, "read_states", read)
    group = GroupRulebook(Settings(app_id="trial"), "ours")
    await group.refresh()
    assert (group.other, asked) == ("theirs", ["trial-rooms-state"])
    states[:] = judged_by("ours", "ours")
    await group.refresh()
    assert group.other is None


async def test_what_cannot_be_read_changes_nothing_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def read(settings: Settings, subject: str, changelog: str) -> list[ShardState]:
        raise SettingsError("topic vigil-rooms-state: does not exist")

    monkeypatch.setattr(group_rulebook, "read_states", read)
    group = GroupRulebook(Settings(), "ours")
    group.other = "theirs"
    with capture_logs() as logged:
        for _ in range(2):
            await group.refresh()
    assert group.other == "theirs"
    assert [line["event"] for line in logged] == ["cannot compare the rulebook with the group's"]


@pytest.mark.parametrize(("language", "words"), [("en", "another rulebook"), ("zh", "规则手册")])
def test_every_page_has_a_banner_with_both_digests(language: str, words: str) -> None:
    console = ConsoleStage()
    client = TestClient(console.app, base_url="http://127.0.0.1", cookies={"vigil_lang": language})
    for page in ("/", "/suppliers"):
        assert words not in client.get(page).text
    console.state.group_rulebook.other = "f" * 64
    for page in ("/", "/suppliers"):
        text = client.get(page).text
        assert words in text
        assert 'data-level="bad"' in text
        assert f"{RULEBOOK.digest[:12]}" in text and "f" * 12 in text
