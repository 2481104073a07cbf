"""docs/console.md names every setting, with its default, and every key."""

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from vigil.app.console.auth.host_links import HostLinks
from vigil.app.console.http import host_pages
from vigil.app.console.ingest.model import OUTPUTS, ConsoleModel
from vigil.app.console.ingest.topic_ingest import READ
from vigil.app.console.settings import ConsoleBounds, ConsoleSettings
from vigil.app.console.views.host_fields import (
    HostPage,
    ShownAction,
    ShownEvidence,
    ShownRule,
    ShownVerdict,
    ShownWarning,
)

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


def test_the_page_for_marketplaces_signs_links_as_the_console_does():
    page = (Path(__file__).parents[2] / "docs" / "hosts.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    address = names["link"]("k" * 64, "merchant 7/\u5546")
    (token,) = parse_qs(urlsplit(address).query)["token"]
    assert HostLinks(("k" * 64,)).host_of(token, time.time()) == "merchant 7/\u5546"


def test_the_page_for_marketplaces_names_every_field_and_error():
    page = (Path(__file__).parents[2] / "docs" / "hosts.md").read_text(encoding="utf-8")
    names = [
        field.name
        for kind in (HostPage, ShownVerdict, ShownRule, ShownEvidence, ShownAction, ShownWarning)
        for field in msgspec.structs.fields(kind)
    ]
    assert [name for name in names if f"`{name}`" not in page] == []
    source = Path(host_pages.__file__).read_text(encoding="utf-8")
    errors = {code for code in re.findall(r'"for-host\.([a-z.-]+)"', source) if code != "expired"}
    assert [code for code in errors if f"`{code}`" not in page] == []
