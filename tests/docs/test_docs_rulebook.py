"""docs/rulebook.md agrees with the rulebook. With VIGIL_WRITE_DOCS=1 its tables are written instead of compared."""

import os
import re
from pathlib import Path
from typing import Final

import pytest

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.formatting import limit_lines
from vigil.app.domain.rulebook.groups import groups
from vigil.app.domain.rulebook.incidents import IncidentLimits
from vigil.app.domain.rulebook.reader import BUILT_IN, load_rulebook, parse_rulebook
from vigil.app.runtime.whatif.patch import patched, sweep

PAGE: Final = Path(__file__).parents[2] / "docs" / "rulebook.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
BOOK: Final = load_rulebook()
BEGIN, END = "<!-- rules:begin -->\n", "<!-- rules:end -->\n"


def tables(book: Rulebook) -> str:
    """Return every section with every version as Markdown."""
    lines = []
    for group in groups(book, book.sections):
        lines += [f"### {group.title}\n", "| section | description | from | numbers | source |", "| --- " * 5 + "|"]
        for name in group.sections:
            family = f"<br>family {book.families[name]}" if name in book.families else ""
            said = None
            called = f"`{name}`{family}"
            for dated in book.versions(name):
                numbers = "<br>".join(
                    words if key == "rungs" else f"`{key}` {words}" for key, words in limit_lines(dated.limits)
                )
                says, said = "" if dated.description == said else dated.description, dated.description
                lines.append(f"| {called} | {says} | {dated.effective_date} | {numbers} | {dated.citation} |")
                called = ""
        lines.append("")
    return "\n".join(lines)


def test_the_page_has_the_tables_generated_from_the_rulebook() -> None:
    head, _, rest = TEXT.partition(BEGIN)
    written, _, tail = rest.partition(END)
    current = tables(BOOK)
    if os.environ.get("VIGIL_WRITE_DOCS") == "1":
        PAGE.write_text(f"{head}{BEGIN}{current}{END}{tail}", encoding="utf-8")
        return
    assert written == current, (
        "docs/rulebook.md is out of date: VIGIL_WRITE_DOCS=1 pytest tests/docs/test_docs_rulebook.py"
    )


def test_every_section_and_version_is_in_the_tables() -> None:
    current = tables(BOOK)
    for section in BOOK.sections:
        assert f"| `{section}`" in current
        for dated in BOOK.versions(section):
            assert f"| {dated.effective_date} |" in current


def test_the_excerpt_of_the_file_is_part_of_it() -> None:
    shown = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(shown) == 5
    assert shown[0] in BUILT_IN.read_text(encoding="utf-8")


def test_the_examples_of_changes_can_be_added_to_the_rulebook() -> None:
    examples = re.findall(r"<!-- example -->\n```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2  # a date and an instant
    book = parse_rulebook("\n".join([BUILT_IN.read_text(encoding="utf-8"), *examples]), "candidate.toml")
    assert len(book.versions("black-screen")) == len(BOOK.versions("black-screen")) + 2


def test_the_example_of_an_approval_can_be_added_to_the_rulebook() -> None:
    example = re.search(r"<!-- approval -->\n```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert example
    book = parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + "\n" + example[1], "candidate.toml")
    assert len(book.versions("approval")) == 1


def test_the_example_of_incidents_is_what_holds_without_it() -> None:
    example = re.search(r"<!-- incidents -->\n```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert example
    book = parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + "\n" + example[1], "candidate.toml")
    (version,) = book.versions("incidents")
    assert version.limits == IncidentLimits()
    assert all(name in example[1] for name in IncidentLimits.__struct_fields__)


def test_the_examples_of_rejections_are_messages_of_the_reader() -> None:
    example = re.search(r"^```\n(candidate\.toml:.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert example
    text = BUILT_IN.read_text(encoding="utf-8") + (
        '\n[black-screen.from.2027-03-01]\nlast_s = 90\nsource = "x"\n'
        '\n[greeting-miss.from.2027-03-01]\nwithin_min = 1\nin_a_row = 3\nat_risk_misses = 2\nsource = "x"\n'
    )
    with pytest.raises(RulebookError) as rejected:
        parse_rulebook(text, "candidate.toml")
    assert re.sub(r":\d+:", ":", str(rejected.value)) == re.sub(r":\d+:", ":", example[1].strip())


def test_the_examples_of_changes_are_valid() -> None:
    changes = re.findall(r"^\| `([^`|]*=[^`|]*)` \|", TEXT, re.MULTILINE)
    assert len(changes) >= 7
    for change in changes:
        if re.search(r"=\S*:", change):
            assert len(sweep(BOOK, change)) > 1
        else:
            assert patched(BOOK, [change]).digest != BOOK.digest
    (option,) = re.findall(r"--sweep (\S+?)`", TEXT)
    assert len(sweep(BOOK, option)) == 13
