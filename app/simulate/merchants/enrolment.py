"""Claims of programmes: task packs that are completed or not, enrolments, the challenge, the recruitment; and contacts.

claim ──in the window, and may enter?──no──▶ refused
  └─yes─▶ tasks done in time ─▶ rewards given, by the marketplace, in time or not
              └─ not done ─▶ failed when the window ends
"""

from datetime import date
from typing import Final

from vigil.app.simulate.merchants import calendar, tables
from vigil.app.simulate.merchants.desk import Desk, KnownProfile, Rhythm
from vigil.app.simulate.merchants.tables import HOUR_MS, Rules

CONTACTS: Final = Rhythm(history_s=20 * 86_400, on_air=60)
NEW_MS: Final = 55 * tables.DAY_MS
"""A newcomer that claims in a month that begins until so long after it opened has not matured by then."""
MOST_STARS: Final = 5
TRIAL_REMEMBERED: Final = calendar.start_of(date(2023, 7, 1))
"""From then on a claim that is too late by so much has no effect."""
MARKETPLACE_FORGETS: Final = 0.15
"""Share of what the marketplace owes that it does not do in time."""


class Enrolment:
    """What one merchant claims and asks for."""

    def __init__(self, desk: Desk, membership: KnownProfile, opened_at: int | None) -> None:
        """`opened_at`: when a newcomer opened; None: it opened long ago."""
        self._desk = desk
        self._membership = membership
        self._opened_at = opened_at
        self._asked = 0
        self._claimed: set[tuple[str, str]] = set()
        """Programmes and editions."""
        since = desk.frame.since
        self._plan_month(since)
        self._plan_once(tables.CHALLENGE, 0.8)
        self._plan_once(tables.RECRUIT, 0.5 if desk.number < tables.RECRUIT_PLACES else 0.0)
        self._plan_once(tables.TRIAL, 0.3)
        if desk.character.idle and desk.happens(0.5) and desk.frame.start < TRIAL_REMEMBERED:
            desk.at(desk.frame.start + desk.rng.randint(10_000, 1_200_000), self._claim, tables.TRIAL)
        desk.at(desk.next_time(since + 60_000, CONTACTS), self._contact)

    # ---- plans --------------------------------------------------------------------------------------------------

    def _plan_once(self, rules: Rules, share: float) -> None:
        """Choose whether and when a programme is claimed that has one window, if all of it is simulated."""
        desk = self._desk
        opens, closes = window_of(rules, calendar.month_of(desk.frame.since))
        if not desk.happens(share) or desk.frame.since + HOUR_MS >= opens or not self._is_known_for(rules):
            return
        if rules is tables.CHALLENGE:
            opens = calendar.end_of(tables.CHALLENGE_AS_OF) + 1  # whose stars count is known then
        desk.at(opens + int(desk.rng.random() * (closes - opens)), self._claim, rules)

    def _plan_month(self, at: int) -> None:
        """Choose what is claimed in the month that begins, or of which the rest is simulated."""
        desk, first = self._desk, calendar.month_of(at)
        for rules in tables.ENROLMENTS:
            if desk.happens(0.35):
                self._plan_claim(at, rules)
        if desk.happens(0.7):
            self._plan_claim(at, tables.STRENGTH)
        if desk.happens(desk.character.idle):
            self._plan_claim(at, tables.RESOURCES)
        desk.at(calendar.start_of(calendar.months_after(first)), self._plan_month)

    def _plan_claim(self, at: int, rules: Rules) -> None:
        """Choose when a programme is claimed in the rest of a month: in its window, or too late."""
        desk, month = self._desk, calendar.month_of(at)
        opens, closes = window_of(rules, month)
        if not self._is_known_for(rules) or (rules.mature and self._is_soon_mature(at)):
            return
        late = rules.last_day < 31 and desk.happens(desk.character.idle)
        if late:
            opens, closes = closes + 1, calendar.end_of_month(month)
        if rules.mature:
            closes -= HOUR_MS  # time for its tasks
        begins = max(opens, at + HOUR_MS)
        if begins < closes:
            desk.at(self._time_in(begins, closes), self._claim, rules)

    def _time_in(self, begins: int, closes: int) -> int:
        desk, start = self._desk, self._desk.frame.start
        if begins < start < closes - HOUR_MS and desk.happens(0.6):
            return start + desk.rng.randint(15_000, 1_200_000)  # so that something happens after the start
        return closes - desk.rng.randint(0, 1) if desk.happens(0.05) else desk.rng.randint(begins, closes)

    def _is_soon_mature(self, at: int) -> bool:
        return self._opened_at is not None and at > self._opened_at + NEW_MS

    def _is_known_for(self, rules: Rules) -> bool:
        """True if it is certain whether the merchant may enter."""
        member, frame = self._membership, self._desk.frame
        if not member.steady:
            return rules is tables.TRIAL
        if not member.verified:
            return True
        least, most = rules.stars
        # A supplier's stars rise only where there is no history.
        return member.stars >= least and (most == MOST_STARS or member.stars > most or frame.since < frame.start)

    def _may_enter(self, at: int, rules: Rules) -> bool:
        member, opened = self._membership, self._opened_at
        if rules is tables.RECRUIT and opened is not None and at <= calendar.end_of(calendar.day_of(opened)):
            return False
        least, most = rules.stars
        if (rules.verified and not member.verified) or (rules.mature and opened is not None):
            return False
        return least <= member.stars <= most

    # ---- claims -------------------------------------------------------------------------------------------------

    def _claim(self, at: int, rules: Rules) -> None:
        desk = self._desk
        opens, closes = window_of(rules, calendar.month_of(at))
        is_open, may_enter = opens <= at <= closes, self._may_enter(at, rules)
        if closes < calendar.start_of(rules.begins) or (is_open and not may_enter and not self._tries_it()):
            return
        edition = f"{rules.opens}" if rules.opens else f"{calendar.month_of(at):%Y-%m}"
        if (rules.name, edition) in self._claimed:
            return
        self._claimed.add((rules.name, edition))
        desk.send("activity", at, kind="claim", programme=rules.name)
        if not is_open:
            desk.fault("claim-refused", rules.name, edition, (at, at), "claimed outside the window")
        elif not may_enter:
            desk.fault("claim-refused", rules.name, edition, (at, at), "claimed by a supplier who may not enter")
        else:
            self._accepted(at, rules, edition, closes)

    def _tries_it(self) -> bool:
        """True if the merchant claims what it may not enter."""
        desk = self._desk
        return desk.happens(0.6 if desk.character.newcomer else desk.character.idle)

    def _accepted(self, at: int, rules: Rules, edition: str, closes: int) -> None:
        desk = self._desk
        fails = desk.happens(max(desk.character.idle, 0.25 * desk.character.forgetful))
        if rules is tables.STRENGTH:
            self._pack(at, edition, closes, fails)
        elif rules is tables.RESOURCES:
            self._measure(at, "showcase-share", 0.9)  # one of the tasks asks for all of them
            self._fail(at, rules, edition, closes)
        elif rules is tables.CHALLENGE:
            self._measure(at + 1, "trade-power", tables.TRADE_POWER - 1 if fails else tables.TRADE_POWER)
            if fails:
                self._fail(at, rules, edition, closes)
            else:
                self._reward(f"{rules.name}/{edition}", closes, calendar.end_of(tables.CHALLENGE_REWARDS))
        elif rules is tables.RECRUIT:
            self._recruited(at)

    def _fail(self, at: int, rules: Rules, edition: str, closes: int) -> None:
        words = "claimed, and not all tasks were done in time"
        desk = self._desk
        desk.at(closes, lambda end: desk.fault("participation-failed", rules.name, edition, (at, end), words))

    def _pack(self, at: int, edition: str, closes: int, fails: bool) -> None:
        """The tasks of a task pack, each of which is done with a measure of 1."""
        desk = self._desk
        left = desk.rng.choice(tables.STRENGTH_TASKS)
        done_at = at
        for task in tables.STRENGTH_TASKS:
            self._measure(at, task, 0)
            if task == left and fails:
                continue
            done_at = max(done_at, self._in_time(at, closes))
            self._measure(done_at, task, desk.rng.randint(1, 5))
        if fails:
            self._fail(at, tables.STRENGTH, edition, closes)
            return
        first = date.fromisoformat(f"{edition}-01")
        by = calendar.end_of(calendar.months_after(first).replace(day=tables.REWARD_DAY))
        desk.at(done_at, lambda done: self._reward(f"{tables.STRENGTH.name}/{edition}", done, by))

    def _in_time(self, at: int, closes: int) -> int:
        """When something is done: some time after `at`, at the window's last instant at the latest."""
        desk = self._desk
        if desk.happens(0.03):
            return closes
        return min(closes, at + desk.span(at, (2, 60), (10, 300)))

    def _measure(self, at: int, measure: str, value: float) -> None:
        self._desk.at(at, lambda now: self._desk.send("activity", now, kind="measure", measure=measure, value=value))

    # ---- what follows -------------------------------------------------------------------------------------------

    def _reward(self, ref: str, since: int, by: int) -> None:
        """The marketplace gives the rewards, or forgets them."""
        self._desk.at(since, self._owed, ("reward", ref), by, "the marketplace has not given the rewards")

    def _owed(self, at: int, duty: tuple[str, str], due: int, words: str) -> None:
        desk = self._desk
        if desk.frame.faults and desk.happens(MARKETPLACE_FORGETS):
            desk.breach(*duty, at, due, words)
        else:
            desk.at(min(due, at + desk.span(at, (5, 40), (30, 300))), self._done, *duty)

    def _done(self, at: int, duty: str, ref: str) -> None:
        self._desk.send("activity", at, kind="done", duty=duty, ref=ref)

    def _recruited(self, at: int) -> None:
        """The merchant sends its materials; then the marketplace makes it live."""
        desk = self._desk
        due = calendar.end_of_working_days(at, tables.WORKING_DAYS)
        sent = at + int((due - at) * desk.rng.uniform(0.05, 0.95))
        if desk.happens(desk.character.forgetful):
            desk.breach("recruit-materials", "recruit", at, due, "the materials are not sent in time")
            sent = due + desk.rng.randint(HOUR_MS, 48 * HOUR_MS)
        desk.at(sent, self._materials)

    def _materials(self, at: int) -> None:
        self._done(at, "recruit-materials", "recruit")
        words = "the marketplace has not made the recruited supplier live"
        self._owed(at, ("recruit-live", "recruit"), at + tables.RECRUIT_LIVE_MS, words)

    def _contact(self, at: int) -> None:
        """The merchant asks to be contacted."""
        desk = self._desk
        desk.at(desk.next_time(at, CONTACTS), self._contact)
        if at >= tables.DUTIES_FROM:
            self._asked += 1
            ref = f"upgrade-{desk.number:05d}-{self._asked}"
            desk.send("activity", at, kind="ask", duty="upgrade-contact", ref=ref)
            due = calendar.end_of_working_days(at, tables.WORKING_DAYS)
            self._owed(at, ("upgrade-contact", ref), due, "the marketplace has not contacted the supplier")


def window_of(rules: Rules, month: date) -> tuple[int, int]:
    """The first and the last ms of a programme's window, of a month if it has one each month."""
    if rules.opens is not None and rules.closes is not None:
        return calendar.start_of(rules.opens), calendar.end_of(rules.closes)
    last = calendar.end_of_month(month)
    if rules.last_day < 28:
        last = calendar.end_of(month.replace(day=rules.last_day))
    return max(calendar.start_of(month.replace(day=rules.first_day)), calendar.start_of(rules.begins)), last
