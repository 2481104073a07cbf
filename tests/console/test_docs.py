"""docs/console.md names every setting, with its default, and every key."""

from pathlib import Path

import msgspec

from vigil.app.console.ingest.model import OUTPUTS, ConsoleModel
from vigil.app.console.ingest.topic_ingest import READ
from vigil.app.console.settings import ConsoleBounds, ConsoleSettings

PAGE = (Path(__file__).parents[2] / "docs" / "console.md").read_text(encoding="utf-8")


def test_every_setting_is_documented():
    names = [field.name.upper() for field in msgspec.structs.fields(ConsoleSettings) if field.name != "bounds"]
    names += [f"MAX_{field.name.upper()}" for field in msgspec.structs.fields(ConsoleBounds)]
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_defaults_are_those_of_the_code():
    settings = ConsoleSettings()
    for name in ("read_minutes", "verdict_hours", "action_hours", "score_hours"):
        assert f"| `{name.upper()}` | {getattr(settings, name)} |" in PAGE
    for number in (
        settings.bounds.rooms,
        settings.bounds.verdicts,
        settings.bounds.actions_of_host,
        settings.bounds.suppliers,
    ):
        assert f"{number:,}" in PAGE


def test_every_topic_that_is_read_is_documented():
    kept_only = set(OUTPUTS) - ConsoleModel(ConsoleBounds(), 0).viewed
    assert [topic for topic in READ if topic not in kept_only and f"`{topic}`" not in PAGE] == []
