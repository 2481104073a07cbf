"""The state behind the live view: it is updated by each output message, and picture.py draws it in a terminal."""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from vigil.app.demo.merchants import TOPICS as MERCHANT_TOPICS
from vigil.app.demo.merchants import MerchantsView
from vigil.app.domain.rooms.risk import misses_left
from vigil.app.domain.rulebook import Rulebook
from vigil.app.observability.terminal import mask_control_chars

SHOWN: Final = 8

NOTE: Final = 160
"""Characters of one note of evidence: a quotation, which a verdict has cut already, is shown to its end."""


def plain(text: str, limit: int = 200) -> str:
    """Return a text of an event that is safe in a terminal, cut to `limit` characters."""
    shown = mask_control_chars(text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def clock(at: int) -> str:
    """Return the time of day in the time zone of this machine."""
    return datetime.fromtimestamp(at / 1000).astimezone().strftime("%H:%M:%S")


class DemoView:
    """What has been published so far, as far as the view shows it."""

    def __init__(self, rulebook: Rulebook, since: int = 0) -> None:
        """`since`: lines of merchants of before are counted, and not printed."""
        self.rulebook = rulebook
        self.merchants = MerchantsView(since)
        self.verdicts: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self.notices: deque[dict[str, Any]] = deque(maxlen=5)
        self.rooms: dict[str, dict[str, Any]] = {}
        self.suppliers: dict[str, dict[str, Any]] = {}
        self.actions: dict[str, dict[str, Any]] = {}
        self.by_rule: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        """Events in `dead-letter` by reason. On a busy machine some events of the simulator come late."""

    def add(self, topic: str, value: dict[str, Any] | None, key: bytes | None) -> None:
        """Add one message; a value of None is a tombstone."""
        self.counts[topic] += 1
        if topic in MERCHANT_TOPICS and key is not None:
            self.merchants.add(topic, key, value)
        elif topic == "room-status" and key is not None:
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
        elif topic == "dead-letter":
            self.rejected[value["reason"]] += 1

    def reason(self, verdict: dict[str, Any]) -> str:
        """Describe a verdict: what the rule says, and the evidence."""
        lasted = (verdict["at"] - verdict["since"]) / 1000
        span = f" ({lasted:.0f} s, from {clock(verdict['since'])})" if lasted else ""
        evidence = verdict["evidence"]
        notes = evidence[-1:] if len(evidence) == 2 else evidence
        evidence_text = "; ".join(plain(f"{clock(item['at'])} {item['note']}", NOTE) for item in notes)
        return f"{self.rulebook.description_of(verdict['rule'], verdict['rulebook'])}{span} {evidence_text}."

    def action(self, verdict: dict[str, Any]) -> str:
        """Describe the action that follows from a verdict; empty until it is published."""
        action = self.actions.get(verdict["verdict_id"])
        if action is None:
            return ""
        days = f" {action['ban_days']} d" if action["ban_days"] else ""
        choice = action["choice"]
        steps = " or ".join(choice) if isinstance(choice, list) else ", ".join(action["steps"])
        return f"{_nth(action['count'])} of its family: {steps}{days}"

    def line(self, topic: str, value: dict[str, Any]) -> str | None:
        """Return the line for the output that was added last, without a terminal; None for what is not printed."""
        if topic in MERCHANT_TOPICS and (found := self.merchants.line(topic, value)):
            word, what, whose, how = found
            return f"{clock(value['at'])}  {word:<8} {what:<18} {plain(whose, 40)}  {plain(how, 110)}"
        if topic == "verdict":
            where = plain(value["room_id"], 40)
            return f"{clock(value['at'])}  VERDICT  {value['rule']:<18} {where}  {self.reason(value)}"
        if topic == "notice":
            text = notice_words(value, self.rulebook)
            return f"{clock(value['at'])}  notice   {value['kind']:<18} {plain(value['room_id'], 40)}  {text}"
        if topic == "enforcement":
            steps = ", ".join(value["steps"])
            place = f"{_nth(value['count'])} of {value['family']}"
            return f"{clock(value['at'])}  action   {steps:<18} {plain(value['host_id'], 40)}  {place}"
        if topic == "dead-letter":
            return f"{clock(value['at'])}  rejected {value['reason']:<18} {value['topic']}  {plain(value['detail'])}"
        return None


def _nth(count: int) -> str:
    if 10 <= count % 100 <= 20:
        return f"{count}th"
    return f"{count}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(count % 10, 'th') }"


def notice_words(notice: dict[str, Any], rulebook: Rulebook) -> str:
    """Describe a notice, with the numbers of the rulebook."""
    since = clock(notice["since"])
    if notice["kind"] == "entry-missed":
        return f"buyer {plain(notice['buyer_id'], 40)} entered at {since} and was not greeted"
    if notice["kind"] == "at-risk":
        if notice["due"] is None:
            left = misses_left(rulebook, notice["since"], 0)
            rest = "the next miss is a violation" if left == 1 else f"{left} more misses are a violation"
            return f"{notice['rule']}: buyers not greeted since {since}, {rest}"
        return f"{notice['rule']} since {since}: becomes a violation at {clock(notice['due'])}"
    if notice["kind"] == "risk-cleared":
        return f"{notice['rule']} since {since} ended in time"
    if notice["kind"] == "verdict-contested":
        return f"a host comment of {since} came too late: the verdict on {notice['rule']} may be wrong"
    if notice["kind"] == "signal-lost":
        return f"no frame since {since}"
    return f"frames arrive again after the last one at {since}"


def lines(view: DemoView, received: Iterable[tuple[str, bytes | None, dict[str, Any] | None]]) -> Iterable[str]:
    """Add messages to the view, in order of event time; yield the lines to print without a terminal."""
    for topic, key, value in sorted(received, key=lambda each: each[2]["at"] if each[2] else 0):
        view.add(topic, value, key)
        if value is not None:
            line = view.line(topic, value)
            if line is not None:
                yield line
