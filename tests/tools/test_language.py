"""The banned words of docs/glossary.md are used nowhere but in the files that the allow-list still names."""

from pathlib import Path

import pytest

from tools.language import ALLOWED, GLOSSARY, ROOT, Banned, Checker, allowed, banned, files, findings

EVERYWHERE = frozenset({"name", "part of a name", "text"})


@pytest.fixture(scope="module")
def offenders() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, line, word, instead in findings(files(ROOT)):
        name = path.relative_to(ROOT).as_posix()
        found.setdefault(name, []).append(f"{name}:{line}: {word} (use: {instead})")
    return found


def test_files_that_are_not_allowed_to_use_banned_words_use_none(offenders: dict[str, list[str]]) -> None:
    wrong = [line for name, lines in offenders.items() if name not in allowed() for line in lines]
    assert wrong == []


def test_the_list_of_allowed_files_is_sorted_and_names_each_file_once() -> None:
    if ALLOWED.exists():
        names = [line for line in ALLOWED.read_text().splitlines() if not line.startswith("#")]
        assert names == sorted(set(names))


def test_the_glossary_bans_each_word_once_and_says_what_to_use() -> None:
    words = [entry.word for entry in banned(GLOSSARY.read_text())]
    assert len(words) == len(set(words))
    assert all(entry.instead for entry in banned(GLOSSARY.read_text()))
    assert "told" in words


def test_an_unknown_kind_of_use_is_refused() -> None:
    with pytest.raises(ValueError, match="'anywhere' is not one of"):
        banned("## Words that are not used\n| `told` | anywhere | said |\n")


def test_replacements_go_with_their_words_where_there_are_as_many() -> None:
    page = "## Words that are not used\n| `heal`, `owed` | text | repair, pending |\n| `a`, `b` | name | c |\n"
    assert [(entry.word, entry.instead) for entry in banned(page)] == [
        ("heal", "repair"),
        ("owed", "pending"),
        ("a", "c"),
        ("b", "c"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("told", True),
        ("_told_again", True),
        ("NOT_TOLD", True),
        ("ToldAgain", True),
        ("stand_still", True),
        ("standing_still", False),
        ("toldenburg", False),
        ("Held", True),
        ("held", False),
        ("Household", False),
    ],
)
def test_names_are_compared_word_by_word(name: str, expected: bool) -> None:
    checker = Checker(
        [
            Banned("told", frozenset({"part of a name"}), "said"),
            Banned("stand still", frozenset({"part of a name"}), "pause"),
            Banned("Held", frozenset({"name"}), "ShardRunner"),
        ]
    )
    assert (checker.in_name(name) is not None) == expected


def test_text_is_docstrings_comments_and_pages_but_not_what_is_quoted(tmp_path: Path) -> None:
    checker = Checker([Banned("told", EVERYWHERE, "said"), Banned("let go", EVERYWHERE, "release")])
    module = tmp_path / "module.py"
    module.write_text(
        '"""It is told.\n\nThe field `told` is not, and shards are let\ngo."""\n'
        'NAME = "told"  # told, not `told`\n"""Told below an attribute."""\n'
    )
    assert sorted((line, word) for _, line, word, _ in checker.in_module(module)) == [
        (1, "told"),
        (3, "let go"),
        (5, "told"),
        (6, "told"),
    ]
    page = tmp_path / "page.md"
    page.write_text("# Told\n\n```\ntold\n```\nNot `told`, but let\ngo.\n\n## Words that are not used\n\ntold\n")
    assert [(line, word) for _, line, word, _ in checker.in_page(page)] == [(1, "told"), (6, "let go")]


def test_the_method_of_a_file_is_allowed_and_other_uses_of_its_name_are_not(tmp_path: Path) -> None:
    checker = Checker([Banned("tell", EVERYWHERE, "report")])
    module = tmp_path / "module.py"
    module.write_text("position = file.tell()\ntell = 1\n")
    assert [(line, word) for _, line, word, _ in checker.in_module(module)] == [(2, "tell")]
