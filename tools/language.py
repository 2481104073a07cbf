"""Which banned words of docs/glossary.md the repository still uses.

    python -m tools.language               files that must be clean and are not; exit status 1 if there are any
    python -m tools.language app/engine    every finding below these paths, also in files that are still allowed
    python -m tools.language --shrink      take files that are clean or gone off the list of those that are allowed

Names are checked in every Python file of the product, its tools and its tests; text in docstrings, comments and
Markdown pages. Code in backquotes is not text: wire names and quoted outputs stay.
"""

import ast
import io
import keyword
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
GLOSSARY: Final = ROOT / "docs" / "glossary.md"
ALLOWED: Final = ROOT / "tests" / "docs" / "language_allowed.txt"
"""Files that may still use banned words, one a line. The list only shrinks."""

CODE: Final = ("agents", "app", "benchmarks", "tests", "tools", "topics")
SECTION: Final = "## Words that are not used"
USES: Final = frozenset({"name", "part of a name", "text"})

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_FENCED = re.compile(r"^ *(```|~~~).*?^ *\1[^\n]*$", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"`[^`]*`")


class Banned(NamedTuple):
    """One word or phrase, how it is banned, and what to use instead."""

    word: str
    uses: frozenset[str]
    instead: str


class WordUse(NamedTuple):
    """One use of a banned word."""

    path: Path
    line: int
    word: str
    instead: str


def banned(page: str) -> list[Banned]:
    """The banned words of the glossary; raise ValueError where its table cannot be read."""
    found = [entry for line in page.partition(SECTION)[2].splitlines() for entry in _row(line)]
    if not found:
        raise ValueError(f"docs/glossary.md: no words under {SECTION!r}")
    return found


def _row(line: str) -> list[Banned]:
    """The words of one line of the table; none where the line is no row of words."""
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    if not line.startswith("|") or len(cells) != 3 or not (words := re.findall(r"`([^`]+)`", cells[0])):
        return []
    uses = frozenset(use.strip() for use in cells[1].split(","))
    if not uses <= USES:
        raise ValueError(f"docs/glossary.md: {cells[1]!r} is not one of {', '.join(sorted(USES))}")
    instead = cells[2].split(", ")
    own = instead if len(instead) == len(words) else [cells[2]] * len(words)
    return [Banned(word, uses, other) for word, other in zip(words, own, strict=True)]


class Checker:
    """Finds the words that it is given."""

    def __init__(self, words: Iterable[Banned]) -> None:
        words = list(words)
        self._names = {entry.word: entry for entry in words if "name" in entry.uses}
        self._parts = [(parts(entry.word), entry) for entry in words if "part of a name" in entry.uses]
        self._known: dict[str, Banned | None] = {}
        """What was found in each identifier: most of them occur many times."""
        in_text = {entry.word.lower(): entry for entry in words if "text" in entry.uses}
        self._in_text = in_text
        longest_first = sorted(in_text, key=len, reverse=True)
        pattern = "|".join(re.escape(word).replace(r"\ ", r"\s+(?:#\s+)?") for word in longest_first)
        self._text = re.compile(rf"\b(?:{pattern})\b" if pattern else r"(?!)", re.IGNORECASE)

    def in_name(self, name: str) -> Banned | None:
        """The banned word that an identifier is or contains."""
        if name not in self._known:
            self._known[name] = self._find_in_name(name)
        return self._known[name]

    def _find_in_name(self, name: str) -> Banned | None:
        if name in self._names:
            return self._names[name]
        own = parts(name)
        for wanted, entry in self._parts:
            if any(own[i : i + len(wanted)] == wanted for i in range(len(own) - len(wanted) + 1)):
                return entry
        return None

    def in_text(self, text: str) -> Iterator[tuple[int, Banned]]:
        """Each banned word of a text, with its line counted from 0."""
        text = _QUOTED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        for match in self._text.finditer(text):
            word = " ".join(match[0].replace("#", " ").lower().split())
            yield text.count("\n", 0, match.start()), self._in_text[word]

    def in_page(self, path: Path) -> Iterator[WordUse]:
        """The findings of a Markdown page; the glossary's own list is left out."""
        text = path.read_text().partition(SECTION)[0]
        text = _FENCED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        for line, entry in self.in_text(text):
            yield WordUse(path, line + 1, entry.word, entry.instead)

    def in_module(self, path: Path) -> Iterator[WordUse]:
        """The findings of a Python file: names, docstrings (also those below attributes) and comments."""
        source = path.read_text()
        if not (self._text.search(source) or any(map(self.in_name, set(_WORD.findall(source))))):
            return  # most files: there is no need to know which words are names, and which are text
        yield from self._in_tokens(path, source)
        for text in docstrings(ast.parse(source)):
            for line, entry in self.in_text(str(text.value)):
                yield WordUse(path, text.lineno + line, entry.word, entry.instead)

    def _in_tokens(self, path: Path, source: str) -> Iterator[WordUse]:
        """The findings in names and comments."""
        before = ""
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            of_a_file = before == "." and token.string == "tell"  # the method of Python's files has no other name
            before = token.string
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string) and not of_a_file:
                entry = self.in_name(token.string)
                if entry is not None:
                    yield WordUse(path, token.start[0], token.string, entry.instead)
            elif token.type == tokenize.COMMENT:
                for _, entry in self.in_text(token.string):
                    yield WordUse(path, token.start[0], entry.word, entry.instead)


