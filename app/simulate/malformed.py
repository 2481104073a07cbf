"""Messages that must be refused: each kind of malformation of the contract, made from a good message."""

from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from vigil.app.simulate.message import Message
from vigil.topics.fields import MAX_MESSAGE_BYTES
from vigil.topics.rooms import ROOM_TOPICS

Fields = dict[str, Any]


class Kind(NamedTuple):
    """One way to be wrong."""

    name: str
    topics: frozenset[str] | None
    """The topics that it fits; None: all."""
    make: Callable[[Message, Fields], tuple[bytes | None, bytes | None]]
    """The key and the value, from the good message and its fields (a copy)."""


_ID: Final = {
    "buyer-entry": "buyer_id",
    "comment": "comment_id",
    "frame-status": "host_id",
    "quote": "quote_id",
    "payment": "payment_id",
    "supplier-profile": "industry",
    "review": "verdict_id",
}


def _fields(change: Callable[[Message, Fields], object]) -> Callable[[Message, Fields], tuple[bytes | None, bytes]]:
    """A kind that changes the fields in place."""

    def make(message: Message, fields: Fields) -> tuple[bytes | None, bytes]:
        change(message, fields)
        return message.key, orjson.dumps(fields)

    return make


def _put(name: str, value: object) -> Callable[[Message, Fields], tuple[bytes | None, bytes]]:
    return _fields(lambda message, fields: fields.__setitem__(name, value))


def _raw(change: Callable[[bytes], bytes]) -> Callable[[Message, Fields], tuple[bytes | None, bytes]]:
    """A kind that changes the bytes of the value."""
    return lambda message, fields: (message.key, change(message.value or b""))


def _at(written: bytes) -> Callable[[Message, Fields], tuple[bytes | None, bytes]]:
    """An event time written in another way, where no JSON library would write it so."""

    def make(message: Message, fields: Fields) -> tuple[bytes | None, bytes]:
        fields["at"] = "@"
        return message.key, orjson.dumps(fields).replace(b'"@"', written % message.at)

    return make


def _only(*topics: str) -> frozenset[str]:
    return frozenset(topics)


