"""The impact of a candidate in sentences and numbers: who would be banned, freed, raised or lowered. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vigil.app.domain.quality.rule_quality import RuleQuality, judged, qualities
from vigil.app.runtime.whatif.compare import Comparison, Sanction, tally
from vigil.app.runtime.whatif.line_changes import LINE_TOPICS, line_changes
from vigil.app.runtime.whatif.line_groups import ChangeGroup, group_words, grouped
from vigil.app.runtime.whatif.outcome import Outcome

_NUMBERS: Final = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
"""Written as words before -day; larger numbers as digits."""
_MOST_SEVERE: Final = ("ban", "freeze", "close-past-rooms", "take-offline", "delete-content", "close", "warn")
"""The order in which sanctions are listed."""
_WORDS: Final = {
    "ban": ("ban", "bans"),
    "freeze": ("freeze", "freezes"),
    "close-past-rooms": ("closing of past rooms", "closings of past rooms"),
    "take-offline": ("take-down", "take-downs"),
    "delete-content": ("deletion of content", "deletions of content"),
    "close": ("closing", "closings"),
    "warn": ("warning", "warnings"),
}
_SCORES: Final = {"predicted": "predicted score", "assessed.score": "assessed score"}
_RIGHTS: Final = {"entitlements": "entitlements", "gmv_challenge_rights": "GMV challenge rights"}

FigureChanges = Mapping[str, tuple[Any, Any]]
"""The figures of one supplier that changed, by path: (was, is)."""


class Sentence(NamedTuple):
    """One thing that would change: for people, and the numbers in it for machines."""

    words: str
    facts: dict[str, Any]


def impact_summary(base: Outcome, other: Outcome, changes: Comparison) -> list[Sentence]:
    """What the candidate would do to hosts and suppliers, the most severe first; empty where it changes nothing."""
    lines = [_line_sentence(group) for group in grouped(line_changes(changes.others))]
    verdicts = [*_verdicts(changes), *_reviewed(base, changes)]
    return [*verdicts, *_hosts(base, other), *_suppliers(changes), *_pins(changes), *lines, *_others(changes)]


def gone_by_rule(base: Outcome, changes: Comparison) -> list[RuleQuality]:
    """What moderators had decided about the verdicts that would be gone, for each rule and label."""
    actions = base.actions
    return qualities(judged(verdict, actions.get(verdict.verdict_id)) for verdict in changes.verdicts.gone)


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 host`, `9 hosts`, `1,000 hosts`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sanction_words(sanction: Sanction, number: int) -> str:
    """`seven-day bans`, `15-day ban`, `warnings`."""
    step, days = sanction
    words = _WORDS.get(step, (step, step))[number != 1]
    if days is None:
        return words
    if step == "close-past-rooms":
        return f"{words} of the last {count(days, 'day')}"
    return f"{_NUMBERS[days] if days < len(_NUMBERS) else days}-day {words}"


def _reviewed(base: Outcome, changes: Comparison) -> Iterator[Sentence]:
    """Whether the verdicts that would be gone were good ones; nothing where the recording has no review of them."""
    rules = gone_by_rule(base, changes)
    overturned, upheld = sum(one.overturned for one in rules), sum(one.upheld for one in rules)
    gone = len(changes.verdicts.gone)
    open_ = gone - overturned - upheld
    if overturned or upheld:
        whose = "the verdict" if gone == 1 else f"the {gone:,} verdicts"
        words = (
            f"of {whose} that would be gone, {overturned:,} had been overturned, {upheld:,} upheld, {open_:,} neither"
        )
        facts = {"what": "verdicts", "change": "gone", "number": gone, "overturned": overturned, "upheld": upheld}
        yield Sentence(words, facts)


def _verdicts(changes: Comparison) -> list[Sentence]:
    sentences = []
    for kind, verdicts in (("more", changes.verdicts.added), ("fewer", changes.verdicts.gone)):
        if verdicts:
            rooms = {verdict.room_id for verdict in verdicts}
            hosts = {verdict.host_id for verdict in verdicts}
            where = f"in {count(len(rooms), 'room')} of {count(len(hosts), 'host')}"
            words = f"{len(verdicts):,} {kind} {'verdict' if len(verdicts) == 1 else 'verdicts'} {where}"
            facts = {"what": "verdicts", "change": kind, "number": len(verdicts)}
            sentences.append(Sentence(words, {**facts, "rooms": len(rooms), "hosts": len(hosts)}))
    moved = changes.verdicts.moved
    if moved:
        shifts = sorted(after.at - before.at for before, after in moved)
        earlier, later = sum(shift < 0 for shift in shifts), sum(shift > 0 for shift in shifts)
        typical = abs(shifts[len(shifts) // 2]) / 1000
        words = f"{count(len(moved), 'verdict')} at another instant: {earlier:,} earlier, {later:,} later"
        facts = {"what": "verdicts", "change": "moved", "number": len(moved), "earlier": earlier, "later": later}
        sentences.append(Sentence(f"{words}, typically by {typical:g} s", {**facts, "typical_s": typical}))
    return sentences


def _hosts(base: Outcome, other: Outcome) -> list[Sentence]:
    was, now = tally(base), tally(other)
    order = sorted({*was, *now}, key=lambda each: (_place(each[0]), -(each[1] or 0), each[0]))
    sentences = []
    for sanction in order:
        before, after = was.get(sanction, Counter()), now.get(sanction, Counter())
        for kind, difference in (("more", after - before), ("fewer", before - after)):
            if difference:
                number, hosts = difference.total(), len(difference)
                words = f"{number:,} {kind} {sanction_words(sanction, number)} for {count(hosts, 'host')}"
                facts = {"what": sanction[0], "days": sanction[1], "change": kind, "number": number, "hosts": hosts}
                sentences.append(Sentence(words, facts))
    banned_was, banned_now = _banned(was), _banned(now)
    for kind, hosts_, verb in (
        ("newly", banned_now - banned_was, "would be banned who now {are} not"),
        ("no longer", banned_was - banned_now, "would not be banned at all who now {are}"),
    ):
        if hosts_:
            words = f"{count(len(hosts_), 'host')} {verb.format(are='is' if len(hosts_) == 1 else 'are')}"
            sentences.append(Sentence(words, {"what": "banned hosts", "change": kind, "number": len(hosts_)}))
    return sentences


def _place(step: str) -> int:
    return _MOST_SEVERE.index(step) if step in _MOST_SEVERE else len(_MOST_SEVERE)


def _banned(tallied: dict[Sanction, Counter[str]]) -> set[str]:
    return {host for (step, _), hosts in tallied.items() if step == "ban" for host in hosts}


def _suppliers(changes: Comparison) -> list[Sentence]:
    figures = [change.figures() for change in changes.scores]
    return [*_score_steps(figures), *_rights(figures), *_other_figures(figures)]


def _score_steps(figures: Sequence[FigureChanges]) -> Iterator[Sentence]:
    """How many scores are higher or lower, and by how much at most."""
    for what, words in _SCORES.items():
        steps = [_step(changed.get(what)) for changed in figures]
        up, down = sum(step > 0 for step in steps), sum(step < 0 for step in steps)
        if up or down:
            most = max(steps, key=abs)
            said = f"{count(up + down, words)} would be another: {up:,} higher, {down:,} lower, {most:+d} at most"
            facts = {"what": what, "change": "moved", "number": up + down, "higher": up, "lower": down, "most": most}
            yield Sentence(said, facts)


def _rights(figures: Sequence[FigureChanges]) -> Iterator[Sentence]:
    for prefix, words in _RIGHTS.items():
        number = sum(_any_of(changed, (prefix,)) for changed in figures)
        if number:
            said = f"{count(number, 'supplier')} would have other {words}"
            yield Sentence(said, {"what": prefix, "change": "moved", "number": number})


def _other_figures(figures: Sequence[FigureChanges]) -> Iterator[Sentence]:
    """How many suppliers have other figures, but neither another score nor other rights."""
    number = sum(not _any_of(changed, ("predicted", "assessed", *_RIGHTS)) for changed in figures)
    if number:
        said = f"{count(number, 'supplier')} would have other figures, with the same score"
        yield Sentence(said, {"what": "figures", "change": "moved", "number": number})


def _any_of(changed: FigureChanges, prefixes: tuple[str, ...]) -> bool:
    """True if a figure below one of the prefixes changed."""
    return any(path.startswith(prefixes) for path in changed)


def _step(pair: tuple[Any, Any] | None) -> int:
    if pair is None or pair[0] is None or pair[1] is None:
        return 0
    return int(pair[1]) - int(pair[0])


def _pins(changes: Comparison) -> list[Sentence]:
    number = len(changes.pins) + len(changes.pins_added) + len(changes.pins_gone)
    if not number:
        return []
    granted = sum(now.decision == "granted" and was.decision != "granted" for was, now in changes.pins)
    refused = sum(was.decision == "granted" and now.decision != "granted" for was, now in changes.pins)
    words = (
        f"{count(number, 'pin decision')} would be another: {granted:,} granted instead, {refused:,} refused instead"
    )
    facts = {"what": "pins", "change": "moved", "number": number, "granted": granted, "refused": refused}
    return [Sentence(words, facts)]


def _line_sentence(group: ChangeGroup) -> Sentence:
    """What would change in stars, obligations, participations or rights, for how many, and who gains or loses."""
    facts = {
        "what": group.what,
        "change": group.effect,
        "was": group.was or None,
        "now": group.now or None,
        "number": group.number,
        "suppliers": group.suppliers,
        "examples": list(group.examples),
    }
    return Sentence(group_words(group), facts)


def _others(changes: Comparison) -> list[Sentence]:
    """A sentence for each change of an output without a comparison of its own."""
    sentences = []
    for topic, other in changes.others.items():
        if topic in LINE_TOPICS:
            continue
        for change, number, words in (
            ("more", len(other.added), f"more {topic} messages"),
            ("fewer", len(other.gone), f"fewer {topic} messages"),
            ("changed", len(other.changed), f"{topic} messages with other content"),
        ):
            if number:
                facts = {"what": topic, "change": change, "number": number}
                sentences.append(Sentence(f"{number:,} {words}", facts))
    return sentences
