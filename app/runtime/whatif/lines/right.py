"""Explains a right of a supplier: a permit, an activity or the buyers' labels; whether it is held, and why. Pure."""

from collections.abc import Iterator
from typing import Final

from vigil.app.domain.buyers.rights import takes_part
from vigil.app.domain.ledger.facts import Facts, Share
from vigil.app.domain.ledger.ledger import holding
from vigil.app.domain.ledger.records import CertificateRecord
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.buyers import BuyerActivity, BuyerLabels, Permit, Standing
from vigil.app.domain.rulebook.formatting import format_value
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.messages import Message
from vigil.app.messages.names import name_message, text_message
from vigil.app.runtime.whatif.lines.case import CaseEvent, CaseRead, SupplierCase
from vigil.app.runtime.whatif.lines.event_words import event_seen
from vigil.app.runtime.whatif.lines.explanation import (
    LineExplanation,
    Requirement,
    Requirements,
    missing_message,
    sections_at,
)
from vigil.app.runtime.whatif.lines.product import WINDOW_MS, share_message
from vigil.app.runtime.whatif.local_time import Clock
from vigil.topics.products import Certificate, Order
from vigil.topics.programmes import SupplierRights
from vigil.topics.services import Activity
from vigil.topics.suppliers import ProfileDeleted, SupplierProfile

LABELS: Final = "labels"
"""The name of the right to see buyers' labels of their own."""

MOST_ORDERS: Final = 40
"""Orders that are listed: the latest ones that count against the supplier."""


def right_names(rulebook: Rulebook) -> list[str]:
    """The rights that the rulebook knows, by the names under which they are explained."""
    permits, activities = (
        [name.partition(".")[2] for name in rulebook.listed.get(family, ())] for family in ("permit", "activity")
    )
    return [*permits, *activities, *([LABELS] if "buyer-labels" in rulebook.sections else [])]


def explain_right(name: str, at: int, case: SupplierCase, line: SupplierRights | None = None) -> LineExplanation:
    """Explain a right as of `at`, by the supplier's events. `line`: as published last, where it is known.

    A name that the rulebook does not have is a permit that nobody holds.
    """
    rulebook, clock = case.rulebook, Clock(case.rulebook)
    facts = case.facts(at)
    section, checks = _judged(name, facts, clock)
    failing = [check for group in checks for check in group.checks if not check.holds]
    held = bool(checks) and not failing
    kind = section.partition(".")[0]
    sections = sections_at(rulebook, [section, *_further(name, facts)], at)
    words = _name(kind, name)
    params = {"name": words, "right": name, "supplier": case.supplier_id, "at": clock.full(at)}
    return LineExplanation(
        title=Message("explain.right.title", params),
        happened=[Message(f"explain.right.{'held' if held else 'not-held'}", params)],
        sections=sections,
        checks=checks,
        evidence=[event_seen(read, clock) for read in _evidence(name, at, facts, case)],
        follows=list(_follows(kind, name, held, facts, clock)),
        clears=[
            *(Message("explain.right.later", {**params, "day": day}) for day in _later(rulebook, section, at)[:1]),
            *map(missing_message, failing),
        ],
        caveats=[] if section in rulebook.sections else [Message("explain.right.unknown", params)],
        line=line,
    )


def _judged(name: str, facts: Facts, clock: Clock) -> tuple[str, list[Requirements]]:
    """The section of a right, and what it asks for."""
    if name in facts.rules.activities:
        return f"activity.{name}", list(_activity(name, facts))
    if name == LABELS:
        return "buyer-labels", list(_labels(facts))
    return f"permit.{name}", list(_permit(name, facts, clock))


def _name(kind: str, name: str) -> Message:
    if kind == "buyer-labels":
        return Message("explain.right.labels")
    return name_message("programme" if kind == "activity" else "permit", name)


def _later(rulebook: Rulebook, section: str, at: int) -> list[str]:
    """The day from which a section is in force, where it is not yet."""
    versions = rulebook.versions(section)
    return [] if rulebook.at(section, at) is not None else [version.effective_date for version in versions]


def _further(name: str, facts: Facts) -> list[str]:
    """The sections of the permits that a permit asks for."""
    section = facts.rules.permits.get(name)
    limits = None if section is None else facts.moment.limits(section)
    return [] if limits is None else [f"permit.{other}" for other in limits.permits]


# ---- permits -----------------------------------------------------------------------------------------------------


def _permit(name: str, facts: Facts, clock: Clock) -> Iterator[Requirements]:
    section = facts.rules.permits.get(name)
    limits = None if section is None else facts.moment.limits(section)
    if limits is None:
        return
    heading = Message("explain.right.needs", {"name": name_message("permit", name)})
    yield Requirements(
        heading, [*_standing(limits, facts), *_certificates(limits, facts, clock), *_shares(limits, facts)]
    )
    for other in limits.permits:
        yield from _permit(other, facts, clock)


def _standing(limits: Permit, facts: Facts) -> Iterator[Requirement]:
    profile = facts.profile()
    if limits.verified:
        yield _verified(facts)
    if limits.any_of:
        verified = profile.membership == "verified"
        holds = any(profile.stars >= one.least_stars and (verified or not one.verified) for one in limits.any_of)
        ways = tuple(map(_way, limits.any_of))
        found = Message("explain.right.member", {"membership": profile.membership, "stars": profile.stars})
        yield Requirement(Message("explain.needs.any-of", {"ways": ways}), holds, found)


def _way(standing: Standing) -> Message:
    code = "explain.needs.stars-verified" if standing.verified else "explain.needs.stars"
    return Message(code, {"stars": standing.least_stars})