KINDS: Final = (
    Kind("not JSON", None, _raw(lambda value: value[: len(value) // 2])),
    Kind("not an object", None, _raw(lambda value: b"[%b]" % value)),
    Kind("empty", None, _raw(lambda value: b"")),
    Kind("not UTF-8", None, _raw(lambda value: value[:-1] + b',"extra":"\xff\xfe"}')),
    Kind("lone surrogate", None, lambda m, f: (m.key, _surrogate(m, f))),
    Kind("nested too deeply", None, _raw(lambda value: value[:-1] + b',"extra":' + b"[" * 4000 + b"]" * 4000 + b"}")),
    Kind("too large", None, _put("extra", "x" * MAX_MESSAGE_BYTES)),
    Kind("no key", None, lambda m, f: (None, m.value)),
    Kind("another key", None, lambda m, f: ((m.key or b"") + b"-other", m.value)),
    Kind("a key that is not UTF-8", None, lambda m, f: (b"\xff" + (m.key or b""), m.value)),
    Kind("no time", None, _fields(lambda m, f: f.pop("at"))),
    Kind("time as text", None, _fields(lambda m, f: f.__setitem__("at", str(m.at)))),
    Kind("time as bool", None, _put("at", True)),
    Kind("time with a fraction", None, _at(b"%d.5")),
    Kind("time with an exponent", None, _at(b"%de0")),
    Kind("time before 1970", None, _put("at", -1)),
    Kind("time after the year 9999", None, _put("at", 253_402_300_800_000)),
    Kind("time null", None, _put("at", None)),
    Kind("required field missing", None, _fields(lambda m, f: f.pop(_ID[m.topic]))),
    Kind("required field null", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], None))),
    Kind("empty id", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], ""))),
    Kind("id too long", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], "x" * 129))),
    Kind("id as a number", None, _fields(lambda m, f: f.__setitem__(_ID[m.topic], 7))),
    Kind("tombstone", _only(*ROOM_TOPICS, "quote", "payment", "review"), lambda m, f: (m.key, None)),
    Kind("unknown tier", _only("buyer-entry", "quote"), _put("buyer_tier", "L9")),
    Kind("unknown role", _only("comment"), _put("author_role", "robot")),
    Kind("unknown intent", _only("comment"), _put("intent", "sell")),
    Kind("unknown way", _only("comment"), _put("via", None)),
    Kind("text too long", _only("comment"), _put("text", "长" * 4097)),
    Kind("labels null", _only("comment", "frame-status"), _put("labels", None)),
    Kind("labels of numbers", _only("comment", "frame-status"), _put("labels", [1])),
    Kind("unknown stream", _only("frame-status"), _put("stream", "paused")),
    Kind("face as a number", _only("frame-status"), _put("face", 1)),
    Kind("offset with a fraction", _only("frame-status"), _put("av_offset_ms", 12.5)),
    Kind("unknown activity", _only("frame-status"), _put("activity", "dancing")),
    Kind("half a layout", _only("frame-status"), _put("layout", {"camera_share": 0.5})),
    Kind(
        "a share above 1",
        _only("frame-status"),
        _put("layout", {"camera_share": 1.5, "uncovered_share": 0, "materials": 1}),
    ),
    Kind(
        "fewer than no materials",
        _only("frame-status"),
        _put("layout", {"camera_share": 0.5, "uncovered_share": 0, "materials": -1}),
    ),
    Kind("unknown kind", _only("quote", "payment"), _put("kind", "lost")),
    Kind("submitted to no RFQ time", _only("quote"), _fields(lambda m, f: _submitted(f))),
    Kind("no amount", _only("payment"), _put("amount_usd", 0)),
    Kind("an amount below 0", _only("payment"), _put("amount_usd", "-5.00")),
    Kind("a tenth of a cent", _only("payment"), _put("amount_usd", "9.999")),
    Kind("an amount in words", _only("payment"), _put("amount_usd", "ten")),
    Kind("an amount as bool", _only("payment"), _put("amount_usd", True)),
    Kind("six stars", _only("supplier-profile"), _put("stars", 6)),
    Kind("unknown membership", _only("supplier-profile"), _put("membership", "gold")),
    Kind("unknown decision", _only("review"), _put("decision", "perhaps")),
)  # fmt: skip

AHEAD: Final = Kind(
    "time more than a day ahead",
    None,
    _fields(lambda m, f: f.__setitem__("at", m.at + 3 * 24 * 3_600_000)),
)
"""Refused by a worker that runs live, taken by any other (where it makes everything after it late): only on demand."""


def _surrogate(message: Message, fields: Fields) -> bytes:
    fields[_ID[message.topic]] = "@"
    return orjson.dumps(fields).replace(b'"@"', b'"\\ud800"')


def _submitted(fields: Fields) -> None:
    fields.pop("rfq_at", None)
    fields["kind"] = "submitted"


class Malformer:
    """Adds malformed messages beside good ones, every kind in turn from a random beginning."""

    def __init__(self, seed: int, share: float, *, ahead: bool) -> None:
        self._rng = Random(f"{seed}/malformed")  # noqa: S311
        self._share = share
        kinds = (*KINDS, AHEAD) if ahead else KINDS
        self._kinds = {topic: [kind for kind in kinds if kind.topics is None or topic in kind.topics] for topic in _ID}
        self._turn = {topic: self._rng.randrange(len(of)) for topic, of in self._kinds.items()}

    def spoil(self, message: Message) -> Message | None:
        """Now and then a malformed message made from a good one, arriving with it."""
        if self._rng.random() >= self._share or message.value is None:
            return None
        kinds = self._kinds[message.topic]
        self._turn[message.topic] = turn = (self._turn[message.topic] + 1) % len(kinds)
        kind = kinds[turn]
        key, value = kind.make(message, orjson.loads(message.value))
        return Message(message.topic, key, value, message.at, message.sent_at, kind.name)
