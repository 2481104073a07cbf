"""`vigil explain`: explains one verdict or one line of a supplier, from the output of a replay or from the topics."""

import json
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import click
import msgspec

from vigil.app.cli.common import TimeParam, rulebook_is_given, settings_options, shared_rulebook_option
from vigil.app.cli.explain_places import InFolder, OnTopics, Place
from vigil.app.cli.explained import print_line, print_verdict
from vigil.app.cli.replay import UnreadableError
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.validation import hint
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.messages import LANGUAGES, Language
from vigil.app.observability.terminal import console, escape_control_chars, silence_kafka_logs
from vigil.app.runtime.whatif.explain import Explanation, chosen
from vigil.app.runtime.whatif.explain import explain as explained
from vigil.app.runtime.whatif.lines.case import SupplierCase
from vigil.app.runtime.whatif.lines.explanation import LineExplanation, in_words
from vigil.app.runtime.whatif.lines.obligation import explain_obligation
from vigil.app.runtime.whatif.lines.participation import explain_participation
from vigil.app.runtime.whatif.lines.product import explain_product
from vigil.app.runtime.whatif.lines.right import explain_right, right_names
from vigil.app.runtime.whatif.lines.sources import SupplierLine, key_of
from vigil.app.runtime.whatif.local_time import Clock
from vigil.app.runtime.whatif.sources import Published, UnreadableOutput
from vigil.topics.products import ProductStanding
from vigil.topics.programmes import Participation, SupplierRights
from vigil.topics.services import Obligation
from vigil.topics.verdicts import Verdict

T = TypeVar("T")

_SHORTEST: Final = 6
"""Digits of an identity that must be given at least."""

_RESTRICTED: Final = "restricted:"
"""The beginning of a label of goods that need a permit; the permit follows."""


class ExplainedVerdict(NamedTuple):
    """A verdict, and the permit that would have made it none."""

    explanation: Explanation
    permit: LineExplanation | None
    with_timeline: bool


@click.command(short_help="Explain a verdict or a supplier's line.")
@click.argument("what")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Output folder of `vigil replay`. [default: read the topics]",
)
@click.option("--events", metavar="EVENTS", help="With --from: the recording that was replayed, for what was judged.")
@click.option("--right", metavar="NAME", help="WHAT is a supplier: explain its permit, activity or labels.")
@click.option(
    "--at", "at", type=TimeParam(), metavar="TIME", help="With --right: as of this time. [default: the latest event]"
)
@click.option("--language", type=click.Choice(list(LANGUAGES)), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@settings_options
@shared_rulebook_option
def explain(
    settings: Settings,
    rulebook: Rulebook,
    what: str,
    folder: Path | None,
    events: str | None,
    right: str | None,
    at: int | None,
    language: Language,
    as_json: bool,
) -> None:
    """Explain what was judged: on which events, by which rule and source, what follows, and what would change it.

    \b
    vigil explain 4f1c0a… --from replayed --events day.jsonl.zst  verdict or obligation, of a replay
    vigil explain 4f1c0a… --broker kafka:9092                     the same, from the topics
    vigil explain shop-7/lamp-3                                   stars: SUPPLIER/PRODUCT
    vigil explain strength-pack/2022-08/shop-7                    PROGRAMME/EDITION/SUPPLIER
    vigil explain shop-7 --right medical-3                        a permit, an activity, `labels`

    WHAT is an identity, which may be shortened to its first digits if they identify one verdict or obligation, or the
    key of a line. --rulebook is the one that judged; without it, the one that was published, if any was.
    """
    _check(what, right, at)
    if events is not None and folder is None:
        raise click.UsageError("--events requires --from: without it, the events are read from the topics.")
    silence_kafka_logs()
    place: Place = InFolder(folder, events) if folder is not None else OnTopics(settings)
    try:
        if not rulebook_is_given():
            rulebook = place.rulebook(rulebook)
        _check_right(right, rulebook)
        found = (
            _right(place, rulebook, what, right, at) if right is not None else _found(place, rulebook, what, language)
        )
    except (UnreadableOutput, SettingsError) as error:
        raise UnreadableError(str(error)) from error
    if isinstance(found, ExplainedVerdict):
        _show_verdict(found, rulebook, language, as_json)
    else:
        _show_line(found, place, rulebook, language, as_json)


def _check(what: str, right: str | None, at: int | None) -> None:
    """Raise UsageError if the arguments do not say what to explain."""
    if at is not None and right is None:
        raise click.UsageError("--at requires --right.")
    if right is None and "/" not in what and len(what) < _SHORTEST:
        raise click.UsageError(f"WHAT: give at least {_SHORTEST} digits of an identity, a key with /, or --right.")


def _check_right(right: str | None, rulebook: Rulebook) -> None:
    if right is not None and right not in right_names(rulebook):
        raise click.BadParameter(f"{right!r}: {hint(right, right_names(rulebook))}", param_hint="--right")


def _show_line(
    explanation: LineExplanation, place: Place, rulebook: Rulebook, language: Language, as_json: bool
) -> None:
    words = in_words(explanation, rulebook, language)
    words = msgspec.structs.replace(words, caveats=[*words.caveats, *place.caveats(Clock(rulebook))])
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(words), indent=2))  # ASCII only: safe in a terminal
    else:
        print_line(console(), words, language)


