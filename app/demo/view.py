"""What the demo shows of the output topics: a fold of their messages, in words; picture.py draws it in a terminal."""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from vigil.app.domain.rulebook import Rulebook
from vigil.app.observability.terminal import mask_control_chars

SHOWN: Final = 8


def plain(text: str, most: int = 200) -> str:
    """Text of an event as it may be shown in a terminal: nothing in it can move the cursor or hide the rest."""
    shown = mask_control_chars(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def clock(at: int) -> str:
    """Time of day on this machine, for people who watch."""
    return datetime.fromtimestamp(at / 1000).astimezone().strftime("%H:%M:%S")


class DemoView:
    """What was published so far, as far as it is shown."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self.verdicts: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self.notices: deque[dict[str, Any]] = deque(maxlen=5)
        self.rooms: dict[str, dict[str, Any]] = {}
        self.suppliers: dict[str, dict[str, Any]] = {}
        self.actions: dict[str, dict[str, Any]] = {}
        self.by_rule: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def take(self, topic: str, value: dict[str, Any] | None, key: bytes | None) -> None:
        """Fold one message in."""
        self.counts[topic] += 1
        if topic == "room-status" and key is not None:
            if value is None:
                self.rooms.pop(key.decode(), None)
            else:
                self.rooms[value["room_id"]] = value
        elif value is None:
            return
        elif topic == "verdict":
            self.verdicts.append(value)
            self.by_rule[value["rule"]] += 1
        elif topic == "notice":
            self.notices.append(value)
        elif topic == "enforcement":
            self.actions[value["action_id"]] = value
        elif topic == "supplier-score":
            self.suppliers[value["supplier_id"]] = value

    def why(self, verdict: dict[str, Any]) -> str:
        """A verdict in words: what the rule says, and what it rests on."""
        lasted = (verdict["at"] - verdict["since"]) / 1000
        span = f" ({lasted:.0f} s from {clock(verdict['since'])} on)" if lasted else ""
        evidence = verdict["evidence"]
        notes = evidence[-1:] if len(evidence) == 2 else evidence
        told = "; ".join(plain(f"{clock(item['at'])} {item['note']}", 110) for item in notes)
        return f"{self._rulebook.description_of(verdict['rule'], verdict['rulebook'])}{span} {told}."

    def action(self, verdict: dict[str, Any]) -> str:
        """What the ladder makes of a verdict, in words; empty until it is known."""
        action = self.actions.get(verdict["verdict_id"])
        if action is None:
            return ""
        days = f" {action['ban_days']} d" if action["ban_days"] else ""
        choice = action["choice"]
        steps = " or ".join(choice) if isinstance(choice, list) else ", ".join(action["steps"])
        return f"{_nth(action['count'])} of its family: {steps}{days}"

    def line(self, topic: str, value: dict[str, Any]) -> str | None:
        """One line for where there is no terminal; None for what would be too much there."""
        if topic == "verdict":
            where = plain(value["room_id"], 40)
            return f"{clock(value['at'])}  VERDICT  {value['rule']:<18} {where}  {self.why(value)}"
        if topic == "notice":
            said = notice_words(value)
            return f"{clock(value['at'])}  notice   {value['kind']:<18} {plain(value['room_id'], 40)}  {said}"
        if topic == "enforcement":
            steps = ", ".join(value["steps"])
            why = f"{_nth(value['count'])} of {value['family']}"
            return f"{clock(value['at'])}  action   {steps:<18} {plain(value['host_id'], 40)}  {why}"
        return None


def _nth(count: int) -> str:
    if 10 <= count % 100 <= 20:
        return f"{count}th"
    return f"{count}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(count % 10, 'th') }"


def notice_words(notice: dict[str, Any]) -> str:
    """A notice in words."""
    since = clock(notice["since"])
    if notice["kind"] == "entry-missed":
        return f"buyer {plain(notice['buyer_id'], 40)} came in at {since} and nobody greeted them"
    if notice["kind"] == "at-risk":
        if notice["due"] is None:
            return f"{notice['rule']}: buyers ungreeted since {since}, the next one missed is a violation"
        return f"{notice['rule']} since {since}: a violation at {clock(notice['due'])} unless it ends"
    if notice["kind"] == "risk-cleared":
        return f"{notice['rule']} since {since} has ended in time"
    if notice["kind"] == "signal-lost":
        return f"no frame since {since}"
    return f"frames are back after the last one at {since}"


def lines(view: DemoView, taken: Iterable[tuple[str, bytes | None, dict[str, Any] | None]]) -> Iterable[str]:
    """Fold messages in; the lines to print of them where there is no terminal, in order of time as far as they came."""
    for topic, key, value in sorted(taken, key=lambda each: each[2]["at"] if each[2] else 0):
        view.take(topic, value, key)
        if value is not None:
            line = view.line(topic, value)
            if line is not None:
                yield line
