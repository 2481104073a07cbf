"""The state machine of hosts: verdicts repartitioned by host, and reviews, applied on arrival."""

from typing import Final

import msgspec

from vigil.app.domain.hosts.host import HostEvent, HostOptions, HostState
from vigil.app.domain.hosts.reviews import ReceivedResult, ReceivedReview
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.engine.subject import Arrival, Order, OriginOf, SourceRecord, StateChunks, StateMachineDefaults
from vigil.topics.decoder import decode_own
from vigil.topics.fields import InvalidEvent, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.reviews import decode_result, decode_review
from vigil.topics.verdicts import Verdict

_VERDICT: Final = msgspec.json.Decoder(Verdict)


class HostMachine(StateMachineDefaults[HostEvent]):
    """Hosts by id. Actions do not depend on the order of arrival, so no event is late."""

    topics: tuple[str, ...] = ("verdict-by-host", "review", "enforcement-result")
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook, review_wait_ms: int | None, every_revision: bool = False) -> None:
        """`review_wait_ms`: how long a review waits for its verdict; None: until the end of the input.

        `every_revision`: a replay, which leaves out no revision.
        """
        self._rulebook = rulebook
        self._how = HostOptions(review_wait_ms, every_revision)

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> HostEvent:
        """The verdict of a record, or its review or result together with the record; raise InvalidEvent."""
        key, value = record.key, record.value
        if source_index == 1:
            return ReceivedReview(decode_review(key, value, on_ignored), *origin_of(record), key, value)
        if source_index == 2:
            return ReceivedResult(decode_result(key, value, on_ignored), *origin_of(record), key, value)
        verdict = decode_own(_VERDICT, value)
        check_key(key, "host_id", verdict.host_id)
        if verdict.family not in FAMILIES:
            raise InvalidEvent(f"no ladder for the family {verdict.family!r}")
        return verdict

    def key_of(self, event: HostEvent) -> str:
        return event.host_id

    def dedup_key(self, event: HostEvent) -> str | None:
        """A verdict's id. A repeated review changes nothing."""
        return event.verdict_id if isinstance(event, Verdict) else None

    def load(self, key: str, chunks: StateChunks) -> HostState:
        return HostState(key, self._rulebook, self._how, chunks)
