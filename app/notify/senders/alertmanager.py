"""Prometheus's Alertmanager, API v2.

An alert keeps the same labels from the beginning to the end of its incident, for Alertmanager identifies alerts by
their labels. What becomes of the incident is in the annotations.

An Alertmanager ends an alert that is not sent again for `resolve_timeout_s`. So open incidents are sent again four
times in that time; should Vigil stop, its alerts end by themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from vigil.app.notify import words
from vigil.app.notify.changes import Incident, IncidentChange
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.http import HttpPoster
from vigil.app.notify.senders.outcome import DeliveryRejected, RetryLater, SendOutcome, Sent
from vigil.app.notify.targets import Alertmanager
from vigil.topics.envelope import timestamp

BATCH: Final = 64
"""Alerts in one request. More would save little, and one alert that is refused costs a request for each of its
batch."""


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
        self._resolved: dict[str, Incident] = {}
        """Incidents that were resolved not long ago, by id. They are sent again too, in case a request that timed out
        here arrives there late and makes the alert fire again."""

    @property
    def resend_s(self) -> float:
        """Seconds between two rounds of `resend`."""
        return self._target.resolve_timeout_s / 4

    async def send(self, changes: Sequence[IncidentChange]) -> list[SendOutcome]:
        """Send the changes in one request; where that is rejected, each in a request of its own."""
        async with self._lock:
            for change in changes:
                if change.event == "resolved":
                    self._resolved[change.incident.id] = change.incident
            outcome = await self._post([change.incident for change in changes])
            if isinstance(outcome, DeliveryRejected) and len(changes) > 1:  # one bad alert makes a whole request fail
                return [await self._post([change.incident]) for change in changes]
            return [outcome] * len(changes)

    async def resend(self, firing: Callable[[], Iterable[Incident]]) -> AsyncIterator[tuple[int, SendOutcome]]:
        """Send open alerts again; yield for each request how many it had, and its outcome.

        `firing` returns the open incidents that the Alertmanager knows of. It is called before every request, since an
        incident may have been resolved meanwhile.
        """
        left = [incident.id for incident in firing()]
        while left:
            part, left = set(left[:BATCH]), left[BATCH:]
            async with self._lock:
                incidents = [
                    incident for incident in firing() if incident.id in part and incident.id not in self._resolved
                ]
                outcome = await self._post(incidents) if incidents else Sent()
            yield len(incidents), outcome
        oldest = self._wall_ms() - self._target.resolve_timeout_s * 1000
        resolved = list(self._resolved.values())
        self._resolved = {incident.id: incident for incident in resolved if incident.heard > oldest}
        for first in range(0, len(resolved), BATCH):
            async with self._lock:
                outcome = await self._post(resolved[first : first + BATCH])
            yield 0, outcome

    async def _post(self, incidents: Sequence[Incident]) -> SendOutcome:
        data = msgspec.json.encode([self.alert(incident) for incident in incidents])
        outcomes = await asyncio.gather(
            *(self._http.post(url, data, self._headers, self._target.timeout_s) for url in self._urls)
        )
        # One member of a cluster is enough: it passes the alert on to the others. The best outcome counts.
        return min(outcomes, key=lambda outcome: (Sent, RetryLater, DeliveryRejected).index(type(outcome)))

    def alert(self, incident: Incident) -> dict[str, Any]:
        """Return the alert of an incident as the API expects it."""
        now = self._wall_ms()
        start = min(incident.opened_at if incident.opened_at is not None else incident.at, now)
        if incident.resolved_at is None or incident.sort in ("entry", "action"):
            end = now + self._target.resolve_timeout_s * 1000
        else:
            end = max(min(incident.resolved_at, now), start + 1)
        return {
            "startsAt": timestamp(start),
            "endsAt": timestamp(end),
            "generatorURL": self._target.console_url or "",
            "labels": {name: words.label(value) for name, value in self._labels(incident).items() if value},
            "annotations": {name: value for name, value in _annotations(incident).items() if value},
        }

    def _labels(self, incident: Incident) -> dict[str, str]:
        return {
            **self._target.labels,
            "alertname": alert_name(incident),
            "family": incident.family or "",
            "host_id": incident.host_id,
            "incident": incident.id,
            "room_id": incident.room_id,
            "rule": incident.rule or "",
        }


def _annotations(incident: Incident) -> dict[str, str]:
    violated = incident.violated_at is not None
    return {
        "summary": words.summary(incident),
        "description": words.body(IncidentChange(id="", event="noted", at=incident.at, incident=incident)),
        "stage": "over" if not incident.open else "violation" if violated else "at-risk",
        "severity": "critical" if violated else "warning",
        "steps": words.steps(incident),
        "why": incident.why or "",
    }


def alert_name(incident: Incident) -> str:
    """Return `VigilBlackScreen`, `VigilSignalLost`, …: a name that stays the same for the life of the incident."""
    names = {"signal": "signal-lost", "entry": "entry-missed", "action": "action"}
    name = names.get(incident.sort, incident.rule or "")
    return "Vigil" + "".join(part.capitalize() for part in name.split("-"))