def _verified(facts: Facts) -> Requirement:
    membership = facts.profile().membership
    return Requirement(Message("explain.needs.verified"), membership == "verified", text_message(membership))


def _certificates(limits: Permit, facts: Facts, clock: Clock) -> Iterator[Requirement]:
    for kind in limits.certificates:
        needs = Message("explain.needs.certificate", {"kind": name_message("certificate", kind)})
        yield Requirement(needs, facts.certificate(kind), _latest(kind, facts, clock))


def _latest(kind: str, facts: Facts, clock: Clock) -> Message:
    """What there is of a kind of certificate: the one whose event is the latest."""
    held = [holding(records, facts.now) for records in facts.ledger.certificates.values()]
    record = max((one for one in held if one is not None and one.kind == kind), key=lambda one: one.at, default=None)
    if record is None:
        return Message("explain.certificate.none")
    code, at = _validity(record, facts.now)
    return Message(f"explain.certificate.{code}", {"id": record.certificate_id, "at": clock.full(at)})


def _validity(record: CertificateRecord, now: int) -> tuple[str, int]:
    """How it is with a certificate, and the time that goes with it, if any."""
    if not record.accepted:
        return "not-accepted", now
    if record.valid_from is not None and record.valid_from > now:
        return "from", record.valid_from
    if record.valid_until is None:
        return "in-force", now
    return "until" if record.valid_until > now else "lapsed", record.valid_until


def _shares(limits: Permit, facts: Facts) -> Iterator[Requirement]:
    on_time, disputes = limits.on_time_over_share, limits.disputes_below_share
    if on_time is not None:
        yield _share("on-time", on_time, facts.on_time(), wanted=1)
    if disputes is not None:
        yield _share("disputes", disputes, facts.disputes(), wanted=-1)


def _share(name: str, than: float, share: Share, wanted: int) -> Requirement:
    needs = Message(f"explain.needs.{name}", {"share": format_value("share", than)})
    return Requirement(needs, share.compared(than) == wanted, share_message(share))


# ---- activities and labels ---------------------------------------------------------------------------------------


def _activity(name: str, facts: Facts) -> Iterator[Requirements]:
    limits: BuyerActivity | None = facts.moment.limits(facts.rules.activities[name])
    if limits is None:
        return
    heading = Message("explain.right.needs", {"name": name_message("programme", name)})
    check = _verified(facts) if limits.programme is None else _enrolled(limits.programme, facts)
    yield Requirements(heading, [check])


def _enrolled(programme: str, facts: Facts) -> Requirement:
    needs = Message("explain.needs.enrolled", {"programme": name_message("programme", programme)})
    return Requirement(needs, takes_part(programme, facts))


def _labels(facts: Facts) -> Iterator[Requirements]:
    limits: BuyerLabels | None = facts.moment.limits(facts.rules.labels)
    if limits is None:
        return
    stars = facts.profile().stars
    heading = Message("explain.right.needs-labels", {"tiers": ", ".join(limits.own)})
    found = Message("explain.stars", {"stars": stars})
    enough = Requirement(
        Message("explain.needs.stars", {"stars": limits.least_stars}), stars >= limits.least_stars, found
    )
    yield Requirements(heading, [_verified(facts), enough, _enrolled(limits.programme, facts)])


def _follows(kind: str, name: str, held: bool, facts: Facts, clock: Clock) -> Iterator[Message]:
    if kind == "permit":
        yield Message("explain.right.rooms-held" if held else "explain.right.rooms", {"label": f"restricted:{name}"})
    if facts.moment.until < MAX_TIME:
        yield Message("explain.until", {"until": clock.full(facts.moment.until)})


# ---- evidence ----------------------------------------------------------------------------------------------------


def _evidence(name: str, at: int, facts: Facts, case: SupplierCase) -> Iterator[CaseRead]:
    """The profile that holds, the certificates and enrolments that are asked for, and the orders that count against."""
    profiles = case.seen("supplier-profile", lambda event: isinstance(event, SupplierProfile | ProfileDeleted), at)
    yield from sorted(profiles, key=lambda read: read.at)[-1:]
    kinds, programmes, shares = _asked(name, facts)
    yield from case.seen("certificate", lambda event: isinstance(event, Certificate) and event.kind in kinds, at)
    yield from case.seen("activity", lambda event: isinstance(event, Activity) and event.programme in programmes, at)
    if shares:
        against = [read for read in case.seen("order", _counts_against, at) if read.at > at - WINDOW_MS]
        yield from sorted(against, key=lambda read: read.at)[-MOST_ORDERS:]


def _counts_against(event: CaseEvent) -> bool:
    return isinstance(event, Order) and event.kind in ("disputed", "refund-requested")


def _asked(name: str, facts: Facts) -> tuple[set[str], set[str], bool]:
    """The kinds of certificates and the programmes that a right asks for, and whether it asks for shares of orders."""
    if name in facts.rules.activities:
        activity = facts.moment.limits(facts.rules.activities[name])
        return set(), {activity.programme} if activity and activity.programme else set(), False
    if name == LABELS:
        labels = facts.moment.limits(facts.rules.labels)
        return set(), {labels.programme} if labels else set(), False
    section = facts.rules.permits.get(name)
    limits = None if section is None else facts.moment.limits(section)
    if limits is None:
        return set(), set(), False
    kinds, shares = set(limits.certificates), limits.on_time_over_share is not None
    for other in limits.permits:
        more, _, also = _asked(other, facts)
        kinds |= more
        shares |= also
    return kinds, set(), shares or limits.disputes_below_share is not None
