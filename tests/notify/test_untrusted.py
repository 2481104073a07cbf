"""Whatever others write into the topics and into the state: it is counted and left out, and never stops anything."""

from collections.abc import Iterable
from typing import Any

import msgspec
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from tests.notify.test_service import dead_letters, message, notifying, publish, until
from tests.support.foreign import BYTES, FAR, spoilt
from tests.support.harness import make_topics
from tests.support.line_alert_stories import obligation
from tests.support.notify_stories import PARTITION, T0, Desk, over, violation, warning
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.settings import Settings
from vigil.app.notify.kept import Undelivered
from vigil.app.notify.marks import Marks
from vigil.app.notify.records import INCIDENT, LINE_TOPICS, apply_record, malformed_letter, undelivered_letter
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.webhook import payload
from vigil.app.notify.shown import body, title
from vigil.app.notify.targets import Alertmanager
from vigil.app.notify.topics import NotifyNames
from vigil.topics.fields import MAX_OUTPUT_BYTES, InvalidEvent

ALL = """
[[routes]]
to = ["hook", "ops"]
kinds = ["at-risk", "violation", "action", "signal-lost", "entry-missed", "verdict-contested", "still-live"]
[[routes]]
to = ["hook", "ops"]
kinds = ["obligation", "participation"]
singly = 1000
"""


def record(topic: str, value: bytes | None, key: bytes | None = b"room-1", headers: Any = ()) -> ConsumerRecord:
    return ConsumerRecord(topic, 0, 0, T0, 0, key, value, None, 1, 1, headers)


def applied(desk: Desk, records: Iterable[ConsumerRecord]) -> None:
    for number, one in enumerate(records):
        try:
            apply_record(desk.book, one.topic, one, T0 + number)
        except InvalidEvent as error:
            key, value = malformed_letter(one.topic, one, error.detail, T0)
            assert len(key or b"") + len(value) < MAX_OUTPUT_BYTES
        desk.now = T0 + number
        desk.deliver()


def key_of(topic: str, value: bytes) -> bytes:
    """The key that goes with a message, where it can be read."""
    try:
        return str(orjson.loads(value)["incident_id" if topic == INCIDENT else "supplier_id"]).encode()
    except (orjson.JSONDecodeError, KeyError, TypeError, UnicodeEncodeError):
        return b"\xff" * 1_000_000


@pytest.mark.parametrize("topic", [INCIDENT, *LINE_TOPICS])
def test_what_others_write_is_left_out_or_can_be_sent(topic: str) -> None:
    values = [*BYTES, *spoilt(topic)]
    desk = Desk(ALL)
    applied(desk, (record(topic, value, key_of(topic, value)) for value in values))
    target = Alertmanager(kind="alertmanager", urls=("http://a",))
    sender = AlertmanagerSender(target, Secrets({}), None, lambda: T0)  # type: ignore[arg-type]
    assert desk.sent or topic == "obligation", "some of it can be sent: the example of an obligation is met"
    for name, change in desk.sent:
        for render in (payload, title, body):
            render(change)
        sender.alert(change.alert)
        assert len(undelivered_letter(Undelivered(name, change, 1, ""), T0)[1]) < MAX_OUTPUT_BYTES
    assert all(len(one.value or b"") < MAX_OUTPUT_BYTES for one in desk.book.marks.changed())


def test_a_time_beyond_the_year_9999_is_no_incident() -> None:
    for field in ("since", "at", "due", "ended_at"):
        value = orjson.dumps({**msgspec.to_builtins(warning()), field: FAR})
        with pytest.raises(InvalidEvent):
            apply_record(Desk().book, INCIDENT, record(INCIDENT, value, warning().incident_id.encode()), T0)


def test_an_incident_under_another_key_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="incident_id"):
        apply_record(Desk().book, INCIDENT, record(INCIDENT, msgspec.json.encode(warning()), b"other"), T0)
    with pytest.raises(InvalidEvent, match="UTF-8"):
        apply_record(Desk().book, INCIDENT, record(INCIDENT, msgspec.json.encode(warning()), b"\xff"), T0)


@pytest.mark.parametrize(
    "time", [b"0001-01-01T00:00:00", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"x"]
)
@pytest.mark.parametrize("key", [None, b"", b"x" * 129, obligation().obligation_id.encode()])
def test_a_tombstone_is_taken_whatever_its_header_and_key_say(time: bytes, key: bytes | None) -> None:
    desk = Desk(ALL)
    desk.say(obligation())
    apply_record(desk.book, "obligation", record("obligation", None, key, (("ce_time", time),)), T0)


def stored() -> dict[str, bytes]:
    """The records of a state."""
    desk = Desk()
    desk.say(warning(), violation(), over(violation()), warning(room_id="room-2"))
    desk.store()
    return desk.marks


def spoilt_state() -> dict[str, bytes]:
    junk = {f"{letter}:{number}": value for letter in "mbx" for number, value in enumerate(BYTES)}
    return junk | {"": b"{}", "verdict": b"{}", "i:x": b"1", "m:y": b'{"hook":{"end":1}}', "b:z": b'{"offset":-1}'}


def test_a_state_record_of_others_is_left_out_and_named() -> None:
    good, bad = stored(), spoilt_state()
    marks = Marks()
    left_out = marks.load(PARTITION, bad)
    assert left_out.keys() == {name for name, value in bad.items() if not readable(name, value)}
    assert all(left_out.values())
    marks = Marks()
    assert marks.load(PARTITION, good) == {}
    assert len(marks) == 2


def readable(name: str, value: bytes) -> bool:
    """What others wrote as `vigil notify` would have."""
    return name.startswith("m:") and value == b"{}"


@pytest.mark.slow
async def test_foreign_messages_and_state_stop_no_process(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)
    far = orjson.dumps({**msgspec.to_builtins(warning(room_id="far")), "at": FAR})
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            bad: list[tuple[str, bytes | None, bytes | None]] = [
                (INCIDENT, b"far", far), (INCIDENT, b"k" * 900_000, b"hello"),
            ]  # fmt: skip
            await publish(broker, [*bad, message(violation())])
            await until(lambda: len(receiver.taken) == 1)
        async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
            state = NotifyNames.of(Settings().app_id).marks(INCIDENT)
            for key, value in (
                (None, b"hello"),
                (b"\xff", b"{}"),
                *((k.encode(), v) for k, v in spoilt_state().items()),
            ):
                if len(value) < 900_000:
                    await producer.send(state, value, key=key, partition=0)
            await producer.flush()
        async with notifying(broker, receiver.url) as notify:
            await publish(broker, [message(violation(room_id="room-9"))])
            await until(lambda: len(receiver.taken) == 2)
            refused = notify.metrics.registry.get_sample_value
            assert (refused("vigil_notify_refused_total", {"topic": "notify-state"}) or 0) > len(BYTES)
    assert [one["incident"]["room_id"] for one in receiver.taken] == ["room-1", "room-9"]
    assert sorted(one["topic"] for one in await dead_letters(broker)) == [INCIDENT, INCIDENT]
