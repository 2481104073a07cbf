"""Malformed messages, which must be rejected: every kind of violation of the contract, made from a valid message."""

import gzip
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from vigil.app.simulate.message import SimulatedMessage
from vigil.app.simulate.shift import WORK_TOPICS
from vigil.topics.fields import MAX_MESSAGE_BYTES
from vigil.topics.rooms import ROOM_TOPICS

Fields = dict[str, Any]

MERCHANT_TOPICS: Final = ("product", "order", "certificate", "service-request", "activity")
"""The topics of suppliers who sell products."""


class Malformation(NamedTuple):
    """One kind of violation of the contract."""

    name: str
    topics: frozenset[str] | None
    """The topics that it applies to; None: all."""
    make: Callable[[SimulatedMessage, Fields], tuple[bytes | None, bytes | None]]
    """Returns key and value, given the valid message and a copy of its fields."""


_ID: Final = {
    "buyer-entry": "buyer_id",
    "comment": "comment_id",
    "frame-status": "host_id",
    "quote": "quote_id",
    "payment": "payment_id",
    "supplier-profile": "industry",
    "review": "verdict_id",
    "product": "product_id",
    "order": "order_id",
    "certificate": "certificate_id",
    "service-request": "request_id",
    "activity": "kind",
    "case": "incident_id",
    "enforcement-result": "action_id",
}
"""By topic: a field that is required, and is no free text."""


def _fields(
    change: Callable[[SimulatedMessage, Fields], object],
) -> Callable[[SimulatedMessage, Fields], tuple[bytes | None, bytes]]:
    """Return a function that changes the fields in place."""

    def make(message: SimulatedMessage, fields: Fields) -> tuple[bytes | None, bytes]:
        change(message, fields)
        return message.key, orjson.dumps(fields)

    return make


def _put(name: str, value: object) -> Callable[[SimulatedMessage, Fields], tuple[bytes | None, bytes]]:
    return _fields(lambda message, fields: fields.__setitem__(name, value))


def _raw(change: Callable[[bytes], bytes]) -> Callable[[SimulatedMessage, Fields], tuple[bytes | None, bytes]]:
    """Return a function that changes the bytes of the value."""
    return lambda message, fields: (message.key, change(message.value or b""))


def _at(written: bytes) -> Callable[[SimulatedMessage, Fields], tuple[bytes | None, bytes]]:
    """Return a function that writes the event time in a notation that no JSON library produces."""

    def make(message: SimulatedMessage, fields: Fields) -> tuple[bytes | None, bytes]:
        fields["at"] = "@"
        return message.key, orjson.dumps(fields).replace(b'"@"', written % message.at)

    return make


def _merged(**changes: object) -> Callable[[SimulatedMessage, Fields], tuple[bytes | None, bytes]]:
    return _fields(lambda message, fields: fields.update(changes))


def _only(*topics: str) -> frozenset[str]:
    return frozenset(topics)


DEEP: Final = b"[" * 4000 + b"]" * 4000

