"""What the documents point to is there, and what they list is all of it."""

import re
from pathlib import Path

import pytest

from app.cli import COMMANDS
from topics.catalog import TOPICS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    links = [match[1] for match in _LINK.finditer(page.read_text()) if "://" not in match[1]]
    missing = [link for link in links if not link.startswith("mailto:") and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"vigil {name}" not in text and f"make {name}" not in text] == []


def test_the_readme_names_every_topic_that_comes_in() -> None:
    text = (ROOT / "README.md").read_text()
    assert [topic.name for topic in TOPICS if topic.direction == "in" and f"`{topic.name}`" not in text] == []