def parts(name: str) -> tuple[str, ...]:
    """The words of an identifier or a phrase, in lower case."""
    return tuple(part.lower() for part in _PART.findall(name))


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every string that stands alone: docstrings, and the texts below attributes and constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def files(root: Path) -> list[Path]:
    """Everything that is checked."""
    modules = [path for top in CODE for path in (root / top).rglob("*.py")]
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return sorted(modules) + sorted(pages)


def findings(paths: Iterable[Path]) -> list[WordUse]:
    """The findings in these files, in their order."""
    checker = Checker(banned(GLOSSARY.read_text()))
    found: list[WordUse] = []
    for path in paths:
        found += sorted(checker.in_page(path) if path.suffix == ".md" else checker.in_module(path))
    return found


def allowed() -> set[str]:
    """Files that may still use banned words, relative to the repository."""
    if not ALLOWED.exists():
        return set()
    return {line for line in ALLOWED.read_text().splitlines() if line and not line.startswith("#")}


def findings_below(paths: Sequence[Path]) -> list[WordUse]:
    """The findings in these files and folders, also in files that may still use banned words."""
    return [use for use in findings(files(ROOT)) if any(path in (use.path, *use.path.parents) for path in paths)]


def findings_not_allowed() -> list[WordUse]:
    """The findings in the files that must be clean."""
    exempt = allowed()
    return [use for use in findings(files(ROOT)) if str(use.path.relative_to(ROOT)) not in exempt]


def shrink() -> int:
    """Take the files that are clean or gone off the list; it is deleted once it names none."""
    lines = ALLOWED.read_text().splitlines() if ALLOWED.exists() else []
    dirty = {use.path.relative_to(ROOT).as_posix() for use in findings(files(ROOT))}
    kept = [line for line in lines if line.startswith("#") or line in dirty]
    if all(line.startswith("#") for line in kept):
        ALLOWED.unlink(missing_ok=True)
    else:
        ALLOWED.write_text("\n".join(kept) + "\n")
    print(f"{len(lines) - len(kept)} off the list, {sum(not line.startswith('#') for line in kept)} left")
    return 0


def main(args: list[str]) -> int:
    """Print the findings; 1 if there are any."""
    if args == ["--shrink"]:
        return shrink()
    found = findings_below([Path(arg).resolve() for arg in args]) if args else findings_not_allowed()
    for path, line, word, instead in found:
        print(f"{path.relative_to(ROOT)}:{line}: {word} (use: {instead})")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
