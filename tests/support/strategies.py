"""Events as producers may write them, and what may have become of them on the way."""

from typing import Any

import msgspec
import orjson
from hypothesis import strategies as st

from tests.support.messages import INPUTS, KEYS, good

texts = st.text(st.characters(codec="utf-8"))
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128)
times = st.integers(10**12, 253_402_300_799_999)
tiers = st.sampled_from(["L0", "L1", "L2", "L3", "L4", None])
shares = st.floats(0, 1) | st.sampled_from([0, 1])
labels = st.lists(st.from_regex(r"[a-z]{1,9}(:[a-z]{1,9}(-[a-z]{1,9})?)?", fullmatch=True), max_size=4, unique=True)
"""In canonical form."""
counts = st.integers(0, 10**6)
amounts = st.decimals("0.01", "999999999999", places=2, allow_nan=False, allow_infinity=False).map(str) | (
    st.integers(1, 10**12)
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


class RawNumber(str):
    """A number as it is written."""


raw_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,25})?", fullmatch=True).map(
    RawNumber
)


def dumps(content: Any) -> bytes:
    """JSON of what orjson cannot write, too."""
    if isinstance(content, RawNumber):
        return content.encode()
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        return msgspec.json.encode(content)  # beyond 64 bits


def _event(required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional or {})


layouts = _event(
    {
        "camera_share": st.none() | shares,
        "uncovered_share": st.none() | shares,
        "materials": st.none() | counts,
    },
    {"camera_in_safe_area": st.none() | st.booleans(), "videos": counts},
)
_room = {"room_id": ids, "host_id": ids, "at": times}
_quote = {"supplier_id": ids, "at": times, "quote_id": ids, "rfq_id": ids, "buyer_id": ids}

_review = {
    "verdict_id": ids,
    "host_id": ids,
    "by": st.text(st.characters(codec="utf-8"), max_size=100),
    "reason": st.text(st.characters(codec="utf-8"), max_size=300),
    "at": times,
}
_days = st.integers(0, 1000)
_choices = st.one_of(
    st.builds(lambda step: {"step": step}, st.sampled_from(["warn", "close"])),
    st.dictionaries(st.sampled_from(["freeze_days", "past_days"]), _days, min_size=1),
)

events: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "buyer-entry": _event(_room | {"buyer_id": ids}, {"buyer_tier": tiers}),
    "comment": _event(
        _room
        | {
            "comment_id": ids,
            "author_id": ids,
            "author_role": st.sampled_from(["host", "buyer"]),
            "text": st.text(st.characters(codec="utf-8"), max_size=300),
        },
        {
            "via": st.sampled_from(["text", "speech", "auto"]),
            "intent": st.sampled_from(["greet", "ask", "greet-ask", "introduce", "answer", "chat", None]),
            "labels": labels,
            "media_uri": st.none() | st.text(st.characters(codec="utf-8"), max_size=2048),
            "detector": st.none() | st.text(st.characters(codec="utf-8"), max_size=128),
        },
    ),
    "frame-status": _event(
        _room
        | {
            "stream": st.sampled_from(["live", "disconnected", "ended"]),
            "face": st.booleans(),
            "black": st.booleans(),
        },
        {
            "av_offset_ms": st.none() | st.integers(-(2**63), 2**63),
            "activity": st.sampled_from(["hosting", "signed-off", "sleeping", "none", None]),
            "layout": st.none() | layouts,
            "labels": labels,
            "media_uri": st.none() | st.text(st.characters(codec="utf-8"), max_size=2048),
            "detector": st.none() | st.text(st.characters(codec="utf-8"), max_size=128),
        },
    ),
    "quote": _event(_quote | {"kind": st.just("submitted"), "rfq_at": times}, {"buyer_tier": tiers})
    | _event(
        _quote | {"kind": st.sampled_from(["replied", "rejected", "pinned"])},
        {"buyer_tier": tiers, "rfq_at": times},
    ),
    "payment": _event(
        {
            "supplier_id": ids,
            "at": times,
            "kind": st.sampled_from(["paid", "settled", "refunded"]),
            "payment_id": ids,
            "order_id": ids,
            "buyer_id": ids,
            "amount_usd": amounts,
        },
        {"rfq_id": st.none() | ids},
    ),
    "supplier-profile": _event(
        {
            "supplier_id": ids,
            "industry": ids,
            "membership": st.sampled_from(["verified", "standard"]),
            "stars": st.integers(0, 5),
            "at": times,
        }
    ),
    "review": _event({**_review, "decision": st.sampled_from(["upheld", "overturned", "appealed"])})
    | _event({**_review, "decision": st.just("upheld"), "choice": _choices}),
}


# Of a topic without a strategy of its own: the example of the contract.
events |= {topic: st.just(good(topic)) for topic in INPUTS if topic not in events}


@st.composite
def spoilt(draw: st.DrawFn, topic: str) -> dict[str, Any]:
    """An event of which some fields went, were added, or hold anything at all."""
    fields = dict(draw(events[topic]))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*good(topic), "extra"]))
        if draw(st.booleans()):
            fields.pop(name, None)
        else:
            fields[name] = draw(json_values | st.sampled_from(list(good(topic).values())))
    layout = fields.get("layout")
    if isinstance(layout, dict) and draw(st.booleans()):
        fields["layout"] = layout | {draw(st.sampled_from([*layout, "extra"])): draw(json_values)}
    return fields


@st.composite
def mangled(draw: st.DrawFn, topic: str) -> bytes:
    """The bytes of an event with some overwritten, cut out, doubled or put in."""
    raw = bytearray(orjson.dumps(draw(events[topic]), option=orjson.OPT_NON_STR_KEYS))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(raw)))
        end = draw(st.integers(begin, min(len(raw), begin + 12)))
        put = draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"\\", b"{", b"]", b"\\ud800", b"null", b"1e5", b","])
        )
        raw[begin:end] = draw(st.sampled_from([put, bytes(raw[begin:end]) * 2]))
    return bytes(raw)


def key(topic: str, fields: dict[str, Any]) -> bytes:
    """The key that the fields ask for."""
    said = fields.get(KEYS[topic])
    return said.encode() if isinstance(said, str) else b"key"
