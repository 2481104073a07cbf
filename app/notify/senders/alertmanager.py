"""Prometheus's Alertmanager, API v2.

An alert keeps the same labels from the beginning to the end of its incident, for Alertmanager identifies alerts by
their labels. What becomes of the incident is in the annotations.

An Alertmanager ends an alert that is not sent again for `resolve_timeout_s`. So open incidents are sent again four
times in that time; should Vigil stop, its alerts end by themselves.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from vigil.app.notify import shown, words
from vigil.app.notify.alerts import Alert, AlertChange, life_of
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.senders.outcome import DeliveryRejected, RetryLater, SendOutcome, Sent
from vigil.app.notify.targets import Alertmanager
from vigil.topics.envelope import timestamp

BATCH: Final = 64
"""Alerts in one request. More would save little, and one alert that is refused costs two requests for each halving of
its batch."""
OF_TARGET: Final = frozenset({401, 404, 405, 407})
"""Statuses that say that the address or the credentials are wrong: no other batch would be accepted."""
OF_CONTENT: Final = frozenset({400, 413, 422})
"""Statuses that say that what was sent is wrong: sent again as it is, it would be refused again."""


class Resent(NamedTuple):
    """One request that `resend` has made."""

    outcome: SendOutcome
    sent: int = 0
    """The number of open alerts that were accepted."""
    refused: str | None = None
    """The open incident whose alert alone was refused, and is not sent again until it changes."""


class AlertmanagerSender:
    """Sends alerts to all members of one cluster, and sends them again while they are open."""

    batch = BATCH

    def __init__(self, target: Alertmanager, secrets: Secrets, http: HttpPoster, wall_ms: Callable[[], int]) -> None:
        """Raise SettingsError where the bearer token is missing."""
        self._urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in target.urls]
        self._target = target
        self._headers = {"Content-Type": "application/json", "User-Agent": "vigil-notify"}
        if target.bearer_secret is not None:
            self._headers["Authorization"] = f"Bearer {secrets.of(target.bearer_secret)}"
        self._http = http
        self._wall_ms = wall_ms
        # One request at a time: a request that says an alert is firing must not overtake one that says it is resolved.
        self._lock = asyncio.Lock()
        self._resolved: dict[str, tuple[Alert, int]] = {}
        """What was resolved not long ago, by id, and when that was sent. It is sent again too, in case a request that
        timed out here arrives there late and makes the alert fire again."""
        self._refused: dict[str, Alert] = {}
        """Open incidents, by id, as they were when their alert alone was refused."""

    @property
    def resend_s(self) -> float:
        """Seconds between two rounds of `resend`."""
        return self._target.resolve_timeout_s / 4

    async def send(self, changes: Sequence[AlertChange]) -> list[SendOutcome]:
        """Send the changes in one request; where that is rejected, in parts, so that only what is bad is rejected."""
        async with self._lock:
            for change in changes:
                if change.event == "resolved":
                    self._resolved[life_of(change.alert).id] = change.alert, self._wall_ms()
            outcomes: list[SendOutcome] = []
            async for part, outcome in self._post_in_parts([change.alert for change in changes]):
                self._note_refused(part, outcome)
                outcomes += [outcome] * len(part)
            return outcomes

    async def resend(self, firing: Callable[[], Iterable[Alert]]) -> AsyncIterator[Resent]:
        """Send open alerts again, and what was resolved not long ago; yield what came of it.

        `firing` returns the open incidents that the Alertmanager knows of. It is called before every batch, since an
        incident may have been resolved meanwhile.
        """
        left = [life_of(alert).id for alert in firing()]
        self._refused = {id_: incident for id_, incident in self._refused.items() if id_ in set(left)}
        while left:
            wanted, left = set(left[:BATCH]), left[BATCH:]
            async with self._lock:
                alerts = [one for one in firing() if life_of(one).id in wanted and self._may_be_sent_again(one)]
                parts = [part async for part in self._post_in_parts(alerts)]
            for part, outcome in parts:
                refused = life_of(part[0]).id if self._note_refused(part, outcome) else None
                yield Resent(outcome, len(part) if isinstance(outcome, Sent) else 0, refused)
        async for outcome in self._resend_resolved():
            yield Resent(outcome)

    def _may_be_sent_again(self, alert: Alert) -> bool:
        id_ = life_of(alert).id
        return id_ not in self._resolved and self._refused.get(id_) != alert

    def _note_refused(self, part: Sequence[Alert], outcome: SendOutcome) -> bool:
        """Remember an alert that was refused alone; return whether it was."""
        if isinstance(outcome, DeliveryRejected) and len(part) == 1 and outcome.status in OF_CONTENT:
            self._refused[life_of(part[0]).id] = part[0]
            return True
        return False

    async def _resend_resolved(self) -> AsyncIterator[SendOutcome]:
        oldest = self._wall_ms() - self._target.resolve_timeout_s * 1000
        resolved = [alert for alert, _ in self._resolved.values()]
        self._resolved = {id_: (alert, sent_at) for id_, (alert, sent_at) in self._resolved.items() if sent_at > oldest}
        for first in range(0, len(resolved), BATCH):
            async with self._lock:
                parts = [part async for part in self._post_in_parts(resolved[first : first + BATCH])]
            for _, outcome in parts:
                yield outcome

    async def _post_in_parts(self, incidents: Sequence[Alert]) -> AsyncIterator[tuple[Sequence[Alert], SendOutcome]]:
        """Post incidents; where a member rejects them, in halves: one bad alert makes a whole request fail.

        Yield the parts in order, each with its outcome.
        """
        parts = deque([incidents] if incidents else [])
        while parts:
            part = parts.popleft()
            outcome, rejected = await self._post(part)
            if rejected and len(part) > 1:
                parts.extendleft((part[len(part) // 2 :], part[: len(part) // 2]))
            else:
                yield part, outcome

    async def _post(self, incidents: Sequence[Alert]) -> tuple[SendOutcome, bool]:
        """Post incidents to all members. Return the outcome, and whether a part of them may be accepted."""
        data = msgspec.json.encode([self.alert(incident) for incident in incidents])
        outcomes = await asyncio.gather(
            *(self._http.post(url, data, self._headers, self._target.timeout_s) for url in self._urls)
        )
        # One member of a cluster is enough: it passes the alert on to the others. The best outcome counts.
        best = min(outcomes, key=lambda outcome: (Sent, RetryLater, DeliveryRejected).index(type(outcome)))
        rejected = any(isinstance(one, DeliveryRejected) and _may_be_content(one) for one in outcomes)
        return best, rejected and not isinstance(best, Sent)

    def alert(self, alert: Alert) -> dict[str, Any]:
        """Return an alert as the API expects it."""
        now, language = self._wall_ms(), self._target.language
        labels = {**self._target.labels, **shown.labels(alert)}
        _, begins, ends, momentary = life_of(alert)
        start = min(begins, now)
        if ends is None or momentary:
            end = now + self._target.resolve_timeout_s * 1000
        else:
            end = max(min(ends, now), start + 1)
        return {
            "startsAt": timestamp(start),
            "endsAt": timestamp(end),
            "generatorURL": words.page_of(alert, url) if (url := self._target.console_url) else "",
            "labels": {name: words.label(value) for name, value in labels.items() if value},
            "annotations": {name: value for name, value in shown.annotations(alert, language).items() if value},
        }


def _may_be_content(rejected: DeliveryRejected) -> bool:
    """Return whether it may have been rejected for something in it: no redirect, no wrong address or credentials."""
    return rejected.status is not None and rejected.status >= 400 and rejected.status not in OF_TARGET
