"""Whatever is mistyped, the reader returns a rulebook or raises a RulebookError that names the file; nothing else."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.rulebook_files import FILE, TEXT
from vigil.app.domain.rulebook import RulebookError
from vigil.app.domain.rulebook.reader import parse_rulebook

LINES = TEXT.splitlines()
VALUES = [n for n, line in enumerate(LINES) if re.match(r"[\w-]+ = ", line)]
TABLES = [n for n, line in enumerate(LINES) if line.startswith("[")]

CHARACTERS = st.sampled_from(list("[]{}\"'#=.,-_0123456789aeorstZ\\\n\t \0é\u2028\ud7ff\U0001f600"))

SCALARS = st.one_of(
    st.sampled_from(
        ["true", "nan", "-inf", "0", "-1", "1e400", "0x7f", "0o17", "1_000", "9" * 4301, "2022-07-19", "07:00:00"]
    ),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=8).map(lambda text: "'" + text.replace("'", "") + "'"),
    st.sampled_from(["America/Los_Angeles", "warn", "reception", "sleeping", ""]).map(lambda text: f'"{text}"'),
)
KEYS = st.sampled_from(["steps", "choice", "least", "most", "points", "ban_days", "score", "x", '"a b"'])
ANY_VALUE = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda table: "{ " + ", ".join(f"{key} = {value}" for key, value in table.items()) + " }"
        ),
    ),
    max_leaves=6,
)


def is_read_or_refused(text: str) -> None:
    try:
        book = parse_rulebook(text, FILE)
    except RulebookError as error:
        problems = str(error).splitlines()
        assert problems
        for line in problems:
            assert re.match(rf"{re.escape(FILE)}(:\d+)?: \S", line), line
            assert 0 <= int((re.match(r"[^:]+:(\d+)", line) or [0, 0])[1]) <= text.count("\n") + 1
    else:
        assert len(book.digest) == 64
        for section in book.sections:
            for version in book.versions(section):
                assert book.at(section, version.start) is version


@settings(max_examples=examples(250), deadline=None)
@given(st.integers(0, len(TEXT) - 1), CHARACTERS, st.sampled_from(["insert", "replace", "delete"]))
def test_any_slip_of_one_character(place: int, character: str, how: str) -> None:
    head, tail = TEXT[:place], TEXT[place:]
    is_read_or_refused(head + (character if how != "delete" else "") + (tail if how == "insert" else tail[1:]))


@settings(max_examples=examples(250), deadline=None)
@given(st.sampled_from(VALUES), ANY_VALUE)
def test_any_value_of_any_key(number: int, value: str) -> None:
    key = LINES[number].partition(" = ")[0]
    is_read_or_refused("\n".join([*LINES[:number], f"{key} = {value}", *LINES[number + 1 :]]))


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(range(len(LINES))), st.sampled_from(["twice", "gone", "to the top"]))
def test_any_line_twice_gone_or_elsewhere(number: int, how: str) -> None:
    line, rest = LINES[number], [*LINES[:number], *LINES[number + 1 :]]
    is_read_or_refused(
        "\n".join({"twice": [*LINES[:number], line, *LINES[number:]], "gone": rest, "to the top": [line, *rest]}[how])
    )


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(TABLES), st.lists(st.sampled_from(["a", "from", "2022-07-19", "ladder", "absence", '"x.y"'])))
def test_any_name_of_any_table(number: int, names: list[str]) -> None:
    is_read_or_refused("\n".join([*LINES[:number], f"[{'.'.join(names)}]", *LINES[number + 1 :]]))
