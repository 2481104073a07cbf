"""Builds what a merchant may see of one host, from what the console has read, for one reader."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from msgspec import Struct

from vigil.app.console.console_state import ConsoleState
from vigil.app.console.ingest.subject_views import HostView
from vigil.app.console.views.host_fields import (
    HostPage,
    ShownAction,
    ShownEvidence,
    ShownLadder,
    ShownRule,
    ShownStep,
    ShownVerdict,
    ShownWarning,
)
from vigil.app.console.views.host_words import Counting, action_words, ended_by, next_words
from vigil.app.console.views.ladders import FamilyLadder, banned_until, ladders
from vigil.app.console.views.outside import is_web_address
from vigil.app.console.views.reader import Reader
from vigil.app.domain.quality.rule_quality import decision_in
from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.domain.rulebook import EffectiveVersion
from vigil.app.messages import render
from vigil.app.runtime.whatif.prevention import instead_of, remedies
from vigil.topics.incidents import IncidentStatus
from vigil.topics.verdicts import Action, Verdict

MAX_VERDICTS: Final = 100
"""Verdicts that are shown, the latest; a page has to stay readable."""

_FOR_MODERATORS: Final = frozenset({"remedy.high-tier"})
"""What is said about a verdict that prevents none."""


class _Judged(NamedTuple):
    """A verdict and its action; at least one of them is known."""

    id: str
    verdict: Verdict | None
    action: Action | None

    @property
    def either(self) -> Verdict | Action:
        found = self.verdict or self.action
        if found is None:
            raise ValueError("neither a verdict nor an action")
        return found


def host_page(state: ConsoleState, host_id: str, reader: Reader) -> HostPage:
    """What is known of a host; nothing of a host that the console has read nothing about."""
    host = state.model.hosts.get(host_id) or HostView(1)
    return _Builder(state, host_id, host, reader).page()


def appealed_at(state: ConsoleState, verdict_id: str) -> int | None:
    """When the host appealed against a verdict first, as far as was read; None if it did not."""
    reviews = state.model.reviews.get(verdict_id) or ()
    return min((one.at for one in reviews if one.decision == "appealed"), default=None)


class _Builder:
    """Builds the page of one host for one reader."""

    def __init__(self, state: ConsoleState, host_id: str, host: HostView, reader: Reader) -> None:
        self._state = state
        self._host_id = host_id
        self._host = host
        self._reader = reader
        self._words = reader.words
        self._actions = [action for _, action in host.actions.items() if action.host_id == host_id]
        self._ladders = ladders(state.rulebook, self._actions, state.now)
        self._leaves = {each.action.action_id: (one, each.leaves_at) for one in self._ladders for each in one.counted}

    def page(self) -> HostPage:
        judged = sorted(self._judged(), key=lambda one: (-one.either.at, one.id))
        now = self._state.now
        return HostPage(
            host_id=self._host_id,
            language=self._words.language,
            at=now,
            banned_until=banned_until(self._actions, now),
            warnings=tuple(sorted(self._warnings(), key=lambda one: (one.due or one.since, one.room_id))),
            verdicts=tuple(map(self._verdict, judged[:MAX_VERDICTS])),
            left_out=max(len(judged) - MAX_VERDICTS, 0),
            ladders=tuple(self._ladder(one) for one in self._ladders if one.counted),
        )

    def _judged(self) -> Iterator[_Judged]:
        """The host's verdicts, also those without an action, and actions whose verdict is not read any more."""
        model = self._state.model
        actions = {action.action_id: action for action in self._actions}
        rooms = [room for name in self._host.rooms if (room := model.rooms.get(name)) is not None]
        for name in dict.fromkeys((*actions, *(name for room in rooms for name in room.verdicts))):
            verdict, action = model.verdicts.get(name), actions.get(name)
            if verdict is not None and verdict.host_id != self._host_id:
                verdict = None
            if verdict is not None or action is not None:
                yield _Judged(name, verdict, action)

    def _verdict(self, judged: _Judged) -> ShownVerdict:
        verdict, action = judged.verdict, judged.action
        decision, decided_at = decision_in(action)
        appealed = appealed_at(self._state, judged.id)
        counting = self._counting(judged.id)
        may_appeal = appealed is None and decision != "overturned"
        version = self._version(judged)
        return ShownVerdict(
            verdict_id=judged.id,
            room_id=judged.either.room_id,
            rule=self._rule(judged.either.rule, None if verdict is None else verdict.subject, version),
            since=None if verdict is None else verdict.since,
            at=judged.either.at,
            evidence=None if verdict is None else self._evidence(verdict),
            prevented_by=() if verdict is None or version is None else self._prevented(verdict, version),
            action=None if action is None else self._action(action, decision is None),
            decision=decision,
            decided_at=decided_at,
            counts=counting.counts,
            counts_until=counting.until,
            ended_by=tuple(ended_by(self._reader, action, self._state.now, counting, may_appeal=may_appeal)),
            appealed_at=appealed,
            may_appeal=may_appeal,
        )

    def _counting(self, verdict_id: str) -> Counting:
        counted = self._leaves.get(verdict_id)
        if counted is None:
            return Counting(False, None)
        ladder, leaves_at = counted
        return Counting(True, None if ladder.ladder.window_days is None else leaves_at)

    def _version(self, judged: _Judged) -> EffectiveVersion[Struct] | None:
        """The version of the rule by which it was judged; by the time, where the verdict is not read any more."""
        rulebook = self._state.rulebook
        if judged.verdict is not None:
            return rulebook.version_of(judged.verdict.rule, judged.verdict.rulebook)
        return rulebook.at(judged.either.rule, judged.either.at)

    def _rule(self, rule: str, label: str | None, version: EffectiveVersion[Struct] | None) -> ShownRule:
        language = self._words.language
        return ShownRule(
            rule=rule,
            name=self._words.rule(rule),
            label=label,
            text=self._state.rulebook.description_of(rule, "", language)
            if version is None
            else version.description_in(language),
            effective=None if version is None else version.effective_date,
            citation=None if version is None else version.citation,
        )

    def _evidence(self, verdict: Verdict) -> tuple[ShownEvidence, ...]:
        return tuple(
            ShownEvidence(
                topic=one.topic,
                at=one.at,
                code=one.code,
                text=self._words.note(one),
                media_uri=one.media_uri if is_web_address(one.media_uri) else None,
            )
            for one in verdict.evidence
        )

    def _prevented(self, verdict: Verdict, version: EffectiveVersion[Struct]) -> tuple[str, ...]:
        try:
            found = remedies(verdict, version.limits, self._clock)
        except (TypeError, AttributeError):  # it was judged by another rulebook, whose rule is of another kind
            return ()
        return tuple(render(one, self._words.language) for one in found if one.code not in _FOR_MODERATORS)

    def _clock(self, at: int) -> str:
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(self._reader.zone).strftime("%H:%M:%S")

    def _action(self, action: Action, undecided: bool) -> ShownAction:
        open_choice = undecided and action.choice is not None
        return ShownAction(
            status=action.status,
            family=action.family,
            count=action.count,
            steps=tuple(
                ShownStep(step=step, text=text) for step, text in action_words(self._words, action, open_choice)
            ),
            to_be_chosen=open_choice,
            ban_until=action.ban_until,
            freeze_days=action.freeze_days,
            past_days=action.past_days,
            revision=action.revision,
        )

    def _warnings(self) -> Iterator[ShownWarning]:
        model, now = self._state.model, self._state.now
        for name in self._host.rooms:
            room = model.rooms.get(name)
            if room is None or room.ended or room.host_id != self._host_id:
                continue
            for risk in room.risks.values():
                if risk.rule is not None and risk.host_id == self._host_id and (risk.due or now) >= now:
                    yield self._warning(risk, risk.rule)

    def _warning(self, risk: IncidentStatus, rule: str) -> ShownWarning:
        version = self._state.rulebook.at(rule, risk.since)
        words = self._words
        if rule == GREETING or version is None:
            cleared = words("for-host.warning.greeting")
        else:
            cleared = words(
                "for-host.warning.cleared", instead=render(instead_of(rule, None, version.limits), words.language)
            )
        return ShownWarning(
            room_id=risk.room_id,
            rule=self._rule(rule, None, version),
            since=risk.since,
            due=risk.due,
            ended_by=(cleared,),
        )

    def _ladder(self, one: FamilyLadder) -> ShownLadder:
        return ShownLadder(
            family=one.family,
            name=self._words(f"family.{one.family}"),
            count=len(one.counted),
            window_days=one.ladder.window_days,
            next=next_words(self._words, one.next),
        )
