"""The words of what the rulebook names: duties, programmes, conditions, registrations, permits."""

from typing import get_args

import pytest

from tests.support.console_stories import RULEBOOK
from vigil.app.console.views.text import WORDS
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.rulebook.products import conditions_of
from vigil.app.domain.rulebook.programmes import Stage
from vigil.app.messages import CATALOGUES, Language
from vigil.app.simulate.words import INDUSTRIES
from vigil.topics.rooms import ROOM_TOPICS


@pytest.mark.parametrize("language", WORDS)
def test_every_name_of_the_rulebook_on_products_and_suppliers_has_its_words(language: Language):
    rules, words = LineRules(RULEBOOK), WORDS[language]
    named = [("duty", name) for name in rules.dues] + [("programme", name) for name in rules.programmes]
    named += [("programme", name) for name in rules.activities] + [("permit", name) for name in rules.permits]
    named += [("measure", name) for name in (*rules.measures, "gold-rfqs")]
    named += [("certificate", name) for name in rules.certificate_kinds]
    for place in rules.epr:
        named += zip(("country", "category"), place.split("."), strict=True)
    for programme in rules.programmes.values():
        named += [("reward", one.name) for version in programme.versions for one in version.limits.rewards]
    for one in rules.growth.versions[-1].limits.milestones:
        named += [("milestone", name) for name in (one.name, one.unlocks) if name is not None]
    named += [("stage", stage) for stage in get_args(Stage)]
    assert [one for one in named if words.named(*one) == one[1]] == []


@pytest.mark.parametrize("language", WORDS)
def test_every_condition_of_the_rulebook_has_its_words_and_numbers(language: Language):
    rules, words = LineRules(RULEBOOK), WORDS[language]
    limits = rules.star_conditions.versions[-1].limits
    names = {"clean", "real-sale", "paid-5000", *limits.rts, *limits.custom}
    for table in rules.stars.values():
        for version in table.versions:
            names |= {name for cell in (*version.limits.two, *version.limits.three) for name in conditions_of(cell)}
    for selection in rules.selection.values():
        names |= {name for version in selection.versions for name in version.limits.abilities}
    without_words = {name for name in names if words.condition(name, limits) == name}
    assert without_words == ({"new", "engineering", "craft"} if language == "en" else set())


def test_conditions_say_the_numbers_of_the_rulebook_and_those_of_another_are_shown_by_their_name():
    limits = LineRules(RULEBOOK).star_conditions.versions[-1].limits
    say = WORDS["en"].condition
    assert say("info", limits) == "information of 4.2 or better"
    assert say("refunds", limits) == "fewer than 10 % with a refund requested"
    assert say("paid-5000", limits) == "US$ 5,000 or more paid in 90 days"
    assert (say("dispatch-7d", None), say("delivery-90d", limits)) == (
        "dispatched within 7 days",
        "delivered within 90 days",
    )
    assert [say(name, limits) for name in ("hand-made", "dispatch", "dispatch-soon")] == [
        "hand-made",
        "dispatch",
        "dispatch-soon",
    ]
    assert say("info", None) == "info"


@pytest.mark.parametrize("language", WORDS)
def test_every_industry_and_topic_of_evidence_has_its_words(language: Language):
    rules = LineRules(RULEBOOK)
    industries = {*rules.stars, *rules.selection, *INDUSTRIES, "unknown"}
    named = [("industry", name) for name in sorted(industries)] + [("topic", topic) for topic in ROOM_TOPICS]
    assert [one for one in named if ".".join(one) not in CATALOGUES[language]] == []


def test_a_label_is_said_in_words_and_an_unknown_one_as_it_came():
    assert WORDS["en"].label("rights:portrait") == "portrait"
    assert WORDS["zh"].label("rights:portrait") == "肖像"
    assert WORDS["zh"].label("restricted:fda") == "FDA 商品"
    assert WORDS["zh"].label("rights:v1.2") == "rights:v1.2"


def test_how_long_ago_is_said_in_the_readers_language():
    assert WORDS["en"].script()["ago.minute"] == "−{n} min"
    assert WORDS["zh"].script()["ago.minute"] == "{n} 分钟前"
