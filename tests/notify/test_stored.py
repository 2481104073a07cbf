"""What is stored, sent and dead-lettered keeps its bytes: another release must read it, and receivers rely on it.

`stored.tsv` has a line for each record: what it is, and its bytes as an earlier release wrote them.
"""

from pathlib import Path

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from tests.support.notify_stories import RULEBOOK, T0, S, action, notice, verdict
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.outbox import KEY_PREFIXES, Outbox
from vigil.app.notify.records import malformed_letter, undelivered_letter
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.webhook import payload
from vigil.app.notify.targets import Alertmanager

STORED = dict(line.split("\t") for line in (Path(__file__).parent / "stored.tsv").read_text().splitlines())


def story() -> tuple[Incidents, Outbox, list[IncidentChange]]:
    """A warning, its violation with an action, and the end of the room; an action without its verdict; a failed try."""
    incidents, found = Incidents(RULEBOOK), verdict()
    changes = incidents.notice(notice("at-risk", due=T0 + 120 * S), T0 + 61 * S)
    incidents.add_end_targets(changes[0].incident.id, ("hook", "ops"))
    changes += incidents.verdict(found, T0 + 121 * S)
    changes += incidents.action(action(found), T0 + 122 * S)
    changes += incidents.room("room-1", T0 + 300 * S, True, T0 + 301 * S)
    incidents.action(action(verdict(room_id="room-2")), T0 + 400 * S)
    outbox = Outbox()
    for change in (changes[0], changes[3]):
        outbox.add(change, {"hook": change.at, "ops": change.at + 5}, T0 + 70 * S)
    outbox.mark_stored(T0 + 70 * S)
    [delivery] = outbox.take_due("hook", T0 + 70 * S, 1)
    outbox.retry(delivery, T0 + 99 * S)
    return incidents, outbox, changes


def test_state_records_keep_their_bytes_and_are_read_back() -> None:
    incidents, outbox, _ = story()
    records = {key: value for key, value in [*incidents.changed(), *outbox.changed()] if value is not None}
    assert {key: value.decode() for key, value in records.items()} == {
        key: value for key, value in STORED.items() if key[1] == ":"
    }
    restored, pending = Incidents(RULEBOOK), Outbox()
    restored.load({key: value for key, value in records.items() if not key.startswith(KEY_PREFIXES)})
    pending.load({key: value for key, value in records.items() if key.startswith(KEY_PREFIXES)})
    assert (len(restored), len(pending)) == (1, 4)
    assert pending.take_due("hook", T0 + 99 * S, 1)[0].progress.attempts == 1


@pytest.mark.parametrize(
    "added",
    [',"code":null,"params":{},"media_uri":null', ',"decided_by":null,"decided_at":null,"approved_by":[]'],
    ids=["evidence without codes", "actions without who decided"],
)
def test_records_of_earlier_versions_are_read(added: str) -> None:
    incidents = Incidents(RULEBOOK)
    stored = {key: value.replace(added, "").encode() for key, value in STORED.items() if key[1] == ":"}
    assert sum(added in value for value in STORED.values()) >= 2
    assert incidents.load({key: value for key, value in stored.items() if not key.startswith(KEY_PREFIXES)}) == {}
    assert len(incidents) == 1


def test_webhook_payloads_keep_their_bytes() -> None:
    _, _, changes = story()
    assert payload(changes[3]).decode() == STORED["webhook"]


def test_alerts_keep_their_bytes() -> None:
    _, _, changes = story()
    target = Alertmanager(kind="alertmanager", urls=("http://a",), labels={"team": "x"}, console_url="https://c/")
    sender = AlertmanagerSender(target, Secrets({}), None, lambda: T0 + 500 * S)  # type: ignore[arg-type]
    alerts = {f"alert {one.event}": sender.alert(one.incident) for one in (changes[0], changes[1], changes[3])}
    assert {name: msgspec.json.encode(alert).decode() for name, alert in alerts.items()} == {
        name: value for name, value in STORED.items() if name.startswith("alert ")
    }


def test_dead_letters_keep_their_bytes() -> None:
    _, outbox, changes = story()
    outbox.reject(changes[1], "ops", "too much is owed to this target")
    [undelivered] = outbox.take_undelivered()
    record = ConsumerRecord("notice", 3, 17, T0, 0, b"k", b"{", None, 1, 1, ())
    letters = {
        "dead letter of a change": undelivered_letter(undelivered, T0 + 500 * S),
        "dead letter of a record": malformed_letter(record.topic, record, "Input data was truncated", T0 + 500 * S),
    }
    for name, (key, value) in letters.items():
        assert b"%b %b" % (key or b"", value) == STORED[name].encode()
