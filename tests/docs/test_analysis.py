"""docs/analysis.md: its commands run, and DuckDB answers its questions as Python does from what the replay wrote.

With VIGIL_WRITE_DOCS=1 the answers that the page shows are written instead of compared.
"""

import json
import math
import os
import re
import shlex
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import pytest

from tests.support.run_command import run
from vigil.app.export.tables import EVENTS, RESULTS

PAGE: Final = Path(__file__).parents[2] / "docs" / "analysis.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
VIEWS, *QUESTIONS = re.findall(r"^```sql\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
TITLES: Final = re.findall(r"^### (\d+)\. (.*)$", TEXT, re.MULTILINE)
SHOWN: Final = re.compile(r"(```sql\n[^`]*?```\n)(?:\n```text\n(.*?)```\n)?", re.DOTALL)

Row = tuple[Any, ...]


class Past(NamedTuple):
    """What the replay wrote, by topic, and the recording's events."""

    written: dict[str, list[dict[str, Any]]]
    recorded: dict[str, list[dict[str, Any]]]

    @property
    def actions(self) -> dict[str, dict[str, Any]]:
        """The highest revision of each action."""
        return {action["action_id"]: action for action in sorted(self.written["enforcement"], key=by("revision"))}

    @property
    def reviews(self) -> list[dict[str, Any]]:
        """Each once, in the order of the recording."""
        identity = by("verdict_id", "decision", "by", "at")
        found = {identity(one): one for one in self.recorded["review"][::-1]}
        return list(found.values())[::-1]


class Answered(NamedTuple):
    """A lake that the page's commands made, to ask, and the past that it is made from."""

    database: duckdb.DuckDBPyConnection
    past: Past

    def ask(self, question: str) -> tuple[list[str], list[tuple[str | None, ...]]]:
        """The names of the columns, and the rows as DuckDB prints them."""
        answer = self.database.execute(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({question.strip().rstrip(';')})")
        return [column[0] for column in answer.description], answer.fetchall()


def by(*names: str) -> Callable[[dict[str, Any]], Row]:
    return lambda line: tuple(line[name] for name in names)


def read(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    folder, before = tmp_path_factory.mktemp("analysis"), Path.cwd()
    os.chdir(folder)
    try:
        # Not packed: this test reads it, too.
        for command in re.findall(r"^vigil ((?:simulate|replay) .*|export .* --events)$", TEXT, re.MULTILINE)[-3:]:
            result = run(*shlex.split(command.replace("day.jsonl.zst", "day.jsonl")))
            assert result.exit_code == 0, result.output
        recorded: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in read(folder / "day.jsonl"):
            recorded[line["topic"]].append(line["value"])
        written = {file.stem: read(file) for file in (folder / "replayed").glob("*.jsonl")}
        assert written["dead-letter"] == []
        database = duckdb.connect()
        database.execute(VIEWS)
        yield Answered(database, Past(written, recorded))
    finally:
        os.chdir(before)


def shown(value: Any) -> str | None:
    """A value as DuckDB prints it."""
    return None if value is None else str(value)


def instant(ms: int | None) -> str | None:
    if ms is None:
        return None
    text = f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%S}.{ms % 1000:03}".rstrip("0").rstrip(".")
    return f"{text}+00"


def half_up(value: float) -> float:
    return math.floor(value * 10 + 0.5) / 10


def quantile(values: Iterable[int], tenths: int) -> int | None:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[max(1, -(-tenths * len(ordered) // 10)) - 1] if ordered else None


def seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


# ---- the answers -----------------------------------------------------------------------------------------------------


def overturned_rules(past: Past) -> list[Row]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for verdict in past.written["verdict"]:
        codes = ", ".join(sorted({one["code"] for one in verdict["evidence"]}))
        groups[verdict["rule"], codes].append(past.actions[verdict["verdict_id"]])
    rows = [
        (*group, len(actions), sum(one["decided_at"] is not None for one in actions), withdrawn(actions))
        for group, actions in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row[4], -row[3], row[0], row[1]))[:5]


def withdrawn(actions: list[dict[str, Any]]) -> int:
    return sum(action["status"] == "withdrawn" for action in actions)


def decision_times(past: Past) -> list[Row]:
    rules: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in past.written["incident"]:
        if one["violated_at"] is not None:
            rules[one["rule"]].append(one)
    rows = []
    for rule, violations in rules.items():
        claims = [one["first_claimed_at"] - one["violated_at"] for one in violations if one["first_claimed_at"]]
        decisions = [one["decided_at"] - one["violated_at"] for one in violations if one["decided_at"]]
        times = (quantile(claims, 5), quantile(decisions, 5), quantile(decisions, 9))
        rows.append((rule, len(violations), len(decisions), *map(seconds, times)))
    return sorted(rows, key=lambda row: (row[5] is None, -(row[5] or 0), row[0]))[:5]


def climbing_hosts(past: Past) -> list[Row]:
    ladders: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for action in past.actions.values():
        if action["status"] != "withdrawn":
            ladders[action["host_id"], action["family"]].append(action)
    rows = []
    for ladder, actions in ladders.items():
        bans = [action["ban_until"] for action in actions if action["ban_until"] is not None]
        reached, latest = max(one["count"] for one in actions), max(one["at"] for one in actions)
        rows.append((*ladder, reached, len(actions), latest, max(bans, default=None)))
    rows = sorted((row for row in rows if row[2] >= 3), key=lambda row: (-row[2], -row[4], row[0], row[1]))
    return [(*row[:4], instant(row[4]), instant(row[5])) for row in rows[:5]]


def misses_by_hour(past: Past) -> list[Row]:
    def hour(at: int) -> int:
        return datetime.fromtimestamp(at / 1000, ZoneInfo("America/Los_Angeles")).hour

    came = Counter(hour(at) for _, _, at in {by("room_id", "buyer_id", "at")(e) for e in past.recorded["buyer-entry"]})
    missed = {
        (verdict["room_id"], one["params"]["buyer_id"], one["at"])
        for verdict in past.written["verdict"]
        if verdict["rule"] == "greeting-miss"
        for one in verdict["evidence"]
    }
    misses = Counter(hour(at) for _, _, at in missed)
    return [(one, n, misses[one], half_up(1000 * misses[one] / n)) for one, n in sorted(came.items())]


def response_rates(past: Past) -> list[Row]:
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for quote in past.recorded["quote"]:
        if quote["kind"] == "submitted":
            key = quote["supplier_id"], quote["rfq_id"]
            at, asked = first.get(key, (quote["at"], quote["rfq_at"]))
            first[key] = min(at, quote["at"]), min(asked, quote["rfq_at"])
    weeks: dict[Any, list[bool]] = defaultdict(list)
    for at, asked in first.values():
        day = datetime.fromtimestamp(at / 1000, UTC).date()
        weeks[day - timedelta(days=day.weekday())].append(at - asked <= 12 * 3_600_000)
    rows = [(week, len(quick), sum(quick), half_up(100 * sum(quick) / len(quick))) for week, quick in weeks.items()]
    return sorted(rows)


def halving_limit(past: Past) -> list[Row]:
    words: dict[str, list[int]] = defaultdict(list)
    for comment in past.recorded["comment"]:
        if comment["author_role"] == "host" and comment.get("via") != "auto" and comment.get("intent") != "chat":
            words[comment["room_id"]].append(comment["at"])
    for times in words.values():
        times.sort()
    waits = []
    for entry in past.recorded["buyer-entry"]:
        times = words[entry["room_id"]]
        place = bisect_left(times, entry["at"])
        waits += [times[place] - entry["at"]] if place < len(times) else []
    misses = {limit: sum(wait > 1000 * limit for wait in waits) for limit in range(5, 121)}
    return [(limit, number, misses[10]) for limit, number in misses.items() if 2 * number <= misses[10]][:1]


def moderators(past: Past) -> list[Row]:
    decisions = [one for one in past.reviews if one["decision"] != "appealed"]
    of_verdict: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in sorted(decisions, key=by("at")):
        of_verdict[one["verdict_id"]].append(one)
    reverses: Counter[str] = Counter()
    for ordered in of_verdict.values():
        for one, following in pairwise(ordered):
            reverses[one["by"]] += one["decision"] != following["decision"]
    names = Counter(one["by"] for one in decisions)
    overturns = Counter(one["by"] for one in decisions if one["decision"] == "overturned")
    rows = [(name, number, overturns[name], reverses[name]) for name, number in names.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:5]


def warnings(past: Past) -> list[Row]:
    rules: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in past.written["incident"]:
        if one["kind"] == "rule" and one["at_risk_at"] is not None:
            rules[one["rule"]].append(one)
    rows = []
    for rule, warned in rules.items():
        times = [one["violated_at"] - one["at_risk_at"] for one in warned if one["violated_at"] is not None]
        cleared = sum(one["violated_at"] is None and one["ended_by"] == "cleared" for one in warned)
        rows.append((rule, len(warned), len(times), cleared, seconds(quantile(times, 5))))
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:5]


def breached_duties(past: Past) -> list[Row]:
    duties: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in past.written["obligation"]:
        duties[line["duty"]].append(line)
    rows = []
    for duty, lines in duties.items():
        breached = [line for line in lines if line["status"] == "breached"]
        amounts = [Decimal(line["compensation_usd"]) for line in lines if line["compensation_usd"] is not None]
        met = sum(line["status"] == "met" for line in lines)
        late = sum(line["done_at"] is not None for line in breached)
        rows.append((duty, len(lines), met, len(breached), late, sum(amounts) if amounts else None))
    return sorted(rows, key=lambda row: (-row[3], -row[1], row[0]))[:5]


def falling_scores(past: Past) -> list[Row]:
    rows = []
    for line in past.written["supplier-score"]:
        assessed, predicted, points = line["assessed"], line["predicted"], line["points"]
        if assessed is not None and predicted is not None and predicted < assessed["score"]:
            factors = (points[name] for name in ("quotes", "response", "reply", "gmv"))
            change = predicted - assessed["score"]
            rows.append((line["supplier_id"], line["industry"], assessed["score"], predicted, change, *factors))
    return sorted(rows, key=lambda row: (row[4], row[0]))[:5]


ANSWERS: Final[tuple[Callable[[Past], list[Row]], ...]] = (
    overturned_rules,
    decision_times,
    climbing_hosts,
    misses_by_hour,
    response_rates,
    halving_limit,
    moderators,
    warnings,
    breached_duties,
    falling_scores,
)


def test_there_are_ten_questions() -> None:
    assert [number for number, _ in TITLES] == [str(number) for number in range(1, 11)]
    assert len(QUESTIONS) == len(ANSWERS) == 10


def test_the_views_choose_the_rows_that_the_tables_name() -> None:
    views = re.findall(
        r"CREATE VIEW (\w+) AS [^;]*?read_parquet\('lake/(\w+)/\*/\*\.parquet'\)([^;]*);", VIEWS.replace('"', "")
    )
    tables = {table.name: table for table in (*RESULTS, *EVENTS)}
    assert {table.name for table in RESULTS} <= {name for name, _, _ in views}
    for name, folder, rest in views:
        chosen = re.search(r"PARTITION BY (.*) ORDER BY (\w+)( DESC)?\) = 1", rest)
        table = tables[name]
        assert folder == name
        found = (chosen[1], chosen[2] if chosen[3] else None) if chosen else (None, None)
        assert found == (table.key, table.newest)
        assert ("NOT deleted" in rest) == (table.topic.tombstone is not None)


@pytest.mark.ci
@pytest.mark.parametrize("number", range(10), ids=[answer.__name__ for answer in ANSWERS])
def test_duckdb_answers_as_python_does(answered: Answered, number: int) -> None:
    _, rows = answered.ask(QUESTIONS[number])
    expected = ANSWERS[number](answered.past)
    assert expected, "the simulation has nothing of what is asked"
    assert rows == [tuple(map(shown, row)) for row in expected]


@pytest.mark.ci
def test_the_page_shows_the_answers(answered: Answered) -> None:
    def with_answer(place: re.Match[str]) -> str:
        sql = place[1].removeprefix("```sql\n").removesuffix("```\n")
        return place[0] if sql == VIEWS else f"{place[1]}\n```text\n{as_text(*answered.ask(sql))}```\n"

    current = SHOWN.sub(with_answer, TEXT)
    if os.environ.get("VIGIL_WRITE_DOCS") == "1":
        PAGE.write_text(current, encoding="utf-8")
        return
    assert current == TEXT, "docs/analysis.md is out of date: VIGIL_WRITE_DOCS=1 pytest tests/docs/test_analysis.py"


def as_text(names: list[str], rows: list[tuple[str | None, ...]]) -> str:
    """An answer as the page shows it."""
    table = [names, *([value or "NULL" for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in table)
