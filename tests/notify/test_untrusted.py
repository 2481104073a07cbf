"""Whatever others write into the topics and into the state: it is counted and left out, and never stops anything."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from tests.notify.test_service import FOUND, dead_letters, message, notifying, publish, until
from tests.support.foreign import BYTES, FAR, spoilt
from tests.support.harness import make_topics
from tests.support.notify_stories import RULEBOOK, T0, action, notice, verdict
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.settings import Settings
from vigil.app.notify import words
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.outbox import Outbox
from vigil.app.notify.records import SOURCE_TOPICS, apply_record, malformed_letter, undelivered_letter
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.webhook import payload
from vigil.app.notify.state_topic import NotifyNames
from vigil.app.notify.targets import Alertmanager
from vigil.topics.fields import MAX_OUTPUT_BYTES, InvalidEvent


def record(topic: str, value: bytes | None, key: bytes | None = b"room-1", headers: Any = ()) -> ConsumerRecord:
    return ConsumerRecord(topic, 0, 0, T0, 0, key, value, None, 1, 1, headers)


def applied(incidents: Incidents, records: Iterator[ConsumerRecord]) -> list[IncidentChange]:
    changes = []
    for number, one in enumerate(records):
        try:
            changes += apply_record(incidents, one.topic, one, T0 + number)
        except InvalidEvent as error:
            key, value = malformed_letter(one.topic, one, error.detail, T0)
            assert len(key or b"") + len(value) < MAX_OUTPUT_BYTES
    return changes + incidents.tick(T0 + 1_000_000_000)


@pytest.mark.parametrize("topic", SOURCE_TOPICS)
def test_what_others_write_is_left_out_or_can_be_sent(topic: str) -> None:
    values = [*BYTES, *spoilt(topic)]
    incidents, outbox = Incidents(RULEBOOK), Outbox()
    changes = applied(incidents, (record(topic, value, b"\xff" * 1_000_000) for value in values))
    target = Alertmanager(kind="alertmanager", urls=("http://a",))
    sender = AlertmanagerSender(target, Secrets({}), None, lambda: T0)  # type: ignore[arg-type]
    for change in changes:
        for render in (payload, words.title, words.body):
            render(change)
        sender.alert(change.incident)
        outbox.add(change, {"hook": T0}, T0)
        outbox.reject(change, "hook", "")
    assert all(len(undelivered_letter(one, T0)[1]) < MAX_OUTPUT_BYTES for one in outbox.take_undelivered())
    stored = dict([*incidents.changed(), *outbox.changed()])
    assert all(value is None or len(value) < MAX_OUTPUT_BYTES for value in stored.values())


def test_a_time_beyond_the_year_9999_is_no_notice() -> None:
    for field in ("since", "at", "due"):
        value = orjson.dumps({**orjson.loads(message(notice("at-risk"))[2] or b""), field: FAR})
        with pytest.raises(InvalidEvent):
            apply_record(Incidents(RULEBOOK), "notice", record("notice", value), T0)


@pytest.mark.parametrize(
    "time", [b"0001-01-01T00:00:00", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"x"]
)
def test_a_tombstone_ends_its_room_whatever_its_header_says(time: bytes) -> None:
    assert (
        apply_record(Incidents(RULEBOOK), "room-status", record("room-status", None, headers=(("ce_time", time),)), T0)
        == []
    )


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"x" * 129])
def test_a_tombstone_without_a_room_is_refused(key: bytes | None) -> None:
    with pytest.raises(InvalidEvent):
        apply_record(Incidents(RULEBOOK), "room-status", record("room-status", None, key), T0)


def stored() -> dict[str, bytes]:
    """The records of a state with one of each kind, and pending deliveries."""
    incidents, outbox = Incidents(RULEBOOK), Outbox()
    changes = incidents.notice(notice("at-risk"), T0) + incidents.verdict(FOUND, T0)
    incidents.action(action(verdict(room_id="room-2")), T0)
    incidents.room("room-3", T0, True, T0)
    for change in changes:
        outbox.add(change, {"hook": T0}, T0)
    outbox.mark_stored(T0)
    return {key: value for key, value in (*incidents.changed(), *outbox.changed()) if value is not None}


def spoilt_state() -> dict[str, bytes]:
    far = {f"{key}": value.replace(b"%d" % T0, b"%d" % FAR) for key, value in stored().items()}
    swapped = {f"{key}x": value for key, value in stored().items() if not key.startswith("r:")}
    junk = {f"{letter}:{number}": value for letter in "iprox" for number, value in enumerate(BYTES)}
    return far | swapped | junk | {"": b"{}", "verdict": b"{}", "s:x": b"1"}


def test_a_state_record_of_others_is_left_out_and_named() -> None:
    good, bad = stored(), spoilt_state()
    incidents, outbox = Incidents(RULEBOOK), Outbox()
    left_out = incidents.load({key: value for key, value in bad.items() if key[:2] not in ("o:", "s:")})
    left_out |= outbox.load({key: value for key, value in bad.items() if key.startswith("o:")})
    assert left_out.keys() == bad.keys() - {"s:x"}
    assert all(left_out.values())
    assert (len(incidents), len(outbox)) == (0, 0)
    assert incidents.load({key: value for key, value in good.items() if not key.startswith("o:")}) == {}
    assert outbox.load({key: value for key, value in good.items() if key.startswith("o:")}) == {}


@pytest.mark.slow
async def test_foreign_messages_and_state_stop_no_process(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)
    far = orjson.dumps({**orjson.loads(message(notice("at-risk", room_id="far"))[2] or b""), "at": FAR})
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            await publish(broker, [("notice", b"far", far), ("verdict", b"k" * 900_000, b"hello"), message(FOUND)])
            await until(lambda: len(receiver.taken) == 1)
        async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
            state = NotifyNames.of(Settings().app_id).state
            for key, value in (
                (None, b"hello"),
                (b"\xff", b"{}"),
                *((k.encode(), v) for k, v in spoilt_state().items()),
            ):
                if len(value) < 900_000:
                    await producer.send(state, value, key=key)
            await producer.flush()
        async with notifying(broker, receiver.url) as notify:
            await publish(broker, [message(verdict(room_id="room-9"))])
            await until(lambda: len(receiver.taken) == 2)
            refused = notify.metrics.registry.get_sample_value
            assert (refused("vigil_notify_refused_total", {"topic": "notify-state"}) or 0) > len(BYTES)
    assert [one["incident"]["room_id"] for one in receiver.taken] == ["room-1", "room-9"]
    assert sorted(one["topic"] for one in await dead_letters(broker)) == ["notice", "verdict"]
