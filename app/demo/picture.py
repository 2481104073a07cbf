"""Draws the live view in a terminal: as much as fits, and a little of each table before much of one.

violations                          the latest; how many depends on the height
rooms at risk │ suppliers           side by side in a wide terminal, otherwise one below the other
duties                              what is due next
notices                             the latest
totals, how to stop it              always
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vigil.app.demo.view import SHOWN, DemoView, clock, notice_words, plain

WIDE: Final = 110
"""Columns from which on tables are side by side, and a violation is a row with columns."""

HIGH: Final = 60
"""Lines from which on tables have borders."""

WANTED: Final = 3
"""Violations that are shown before other tables get more rows."""

_STYLES: Final = {"reception": "yellow", "low-quality": "bright_red", "obs": "cyan"}


class _Sizes(NamedTuple):
    rooms: int
    suppliers: int
    notices: int
    duties: int


_SIZES: Final = (
    _Sizes(8, 8, 5, 5),
    _Sizes(5, 5, 5, 5),
    _Sizes(4, 4, 3, 3),
    _Sizes(3, 3, 2, 2),
    _Sizes(2, 2, 2, 1),
    _Sizes(2, 1, 1, 1),
    _Sizes(1, 0, 1, 1),
    _Sizes(1, 0, 1, 0),
    _Sizes(0, 0, 0, 0),
)


def picture(view: DemoView, now: int, footer: str, console: Console) -> Group:
    """Return the whole picture at the event time `now`, in as many lines as the console has."""
    frame = _Frame(view, now, console)
    totals = frame.totals(footer)
    left = console.size.height - frame.lines(totals)
    most = max(1, min(SHOWN, len(view.verdicts)))
    high = {number: frame.lines(frame.violations(number)) for number in range(1, most + 1)}
    parts: list[RenderableType] = []
    for sizes in _SIZES:
        parts = frame.other_parts(sizes)
        room = left - sum(map(frame.lines, parts))
        if high[min(WANTED, most)] <= room:
            break
    fitting = [number for number in high if high[number] <= room]
    return Group(frame.violations(max(fitting, default=1)), *parts, totals)


class _Frame:
    """The parts of one picture."""

    def __init__(self, view: DemoView, now: int, console: Console) -> None:
        self._view = view
        self._now = now
        self._console = console
        self._wide = console.size.width >= WIDE
        self._high = console.size.height >= HIGH

    def lines(self, part: RenderableType) -> int:
        """Return the number of lines of a part."""
        return len(self._console.render_lines(part, self._console.options.update(height=None), pad=False))

    def other_parts(self, sizes: _Sizes) -> list[RenderableType]:
        """Return all parts but the violations and the totals, with these numbers of rows."""
        tables = []
        if sizes.rooms:
            tables.append(self._urgent(sizes.rooms))
        if sizes.suppliers:
            tables.append(self._suppliers(sizes.suppliers))
        parts: list[RenderableType] = [_side_by_side(*tables)] if self._wide and len(tables) > 1 else [*tables]
        due = self._duties(sizes.duties)
        if due.row_count:
            parts.append(due)
        if sizes.notices:
            parts.append(self._notices(sizes.notices))
        return parts

    def violations(self, most: int) -> Table:
        table = self._table("Violations, latest last", show_header=self._wide)
        table.add_column("at", width=8)
        if self._wide:
            table.add_column("rule", width=18)
            table.add_column("room", width=14)
            table.add_column("reason", ratio=3)
            table.add_column("action", ratio=1)
        else:
            table.add_column(ratio=1)
        view = self._view
        for verdict in list(view.verdicts)[-most:]:
            at = clock(verdict["at"])
            rule = Text(verdict["rule"], style=_STYLES.get(verdict["family"], "magenta"))
            room, reason, action = plain(verdict["room_id"], 40), view.reason(verdict), view.action(verdict)
            if self._wide:
                table.add_row(at, rule, Text(room), Text(reason), Text(action))
            else:
                follows = f" ▶ {action}" if action else ""
                table.add_row(at, Text.assemble(rule, f" in {room}: {reason}", (follows, "bold")))
        if not view.verdicts:
            table.add_row(
                *[""] * (3 if self._wide else 1), "The worker is joining its group and reading the last ten minutes …"
            )
        return table

    def totals(self, footer: str) -> RenderableType:
        by_rule = self._view.by_rule
        rules = ", ".join(f"{rule} {number}" for rule, number in by_rule.most_common())
        rejected = ", ".join(f"{reason} {number}" for reason, number in self._view.rejected.most_common())
        text = Text(f"{sum(by_rule.values())} violations: {rules or 'none yet'}\n")
        if summary := self._view.merchants.summary():
            text.append(f"{summary}\n")
        if rejected:
            text.append(f"events rejected: {rejected}\n", style="yellow")
        text.append(footer)
        return Panel(text, border_style="dim") if self._high else text

    def _urgent(self, most: int) -> Table:
        table = self._table("Rooms at risk, most urgent first")
        for name in ("room", "condition", "runs for", "left"):
            table.add_column(name, justify="right" if name in ("runs for", "left") else "left")
        now = self._now
        rows = [row for room in self._view.rooms.values() if room["stream"] != "ended" for row in _at_risk(room)]
        for due, room_id, what, since in sorted(row for row in rows if row[0] > now)[:most]:
            left = (due - now) / 1000
            table.add_row(
                Text(plain(room_id, 40)),
                Text(what),
                f"{(now - since) / 1000:.0f} s",
                Text(f"{left:.0f} s", style=_urgency_style(left)),
            )
        return table

    def _suppliers(self, most: int) -> Table:
        table = self._table("Suppliers by predicted score")
        for name in ("supplier", "12 h response", "replies", "GMV 90 d", "score"):
            table.add_column(name, justify="left" if name == "supplier" else "right")
        scores = self._view.suppliers.values()
        best = sorted(scores, key=lambda score: (-(score["predicted"] or 0), score["supplier_id"]))
        for score in best[:most]:
            metrics = score["metrics"]
            table.add_row(
                Text(plain(score["supplier_id"], 40)),
                _rate(metrics["response_rate"]),
                _rate(metrics["reply_rate"]),
                f"${metrics['gmv_90d']}",
                "–" if score["predicted"] is None else str(score["predicted"]),
            )
        return table

    def _duties(self, most: int) -> Table:
        table = self._table("Duties, most urgent first", show_header=self._high)
        for name in ("supplier", "duty", "about", "owed by", "left"):
            table.add_column(name, justify="right" if name == "left" else "left", no_wrap=True)
        for due in self._view.merchants.due_next(self._now, most):
            left = (due.due - self._now) / 1000
            table.add_row(
                Text(plain(due.supplier_id, 40)),
                Text(due.duty, style="yellow" if due.status == "at-risk" else ""),
                Text(plain(due.ref, 40)),
                Text(due.owed_by),
                Text(_span(left), style=_urgency_style(left)),
            )
        return table

    def _notices(self, most: int) -> Table:
        table = self._table("Notices", show_header=False)
        table.add_column(width=8)
        table.add_column(width=12)
        table.add_column(width=14)
        table.add_column(ratio=1)
        for notice in list(self._view.notices)[-most:]:
            style = "bold" if notice["priority"] == "high" else "dim"
            table.add_row(
                clock(notice["at"]),
                Text(notice["kind"], style=style),
                Text(plain(notice["room_id"], 40)),
                Text(notice_words(notice, self._view.rulebook), style=style),
            )
        return table

    def _table(self, title: str, show_header: bool = True) -> Table:
        table = Table(title=title, title_justify="left", expand=True, show_header=show_header)
        if not self._high:
            table.box = None
            table.pad_edge = False
        return table


def _at_risk(room: dict[str, Any]) -> Iterator[tuple[int, str, str, int]]:
    """What runs in a room: when it is due, the room, what it is, and since when it runs."""
    for each in room["open"]:
        yield each["due"], room["room_id"], each["rule"], each["since"]
    for each in room["waiting"]:
        yield each["due"], room["room_id"], f"{each['buyer_tier'] or 'buyer'} waits", each["since"]


def _urgency_style(left_s: float) -> str:
    if left_s < 10:
        return "bold red"
    return "yellow" if left_s < 60 else ""


def _span(seconds: float) -> str:
    """A span in the unit that suits it."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _side_by_side(*tables: Table) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1))
    for _ in tables:
        grid.add_column(ratio=1)
    grid.add_row(*tables)
    return grid