def _show_verdict(found: ExplainedVerdict, rulebook: Rulebook, language: Language, as_json: bool) -> None:
    permit = None if found.permit is None else in_words(found.permit, rulebook, language)
    if as_json:
        content = msgspec.to_builtins(found.explanation)
        click.echo(json.dumps({**content, "permit": msgspec.to_builtins(permit)}, indent=2))
        return
    print_verdict(console(), found.explanation, rulebook, with_timeline=found.with_timeline, language=language)
    if permit is not None:
        print_line(console(), permit, language)


# ---- what is explained -----------------------------------------------------------------------------------------------


def _found(place: Place, rulebook: Rulebook, what: str, language: Language) -> ExplainedVerdict | LineExplanation:
    """The explanation of a verdict, or of a line by its key or identity."""
    if "/" in what:
        return _line(_with_key(what, place), place, rulebook)
    published = place.published()
    verdicts = {verdict.verdict_id: verdict for verdict in chosen(published.verdicts, what)}
    if verdicts:
        return _verdict(_only(list(verdicts.values()), "verdicts", what, place), published, place, rulebook, language)
    lines = place.lines("obligation")
    obligations = [one for one in lines if key_of(one).startswith(what)]
    if not obligations:
        numbers = f"{len(published.verdicts):,} verdicts and {len(lines):,} obligations"
        raise click.ClickException(
            f"no verdict {escape_control_chars(what)}, and no such obligation, among the {numbers} in {place.name}"
        )
    return _line(_only(obligations, "obligations", what, place), place, rulebook)


def _with_key(key: str, place: Place) -> SupplierLine:
    """The line of a key: of a product with one slash, of a participation with two."""
    topic = "participation" if key.count("/") > 1 else "product-standing"
    line = next((one for one in place.lines(topic) if key_of(one) == key), None)
    if line is None:
        raise click.ClickException(f"no {topic} {escape_control_chars(key)} in {place.name}")
    return line


def _only(found: list[T], kind: str, what: str, place: Place) -> T:
    if len(found) > 1:
        raise click.ClickException(f"{len(found):,} {kind} in {place.name} begin with {what}: give more digits")
    return found[0]


def _verdict(
    verdict: Verdict, published: Published, place: Place, rulebook: Rulebook, language: Language
) -> ExplainedVerdict:
    permit = (verdict.subject or "").partition(_RESTRICTED)[2]
    events = place.events(verdict, published, supplier=bool(permit))
    own = [each for each in published.verdicts if each.host_id == verdict.host_id]
    actions = [each for each in published.actions if each.host_id == verdict.host_id]
    explanation = explained(verdict, own, actions, rulebook, events.room, language)
    caveats = [*explanation.caveats, *place.caveats(Clock(rulebook)), *published.foreign.lines()]
    explanation = msgspec.structs.replace(explanation, caveats=caveats)
    right = None
    if events.supplier is not None:
        right = explain_right(permit, verdict.since, SupplierCase(verdict.host_id, events.supplier, rulebook))
    return ExplainedVerdict(explanation, right, events.room is not None)


def _line(line: SupplierLine, place: Place, rulebook: Rulebook) -> LineExplanation:
    raws = place.supplier(line.supplier_id)
    case = None if raws is None else SupplierCase(line.supplier_id, raws, rulebook)
    if isinstance(line, Obligation):
        return explain_obligation(line, rulebook, case)
    if isinstance(line, ProductStanding):
        return explain_product(line, rulebook, case)
    assert isinstance(line, Participation)  # noqa: S101 - rights are explained one by one
    return explain_participation(line, rulebook, case)


def _right(place: Place, rulebook: Rulebook, supplier_id: str, right: str, at: int | None) -> LineExplanation:
    raws = place.supplier(supplier_id)
    if raws is None:
        raise click.UsageError("--right with --from requires --events: what is asked for follows from the events.")
    case = SupplierCase(supplier_id, raws, rulebook)
    line = next((one for one in place.lines("supplier-rights") if one.supplier_id == supplier_id), None)
    if not case.events and line is None:
        raise click.ClickException(
            f"no event and no line of the supplier {escape_control_chars(supplier_id)} in {place.name}"
        )
    rights = line if isinstance(line, SupplierRights) else None
    now = max(case.until, 0 if rights is None else rights.at)
    return explain_right(right, now if at is None else at, case, rights)
