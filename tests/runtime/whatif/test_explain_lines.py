"""`vigil explain` of obligations, stars, participations and rights: events, rules, what follows, what is missing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from tests.domain.buyers.test_restricted import shown
from tests.support.line_stories import (
    ask,
    certificate,
    claim,
    done,
    epr,
    measure,
    member,
    order,
    paid,
    product,
    recorded,
    request,
    step,
)
from tests.support.run_command import run
from tests.support.supplier_stories import RULEBOOK, Line, at
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.messages import CATALOGUES, LANGUAGES, Language
from vigil.app.runtime.replay import replay
from vigil.app.runtime.whatif.lines.case import SupplierCase
from vigil.app.runtime.whatif.lines.explanation import LineWords, in_words
from vigil.app.runtime.whatif.lines.obligation import explain_obligation
from vigil.app.runtime.whatif.lines.participation import explain_participation
from vigil.app.runtime.whatif.lines.product import explain_product
from vigil.app.runtime.whatif.lines.right import LABELS, explain_right, right_names
from vigil.app.runtime.whatif.sources import raws_of
from vigil.topics.products import Certificate, Order, ProductStanding
from vigil.topics.programmes import Participation, SupplierRights
from vigil.topics.services import Activity, Obligation, ServiceRequest

VERIFIED = member(at("2022-07-01 12:00"))
SOLD = paid(at("2022-08-03 12:00"), "o", ("p", "1200.00", "local"))
DISPATCHED = order(at("2022-08-05 12:00"), "o", "dispatched")
NOW = measure(at("2022-08-20 12:00"), "videos", 1)


def case_of(story: Sequence[Line]) -> SupplierCase:
    return SupplierCase("s", raws_of(recorded(story), "s", {}), RULEBOOK)


def explained(*story: Line, of: str, language: Language = "en", events: bool = True) -> LineWords:
    """The line of a duty, of a programme, or of the product `p`, explained by its events."""
    outputs = replay(recorded(story), RULEBOOK)
    bodies = [output.body for topic in ("obligation", "participation", "product-standing") for output in outputs[topic]]
    case = case_of(story) if events else None
    for body in bodies:
        if isinstance(body, Obligation) and body.duty == of:
            return in_words(explain_obligation(body, RULEBOOK, case), RULEBOOK, language)
        if isinstance(body, Participation) and body.programme == of:
            return in_words(explain_participation(body, RULEBOOK, case), RULEBOOK, language)
        if isinstance(body, ProductStanding) and body.product_id == of:
            return in_words(explain_product(body, RULEBOOK, case), RULEBOOK, language)
    raise AssertionError(of)


def right(*story: Line, name: str, when: str = "2022-08-20 12:00", language: Language = "en") -> LineWords:
    return in_words(explain_right(name, at(when), case_of(story)), RULEBOOK, language)


def checks(words: LineWords) -> dict[str, bool | None]:
    return {check.needs: check.holds for group in words.checks for check in group.checks}


def events(words: LineWords) -> list[str]:
    return [f"{one.topic} {one.time[:10]}" for one in words.evidence]


# ---- obligations ----------------------------------------------------------------------------------------------------

ASKED = request(at("2022-08-07 12:00"))


def test_a_breached_visit_says_since_when_by_which_rule_and_what_is_owed() -> None:
    words = explained(VERIFIED, SOLD, DISPATCHED, ASKED, NOW, of="service-visit")
    assert words.happened[-1] == "Breached at 2022-08-14 12:00:00 -0700: not done by then, nor since."
    section = words.sections[0]
    assert (section.section, section.effective) == ("due.service-visit", "2022-07-01")
    assert section.says.startswith("Somebody comes within a week")
    assert "within_days: 7 d" in section.numbers
    assert section.source.startswith("Announcement of July 2022")
    assert words.follows[0] == "US$ 24.00 are owed to the buyer b: 2 % of the line's amount, US$ 500 at most."
    assert words.clears == ["Nothing: what is done now is noted as too late."]


def test_the_evidence_of_a_request_is_its_order_and_its_steps() -> None:
    other = [paid(at("2022-08-04 12:00"), "o2"), request(at("2022-08-08 12:00"), "q2", order_="o2")]
    words = explained(VERIFIED, SOLD, *other, DISPATCHED, ASKED, step(at("2022-08-07 13:00"), "answered"), NOW,
                      of="service-visit")  # fmt: skip
    assert events(words) == [
        "order 2022-08-03", "order 2022-08-05", "service-request 2022-08-07", "service-request 2022-08-07"
    ]  # fmt: skip


def test_an_open_duty_says_when_it_is_at_risk_and_what_closes_it() -> None:
    words = explained(VERIFIED, SOLD, DISPATCHED, ASKED, of="service-answer")
    assert words.happened[-1] == "Open since 2022-08-07 12:00:00 -0700; due by 2022-08-08 12:00:00 -0700."
    assert words.follows[:2] == [
        "At 2022-08-08 00:00:00 -0700, when half of its time is over, it is at risk.",
        "After 2022-08-08 12:00:00 -0700 it is breached.",
    ]
    assert words.clears == [
        "answered; or parts-sent; or visited; or completed of the request q, by 2022-08-08 12:00:00 -0700."
    ]


@pytest.mark.parametrize(
    ("story", "why", "remedy"),
    [
        ((), "no payment of the order o", "payment"),
        ((SOLD,), "had not been dispatched", "dispatch"),
        ((paid(at("2022-08-03 12:00"), "o", ("p", "1.00")), DISPATCHED), "does not offer", "service"),
        (
            (
                paid(at("2021-06-03 12:00"), "o", ("p", "1.00", "local")),
                order(at("2021-06-04 12:00"), "o", "dispatched"),
            ),
            "was over",
            "Nothing: the time is over.",
        ),
    ],
    ids=["unknown-order", "not-dispatched", "no-service", "expired"],
)
def test_a_request_that_is_not_covered_says_why_and_what_would_cover_it(
    story: tuple[Line, ...], why: str, remedy: str
) -> None:
    words = explained(VERIFIED, *story, ASKED, NOW, of="service-answer")
    assert why in words.happened[-1]
    assert remedy in words.clears[0]
    assert [section.section for section in words.sections] == ["due.service-answer", "service-cover"]


def test_what_was_done_too_late_and_in_time_is_said() -> None:
    late = explained(VERIFIED, SOLD, DISPATCHED, ASKED, step(at("2022-08-09 12:00"), "answered"), of="service-answer")
    assert "done too late, at 2022-08-09 12:00:00" in late.happened[-1]
    met = explained(VERIFIED, SOLD, DISPATCHED, ASKED, step(at("2022-08-08 12:00"), "answered"), of="service-answer")
    assert met.happened[-1].startswith("Met at 2022-08-08 12:00:00")
    assert met.clears == []


def test_a_declaration_rests_on_its_registration_and_an_upgrade_on_its_working_days() -> None:
    words = explained(epr(at("2022-07-02 12:00"), "DE", "eee"), NOW, of="epr-declaration")
    assert events(words) == ["certificate 2022-07-02"]
    assert words.clears[0].startswith("An activity with kind done, duty epr-declaration and ref DE/eee/2022-07, by")
    words = explained(ask(at("2022-08-19 12:00"), "upgrade-contact", "u"), of="upgrade-contact")
    assert [section.section for section in words.sections] == ["due.upgrade-contact", "working-days"]
    assert words.happened[0] == "Owed by the marketplace to the supplier s, for u."


def test_another_rulebook_is_a_caveat() -> None:
    outputs = replay(recorded([VERIFIED, SOLD, DISPATCHED, ASKED]), RULEBOOK)
    line = next(output.body for output in outputs["obligation"] if isinstance(output.body, Obligation))
    line = msgspec.structs.replace(line, rulebook="2021-01-01")
    words = in_words(explain_obligation(line, RULEBOOK, None), RULEBOOK, "en")
    assert "--rulebook" in words.caveats[0]


def test_duplicates_rejected_messages_and_other_suppliers_are_no_evidence() -> None:
    again, stranger = step(at("2022-08-07 14:00"), "answered"), request(at("2022-08-07 12:00"), supplier="t")
    story = (VERIFIED, SOLD, stranger, DISPATCHED, ASKED, step(at("2022-08-07 13:00"), "answered"), again)
    words = explained(*story, of="service-answer")
    assert [one.time[11:13] for one in words.evidence if one.topic == "service-request"] == ["12", "13"]
    assert {read.event.supplier_id for read in case_of(story).events} == {"s"}
    rejected = [raw._replace(rejected="misrouted") for raw in raws_of(recorded(story), "s", {})]
    assert SupplierCase("s", rejected, RULEBOOK).events == []


# ---- stars ----------------------------------------------------------------------------------------------------------

LAMP = product(at("2022-08-02 12:00"), abilities=["new"], dispatch_days=9, markets=["DE"], traits=["battery"])


def test_a_level_is_shown_with_its_conditions_and_the_next_with_what_is_missing() -> None:
    words = explained(VERIFIED, LAMP, SOLD, DISPATCHED, NOW, of="p")
    assert words.happened == ["Stars: 1 at 2022-08-20 12:00:00 -0700, industry consumer-electronics."]
    assert [one.section for one in words.sections] == ["star-plan", "star-conditions", "stars.consumer-electronics"]
    assert [one.until for one in words.sections] == ["2022-09-01", None, None]
    assert {group.heading for group in words.checks} == {"Every level", "A way to level 1", "A way to level 2"}
    found = checks(words)
    assert found["information of 4.2 or better"] and found["new"]
    assert not found["dispatched within 7 days"] and not found["more than 1 buyers paid in 90 days"]
    assert "For level 2: dispatched within 7 days." in words.clears
    assert events(words) == ["product 2022-08-02", "order 2022-08-03"]
    assert words.caveats == []


def test_what_is_missing_is_what_the_line_says() -> None:
    """Ways and conditions come from the same tables: those that fail are those of the published line."""
    words = explained(VERIFIED, LAMP, NOW, of="p")
    assert isinstance(words.line, ProductStanding) and words.line.next is not None
    assert len(words.clears) == len(words.line.next.ways)


def test_only_the_state_that_holds_is_evidence() -> None:
    earlier, later = product(at("2022-08-01 12:00"), info_score=1.0), product(at("2022-08-21 12:00"))
    assert events(explained(VERIFIED, LAMP, earlier, NOW, of="p")) == ["product 2022-08-02"]
    assert events(explained(VERIFIED, LAMP, later, of="p")) == ["product 2022-08-21"]


def test_registrations_and_what_permits_ask_for_are_evidence() -> None:
    registered = epr(at("2022-08-04 12:00"), "DE", "battery")
    others = [epr(at("2022-08-05 12:00"), "FR", "battery"), certificate(at("2022-08-06 12:00"), "fda")]
    assert events(explained(VERIFIED, LAMP, registered, *others, NOW, of="p"))[1:] == ["certificate 2022-08-04"]
    pump = product(at("2022-08-02 12:00"), industry="machinery", service="remote")
    agreement = certificate(at("2022-08-07 12:00"), "warranty-agreement")
    words = explained(VERIFIED, pump, registered, agreement, NOW, of="p")
    assert events(words)[1:] == ["certificate 2022-08-07"]
    assert checks(words)["remote service, and the permit for it"]


def test_the_stars_say_until_when_they_stand_and_what_is_missing_for_a_country() -> None:
    words = explained(VERIFIED, LAMP, NOW, of="p")
    assert "If nothing more arrives, this changes at 2022-09-01 00:00:00 -0700." in words.follows
    assert any("It may be blocked in Germany" in one and "2 to 15 weeks" in one for one in words.follows)


def test_without_events_it_says_what_the_line_says() -> None:
    words = explained(VERIFIED, LAMP, NOW, of="p", events=False)
    assert words.evidence == []
    assert "--events" in words.caveats[0]
    assert not any(checks(words).values())


def test_an_industry_that_is_not_open_has_no_stars() -> None:
    words = explained(VERIFIED, product(at("2022-08-02 12:00"), industry="lighting"), NOW, of="p")
    assert words.happened[0].startswith("No stars yet")
    assert words.checks == []


# ---- participations -------------------------------------------------------------------------------------------------


def test_a_claim_shows_who_may_enter_its_tasks_and_what_is_missing() -> None:
    words = explained(VERIFIED, claim(at("2022-08-08 12:00"), "strength-pack"),
                      measure(at("2022-08-09 12:00"), "strength-cards", 1), NOW, of="strength-pack")  # fmt: skip
    assert checks(words) == {
        "verified membership": True,
        "growth stage: Mature": True,
        "Strength cards: 1 or more": True,
        "Certificates: 1 or more": False,
        "Products with a certificate: 1 or more": False,
        "Abilities of the industry: 1 or more": False,
    }
    assert words.clears[0].startswith("By 2022-08-31 23:59:59.999 -0700: Certificates: 1 or more (now 0), ")
    assert events(words) == ["supplier-profile 2022-07-01", "activity 2022-08-08", "activity 2022-08-09"]


def test_only_what_counts_for_the_edition_is_evidence() -> None:
    story = (claim(at("2022-07-22 12:00"), "strength-pack"), claim(at("2022-08-08 12:00"), "strength-pack"))
    late = measure(at("2022-08-09 12:00"), "certificates", 1)
    words = explained(VERIFIED, *story, late, NOW, of="strength-pack")
    assert isinstance(words.line, Participation) and words.line.edition == "2022-07"
    assert events(words) == ["supplier-profile 2022-07-01", "activity 2022-07-22"]


def test_a_claim_outside_of_the_window_names_the_next_one() -> None:
    words = explained(VERIFIED, claim(at("2022-07-24 00:00"), "coupon-500"), NOW, of="coupon-500")
    assert words.happened[0].startswith("Refused: the claim at 2022-07-24 00:00:00 -0700 is outside of the window")
    assert words.checks == []
    assert words.clears == [
        "A claim of the edition 2022-08, from 2022-08-07 00:00:00 -0700 to 2022-08-23 23:59:59.999 -0700."
    ]


def test_who_may_not_enter_learns_why_by_the_profile_of_the_claim() -> None:
    standard = member(at("2022-07-01 12:00"), membership="standard")
    verified = member(at("2022-07-11 12:00"))
    words = explained(standard, verified, claim(at("2022-07-10 12:00"), "coupon-500"), NOW, of="coupon-500")
    assert checks(words) == {"verified membership": False, "stars: 1 to 5": True}
    assert words.clears[0] == "verified membership (there is: standard)."


def test_an_enrolment_says_which_activity_it_opens_and_its_offer() -> None:
    words = explained(VERIFIED, claim(at("2022-08-08 12:00"), "coupon-500"), NOW, of="coupon-500")
    assert words.follows[0] == "In the month after it takes part in the activity US$ 500 coupons."
    assert words.follows[1].startswith("For buyers of tier L4: six coupons of US$ 500 off orders of 20,000 or more.")
    assert words.sections[1].section == "activity.coupon-500"


def test_rewards_say_by_when_they_are_given_and_how_long_they_are_good() -> None:
    tasks = ("strength-cards", "certificates", "certificate-products", "industry-abilities")
    story = [VERIFIED, claim(at("2022-08-08 12:00"), "strength-pack")]
    story += [measure(at("2022-08-09 12:00"), task, 1) for task in tasks]
    words = explained(*story, NOW, of="strength-pack")
    assert words.follows[0] == "Publishing tool: to be given by 2022-09-10 23:59:59.999 -0700."
    words = explained(*story, done(at("2022-09-09 12:00"), "reward", "strength-pack/2022-08"), of="strength-pack")
    assert words.follows[0] == "Publishing tool: given, good until 2022-12-09 23:59:59.999 -0800."


# ---- rights ---------------------------------------------------------------------------------------------------------

PERMIT_STORY = (
    VERIFIED,
    SOLD,
    DISPATCHED,
    certificate(at("2022-08-10 12:00"), "quality-system", valid_until=at("2022-08-15 12:00")),
)


def test_a_permit_that_has_lapsed_says_which_certificate_and_when() -> None:
    words = right(*PERMIT_STORY, name="second-hand-clothing")
    assert words.happened == ["Not held at 2022-08-20 12:00:00 -0700."]
    assert words.clears == [
        "a certificate in force: Quality system (there is: quality-system lapsed at 2022-08-15 12:00:00 -0700)."
    ]
    before = right(*PERMIT_STORY, name="second-hand-clothing", when="2022-08-14 12:00")
    assert before.happened == ["Held at 2022-08-14 12:00:00 -0700."]
    assert before.clears == []
    found = [check.found for group in before.checks for check in group.checks]
    assert "quality-system, until 2022-08-15 12:00:00 -0700" in found
    assert "If nothing more arrives, this changes at 2022-08-15 12:00:00 -0700." in before.follows


def test_a_share_of_exactly_the_limit_is_not_over_it() -> None:
    orders: list[Line] = []
    for number in range(20):
        orders.append(paid(at("2022-08-03 12:00"), f"o{number}", by=at("2022-08-06 12:00")))
        when = "2022-08-07 12:00" if number == 0 else "2022-08-05 12:00"
        orders.append(order(at(when), f"o{number}", "dispatched"))
    for story, holds in ((orders, False), (orders[2:], True)):
        words = right(VERIFIED, *story, name="second-hand-clothing")
        assert checks(words)["more than 95 % of orders dispatched on time, in 90 days"] is holds


def test_a_permit_of_another_permit_shows_what_both_ask_for() -> None:
    words = right(VERIFIED, name="festival-floor")
    assert [group.heading for group in words.checks] == ["Festival floor asks for", "Remote service asks for"]
    assert [one.section for one in words.sections] == ["permit.festival-floor", "permit.remote-service"]
    assert words.clears == ["a certificate in force: Warranty agreement (there is: there is none)."]


@pytest.mark.parametrize("name", right_names(load_rulebook()))
@pytest.mark.parametrize("story", [(), PERMIT_STORY], ids=["unknown", "known"])
def test_a_right_is_held_where_the_published_line_says_so(name: str, story: tuple[Line, ...]) -> None:
    enrolled = [claim(at("2022-07-08 12:00"), one) for one in ("million-club", "check-in")] if story else []
    outputs = replay(recorded([*story, *enrolled, NOW]), RULEBOOK)["supplier-rights"]
    line = next(output.body for output in outputs if isinstance(output.body, SupplierRights) and output.key == b"s")
    held = {*line.permits, *(one.activity for one in line.activities)}
    if line.labels is not None and line.labels["L4"] == "L4":
        held.add(LABELS)
    words = right(*story, *enrolled, NOW, name=name)
    assert words.happened[0].startswith("Held") == (name in held)
    assert bool(words.clears) == (name not in held)


def test_a_permit_that_no_rulebook_names_is_never_held() -> None:
    words = right(VERIFIED, name="dynamite")
    assert words.happened[0].startswith("Not held")
    assert "nobody holds it" in words.caveats[0]


# ---- Chinese --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["service-visit", "strength-pack", "p"])
def test_an_explanation_in_chinese_has_no_english_sentence(of: str) -> None:
    story = (VERIFIED, LAMP, SOLD, DISPATCHED, ASKED, claim(at("2022-08-08 12:00"), "strength-pack"), NOW)
    words = explained(*story, of=of, language="zh")
    headings = [group.heading for group in words.checks]
    for sentence in (words.title, *words.happened, *words.follows, *words.clears, *headings, words.sections[0].says):
        assert any("\u4e00" <= character <= "\u9fff" for character in sentence), sentence


def kinds(event: type, field: str = "kind") -> tuple[str, ...]:
    """The values of a field that an event may have."""
    hint = get_type_hints(event)[field]
    literal = hint if get_origin(hint) is Literal else next(one for one in get_args(hint) if get_origin(one) is Literal)
    return get_args(literal)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_and_status_has_words(language: Language) -> None:
    codes = {
        *(f"explain.event.order-{kind}" for kind in kinds(Order)),
        *(f"explain.event.request-{kind}" for kind in kinds(ServiceRequest)),
        *(f"explain.event.{kind}" for kind in kinds(Activity)),
        *(f"explain.need.{need}" for need in kinds(ServiceRequest, "need")),
        *(f"explain.certificate.{status}" for status in kinds(Certificate, "status")),
        *(f"explain.obligation.{status}" for status in kinds(Obligation, "status")),
        *(f"explain.obligation.cover.{reason}" for reason in kinds(Obligation, "reason")),
        *(f"explain.participation.{reason}" for reason in kinds(Participation, "reason")),
        *(f"explain.participation.{status}" for status in kinds(Participation, "status") if status != "refused"),
    }
    assert [code for code in sorted(codes) if code not in CATALOGUES[language]] == []


# ---- as it is typed -------------------------------------------------------------------------------------------------

STORY = (
    VERIFIED, LAMP, SOLD, DISPATCHED, ASKED, claim(at("2022-08-08 12:00"), "strength-pack"),
    *shown("restricted:medical-3"), NOW,
)  # fmt: skip


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording, and what a replay wrote of it in `out`."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "events.jsonl").write_bytes(b"\n".join(recorded(STORY)) + b"\n")
    assert run("replay", str(folder / "events.jsonl"), "--out", str(folder / "out")).exit_code == 0
    return folder


def typed(replayed: Path, *words: str) -> Any:
    result = run("explain", *words, "--from", str(replayed / "out"), "--events", str(replayed / "events.jsonl"))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def identity(replayed: Path, topic: str, field: str, **given: str) -> str:
    lines = map(json.loads, (replayed / "out" / f"{topic}.jsonl").read_text().splitlines())
    found: str = next(line[field] for line in lines if given.items() <= line.items())
    return found


def test_an_obligation_is_found_by_the_first_digits_of_its_identity(replayed: Path) -> None:
    id_ = identity(replayed, "obligation", "obligation_id", duty="service-visit")
    assert typed(replayed, id_[:8], "--json")["line"]["obligation_id"] == id_
    page = typed(replayed, id_)
    for heading in ("Rules and their source", "On which events", "What follows", "What would clear it, or is missing"):
        assert f"\n{heading}\n" in page


def test_lines_are_found_by_their_keys(replayed: Path) -> None:
    assert typed(replayed, "s/p", "--json")["line"]["stars"] == 1
    assert typed(replayed, "strength-pack/2022-08/s", "--json")["line"]["status"] == "claimed"
    assert "不具备" in typed(replayed, "s", "--right", "medical-3", "--language", "zh")


def test_a_verdict_about_restricted_goods_shows_the_permit_as_of_its_beginning(replayed: Path) -> None:
    id_ = identity(replayed, "verdict", "verdict_id", rule="prohibited-goods")
    answer = typed(replayed, id_, "--json")
    assert answer["timeline"]
    assert answer["permit"]["happened"] == ["Not held at 2022-08-10 12:00:00 -0700."]
    assert "a certificate in force: Medical devices, class 3" in typed(replayed, id_)
    chinese = typed(replayed, id_, "--language", "zh")
    for words in ("\n如何可以避免\n", "画面或主播言论中出现禁售商品。", "有效证书：三类医疗器械"):
        assert words in chinese


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["s/nothing"], 1, "no product-standing s/nothing"),
        (["strength-pack/2022-07/s"], 1, "no participation"),
        (["s", "--right", "medical"], 2, "did you mean"),
        (["nobody", "--right", "medical-3"], 1, "no event and no line of the supplier nobody"),
        (["s/p", "--at", "2022-08-20T12:00:00Z"], 2, "--at requires --right"),
        (["s/p", "--language", "de"], 2, "'de'"),
    ],
)
def test_what_cannot_be_is_refused(replayed: Path, words: list[str], status: int, said: str) -> None:
    result = run("explain", *words, "--from", str(replayed / "out"), "--events", str(replayed / "events.jsonl"))
    assert result.exit_code == status, result.output
    assert said in result.output


def test_a_right_needs_the_recording(replayed: Path) -> None:
    result = run("explain", "s", "--right", "fda", "--from", str(replayed / "out"))
    assert result.exit_code == 2
    assert "--right with --from requires --events" in result.output


def test_names_of_events_cannot_harm_a_terminal(tmp_path: Path) -> None:
    hostile = request(at("2022-08-07 12:00"), "q\x1b[31m")
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(recorded([VERIFIED, SOLD, DISPATCHED, hostile])) + b"\n")
    assert run("replay", str(tmp_path / "e.jsonl"), "--out", str(tmp_path / "out")).exit_code == 0
    id_ = json.loads((tmp_path / "out" / "obligation.jsonl").read_text().splitlines()[0])["obligation_id"]
    for options in ((), ("--json",)):
        result = run("explain", id_, "--from", str(tmp_path / "out"), "--events", str(tmp_path / "e.jsonl"), *options)
        assert result.exit_code == 0 and "\x1b" not in result.stdout


def test_the_topics_give_the_same_explanation(judged: str) -> None:
    result = run("explain", "merchant-7/lamp-3", "--json", "--broker", judged)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["line"]["product_id"] == "lamp-3"
    assert answer["evidence"] and answer["checks"]
    assert answer["caveats"] == []
