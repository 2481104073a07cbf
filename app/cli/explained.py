"""Prints what `vigil explain` found out: a verdict, or a line of a supplier."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from vigil.app.domain.rulebook import Rulebook
from vigil.app.messages import CATALOGUES, Language, published_sentence
from vigil.app.observability.terminal import escape_control_chars, table
from vigil.app.runtime.whatif.explain import Explanation
from vigil.app.runtime.whatif.lines.explanation import LineWords, RequirementsWords, SectionWords
from vigil.app.runtime.whatif.local_time import Clock
from vigil.app.runtime.whatif.saying import Say, sayer

_MARKS = {True: "✓", False: "✗", None: "?"}
"""Of what is asked for: it holds, it does not, it is not known."""

Line = Callable[..., None]
"""Prints a line of text, with a style."""


def print_line(out: Console, words: LineWords, language: Language) -> None:
    """Print the explanation of a line of a supplier."""

    def line(text: str, style: str = "") -> None:
        out.print(Text(f"  {escape_control_chars(text)}", style=style), soft_wrap=not out.is_terminal)

    def part(heading: str, texts: Sequence[str]) -> None:
        if texts:
            _title(out, heading, language)
            for text in texts:
                line(text)

    out.print(Text(escape_control_chars(words.title), style="bold"), soft_wrap=not out.is_terminal)
    for text, style in [*((each, "") for each in words.happened), *((each, "yellow") for each in words.caveats)]:
        line(text, style)
    if words.sections:
        _title(out, "sections", language)
    for section in words.sections:
        _print_section(line, section, words.time_zone, language)
    if words.checks:
        _title(out, "checks", language)
    for group in words.checks:
        _print_checks(line, group)
    part("evidence", [f"{one.time}  {one.topic}  {one.words}" for one in words.evidence])
    part("follows", words.follows)
    part("clears", words.clears)


def _title(out: Console, heading: str, language: Language) -> None:
    out.print()
    out.print(CATALOGUES[language].render(f"explain.heading.{heading}"), style="bold")


def _print_section(line: Line, section: SectionWords, zone: str, language: Language) -> None:
    line(f"{section.section}: {section.says}")
    for numbers in section.numbers:
        line(f"  {numbers}", "dim")
    code = "in-force" if section.until is None else "in-force-until"
    params = {"since": section.effective, "until": section.until, "zone": zone, "source": section.source}
    line(f"  {CATALOGUES[language].render(f'explain.heading.{code}', params)}", "dim")


def _print_checks(line: Line, group: RequirementsWords) -> None:
    line(group.heading)
    for check in group.checks:
        found = "" if check.found is None else f" – {check.found}"
        line(f"  {_MARKS[check.holds]} {check.needs}{found}", "" if check.holds else "yellow")


def print_verdict(
    out: Console, explanation: Explanation, rulebook: Rulebook, *, with_timeline: bool, language: Language
) -> None:
    """Print the explanation of a verdict."""
    clock = Clock(rulebook)
    verdict = explanation.verdict

    def title(heading: str) -> None:
        _title(out, heading, language)

    def line(words: str, style: str = "") -> None:
        out.print(Text(f"  {escape_control_chars(words)}", style=style), soft_wrap=not out.is_terminal)

    say = sayer(language)
    out.print(Text(say("verdict.title", id=escape_control_chars(verdict.verdict_id)), style="bold"))
    line(explanation.happened)
    for caveat in explanation.caveats:
        line(caveat, "yellow")
    title("limits")
    _print_limits(line, explanation, say)
    title("verdict-evidence")
    for each in explanation.evidence:
        line(f"{clock(each.at)}  {each.topic}  {published_sentence(each, language)}")
    if with_timeline and explanation.timeline:
        title("timeline")
        _print_timeline(out, explanation, clock, say)
    if explanation.prevented:
        title("prevented")
        for words in explanation.prevented:
            line(words)
    title("ladder")
    _print_ladder(line, explanation, clock, say)
    title("follows")
    for words in explanation.follows:
        line(words)


def _print_limits(line: Callable[..., None], explanation: Explanation, say: Say) -> None:
    limits = explanation.limits
    if limits is None:
        return
    line(limits.says)
    line(", ".join(f"{name}: {words}" for name, words in limits.numbers.items()))
    code, until = ("in-force-until", {"until": limits.until}) if limits.until else ("in-force", {})
    about = {"since": limits.effective, "zone": explanation.time_zone, "source": limits.source}
    line(say(f"heading.{code}", **about, **until))


def _print_timeline(out: Console, explanation: Explanation, clock: Clock, say: Say) -> None:
    grid = table(say("moment.when"), "", say("moment.what"))
    occurred = False

    def add_violation() -> None:
        words = say("moment.violation", rule=explanation.verdict.rule)
        grid.add_row(clock(explanation.verdict.at), "▶", Text(words, style="bold red"))

    for moment in explanation.timeline:
        if moment.at > explanation.verdict.at and not occurred:
            add_violation()
            occurred = True
        when = clock(moment.at) if moment.until is None else f"{clock(moment.at)} – {clock(moment.until)}"
        style = "" if moment.evidence else "dim"
        grid.add_row(when, "●" if moment.evidence else "", Text(escape_control_chars(moment.words), style=style))
    if not occurred:
        add_violation()
    out.print(grid)
    out.print(f"  ● {say('moment.evidence')}", style="dim")


def _print_ladder(line: Callable[..., None], explanation: Explanation, clock: Clock, say: Say) -> None:
    ladder = explanation.ladder
    if ladder.count is None:
        line(say("ladder.not-counted", why=say("ladder.overturned") if explanation.action else ladder.window))
        return
    about = {"count": ladder.count, "family": ladder.family, "window": ladder.window, "rung": ladder.rung}
    line(say("ladder.place", **about))
    for each in ladder.counted:
        where = {"rule": each.rule, "at": clock.full(each.at), "room": each.room_id, "id": each.verdict_id}
        line(say("ladder.after", **where))