KINDS: Final = (
    Malformation("not JSON", None, _raw(lambda value: value[: len(value) // 2])),
    Malformation("not an object", None, _raw(lambda value: b"[%b]" % value)),
    Malformation("empty", None, _raw(lambda value: b"")),
    Malformation("not UTF-8", None, _raw(lambda value: value[:-1] + b',"extra":"\xff\xfe"}')),
    Malformation("UTF-16", None, _raw(lambda value: value.decode().encode("utf-16"))),
    Malformation("compressed", None, _raw(lambda value: gzip.compress(value, mtime=0))),
    Malformation("Avro", None, _raw(lambda value: b"\0\0\0\0\x2a\x0cr-0001" + value[:9])),
    Malformation("in a Connect envelope", None, _raw(lambda value: b'{"schema":null,"payload":%b}' % value)),
    Malformation("lone surrogate", None, lambda m, f: (m.key, _surrogate(m, f))),
    Malformation("nested too deeply", None, _raw(lambda value: value[:-1] + b',"extra":' + DEEP + b"}")),
    Malformation("too large", None, _put("extra", "x" * MAX_MESSAGE_BYTES)),
    Malformation("no key", None, lambda m, f: (None, m.value)),
    Malformation("another key", None, lambda m, f: ((m.key or b"") + b"-other", m.value)),
    Malformation("a key that is not UTF-8", None, lambda m, f: (b"\xff" + (m.key or b""), m.value)),
    Malformation("no time", None, _fields(lambda m, f: f.pop("at"))),
    Malformation("time as text", None, _fields(lambda m, f: f.__setitem__("at", str(m.at)))),
    Malformation("time as bool", None, _put("at", True)),
    Malformation("time with a fraction", None, _at(b"%d.5")),
    Malformation("time in seconds", None, _fields(lambda m, f: f.__setitem__("at", m.at // 1000))),
    Malformation("time as ISO text", None, _put("at", "2022-09-01T16:00:00Z")),
    Malformation("time before 1970", None, _put("at", -1)),
    Malformation("time after the year 9999", None, _put("at", 253_402_300_800_000)),
    Malformation("time null", None, _put("at", None)),
    Malformation("required field missing", None, _fields(lambda m, f: f.pop(_ID[m.topic]))),
    Malformation("required field null", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], None))),
    Malformation("empty id", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], ""))),
    Malformation("id too long", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], "x" * 129))),
    Malformation("id as a number", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], 7))),
    Malformation(
        "tombstone",
        _only(*ROOM_TOPICS, "quote", "payment", "review", *MERCHANT_TOPICS, *WORK_TOPICS),
        lambda m, f: (m.key, None),
    ),
    Malformation("unknown role", _only("comment"), _put("author_role", "robot")),
    Malformation("text too long", _only("comment"), _put("text", "长" * 4097)),
    Malformation("unknown stream", _only("frame-status"), _put("stream", "paused")),
    Malformation("face as a number", _only("frame-status"), _put("face", 1)),
    Malformation("unknown kind", _only("quote", "payment", "case", *MERCHANT_TOPICS[1:]), _put("kind", "lost")),
    Malformation("submitted to no RFQ time", _only("quote"), _fields(lambda m, f: _submitted(f))),
    Malformation("no amount", _only("payment"), _put("amount_usd", 0)),
    Malformation("an amount below 0", _only("payment"), _put("amount_usd", "-5.00")),
    Malformation("a tenth of a cent", _only("payment"), _put("amount_usd", "9.999")),
    Malformation("an amount in words", _only("payment"), _put("amount_usd", "ten")),
    Malformation("an amount as bool", _only("payment"), _put("amount_usd", True)),
    Malformation("six stars", _only("supplier-profile"), _put("stars", 6)),
    Malformation("unknown membership", _only("supplier-profile"), _put("membership", "gold")),
    Malformation("unknown decision", _only("review"), _put("decision", "perhaps")),
    Malformation("a snooze without an end", _only("case"), _merged(kind="snooze", until=None)),
    Malformation("a note that is too long", _only("case"), _merged(kind="note", text="长" * 1025)),
    Malformation("by nobody", _only("case"), _put("by", "")),
    Malformation("unknown outcome", _only("enforcement-result"), _put("outcome", "perhaps")),
    Malformation("unknown step", _only("enforcement-result"), _put("step", "jail")),
    Malformation("unknown model", _only("product"), _put("model", "used")),
    Malformation("an information score above 5", _only("product"), _put("info_score", 5.1)),
    Malformation("an information score in words", _only("product"), _put("info_score", "high")),
    Malformation("paid by nobody", _only("order"), _merged(kind="paid", buyer_id=None)),
    Malformation("paid for nothing", _only("order"), _merged(kind="paid", buyer_id="b", dispatch_by=10**12, lines=[])),
    Malformation("paid with a line without amount", _only("order"), _merged(kind="paid", lines=[{"product_id": "p"}])),
    Malformation("unknown status", _only("certificate"), _put("status", "lost")),
    Malformation("a bound in words", _only("certificate"), _put("valid_until", "next year")),
    Malformation(
        "a category that the country has not",
        _only("certificate"),
        _merged(kind="epr", country="DE", category="tyre", number="1"),
    ),
    Malformation("requested for nothing", _only("service-request"), _merged(kind="requested", product_id=None)),
    Malformation("unknown need", _only("service-request"), _merged(kind="requested", need="love")),
    Malformation("unknown measure", _only("activity"), _merged(kind="measure", measure="luck", value=1)),
    Malformation("a measure below 0", _only("activity"), _merged(kind="measure", measure="leads", value=-1)),
    Malformation("unknown programme", _only("activity"), _merged(kind="claim", programme="lottery")),
    Malformation("unknown duty", _only("activity"), _merged(kind="done", duty="dance", ref="1")),
)  # fmt: skip

AHEAD: Final = Malformation(
    "time more than a day ahead",
    None,
    _fields(lambda m, f: f.__setitem__("at", m.at + 3 * 24 * 3_600_000)),
)
"""Only on demand: a worker with a live clock rejects it, any other accepts it and then takes later events as late."""


def _surrogate(message: SimulatedMessage, fields: Fields) -> bytes:
    fields[_ID[message.topic]] = "@"
    return orjson.dumps(fields).replace(b'"@"', b'"\\ud800"')


def _submitted(fields: Fields) -> None:
    fields.pop("rfq_at", None)
    fields["kind"] = "submitted"


class Malformer:
    """Makes malformed messages from valid ones, each kind in turn, starting with a random one."""

    def __init__(self, seed: int, share: float, *, ahead: bool) -> None:
        self._rng = Random(f"{seed}/malformed")
        self._of_merchants = Random(f"{seed}/malformed/merchants")
        self._of_work = Random(f"{seed}/malformed/work")
        self._share = share
        kinds = (*KINDS, AHEAD) if ahead else KINDS
        self._kinds = {topic: [kind for kind in kinds if kind.topics is None or topic in kind.topics] for topic in _ID}
        self._turn = {topic: self._rng_of(topic).randrange(len(of)) for topic, of in self._kinds.items()}

    def _rng_of(self, topic: str) -> Random:
        """Merchants and those who work on incidents have their own: they change nothing of what others send."""
        if topic in WORK_TOPICS:
            return self._of_work
        return self._of_merchants if topic in MERCHANT_TOPICS else self._rng

    def spoil(self, message: SimulatedMessage) -> SimulatedMessage | None:
        """Return a malformed message that arrives with a valid one, or None most of the time."""
        if self._rng_of(message.topic).random() >= self._share or message.value is None:
            return None
        kinds = self._kinds[message.topic]
        self._turn[message.topic] = turn = (self._turn[message.topic] + 1) % len(kinds)
        kind = kinds[turn]
        key, value = kind.make(message, orjson.loads(message.value))
        return SimulatedMessage(message.topic, key, value, message.at, message.sent_at, kind.name)
