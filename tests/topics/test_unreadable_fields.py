"""One optional field that cannot be read does not void an observation: it is taken as absent, and counted."""

from typing import Any

import msgspec
import orjson
import pytest
from msgspec import UNSET

from tests.support.messages import INPUTS, accepted, good, key_of, put, rejection, written
from vigil.topics.contracts.decoding import decode
from vigil.topics.rooms import Layout

LAYOUT: dict[str, Any] = {"camera_share": 0.5, "uncovered_share": 0, "materials": 2}


def read(topic: str, value: bytes) -> tuple[Any, dict[str, int]]:
    """The event, and the fields that were left out."""
    ignored: dict[str, int] = {}

    def count(field: str, number: int) -> None:
        ignored[field] = ignored.get(field, 0) + number

    return decode(topic, key_of(topic), value, on_ignored=count), ignored


def frame(**fields: Any) -> tuple[Any, dict[str, int]]:
    return read("frame-status", put("frame-status", **fields))


ABSENT: list[tuple[str, str, Any, list[Any]]] = [
    ("buyer-entry", "buyer_tier", None, ["L5", "l1", "", 1, True, ["L1"]]),
    ("comment", "via", "text", ["gesture", None, "TEXT", 1, {}]),
    ("comment", "intent", None, ["smalltalk", "Greet", 7, False, []]),
    ("comment", "media_uri", None, ["x" * 2049, 1, ["uri"]]),
    ("comment", "detector", None, ["x" * 129, 1.5, {"name": "asr"}]),
    ("frame-status", "av_offset_ms", None, ["40", True, 12.5, 1e300, [40], {}]),
    ("frame-status", "activity", None, ["knitting", "", 0, ["hosting"]]),
    ("frame-status", "layout", None, ["16:9", 1, True, [LAYOUT], {}]),
    ("frame-status", "media_uri", None, ["x" * 2049, 0]),
    ("frame-status", "detector", None, ["x" * 129, 0]),
    ("frame-status", "frozen", None, ["yes", 1, []]),
    ("frame-status", "silent", None, ["no", 0]),
    ("frame-status", "luma_mean", None, ["dark", -1, 255.5, True]),
    ("frame-status", "face_score", None, ["0.9", 1.1, -0.1]),
    ("frame-status", "probe_version", None, ["x" * 129, 1.6]),
    ("quote", "buyer_tier", None, ["gold", 2]),
    ("payment", "rfq_id", None, ["", "x" * 129, 7]),
]


@pytest.mark.parametrize("topic, field, default, values", ABSENT)
def test_an_unreadable_optional_field_is_absent_and_counted(topic: str, field: str, default: Any, values: list[Any]):
    whole = accepted(topic, put(topic))
    for value in values:
        event, ignored = read(topic, put(topic, **{field: value}))
        assert getattr(event, field) == default
        assert event == msgspec.structs.replace(whole, **{field: default})
        assert ignored == {field: 1}


@pytest.mark.parametrize("raw", [b"1e999", b"-1e99999999999999999999", b"9" * 5000, b"1e-3"])
def test_a_number_beyond_all_numbers_is_unreadable_too(raw: bytes):
    event, ignored = read("frame-status", written("frame-status", "av_offset_ms", raw))
    assert (event.av_offset_ms, ignored) == (None, {"av_offset_ms": 1})


CONSTANTS = [b"NaN", b"Infinity", b"-Infinity"]
every_constant = pytest.mark.parametrize("constant", CONSTANTS, ids=bytes.decode)


@every_constant
@pytest.mark.parametrize("topic, field, default", [(topic, field, default) for topic, field, default, _ in ABSENT])
def test_nan_in_an_optional_field_is_unreadable_although_it_is_no_json(
    topic: str, field: str, default: Any, constant: bytes
):
    event, ignored = read(topic, written(topic, field, constant))
    assert event == msgspec.structs.replace(accepted(topic, put(topic)), **{field: default})
    assert ignored == {field: 1}


@every_constant
def test_nan_in_a_part_of_an_optional_field_is_an_unreadable_part(constant: bytes):
    def layout(**fields: bytes) -> tuple[Any, dict[str, int]]:
        raw = orjson.dumps(LAYOUT | dict.fromkeys(fields, "@@")).replace(b'"@@"', constant)
        event, ignored = read("frame-status", written("frame-status", "layout", raw))
        return event.layout, ignored

    assert layout(camera_share=constant) == (None, {"layout": 1})
    without = accepted("frame-status", put("frame-status", layout=LAYOUT)).layout
    assert layout(videos=constant) == (without, {"layout.videos": 1})
    event, ignored = read("frame-status", written("frame-status", "labels", b'[%b, "minor"]' % constant))
    assert (event.labels, ignored) == (("minor",), {"labels": 1})


@every_constant
def test_nan_in_a_field_that_nobody_reads_is_ignored(constant: bytes):
    event, ignored = read("comment", put("comment")[:-1] + b',"confidence":%b}' % constant)
    assert (event, ignored) == (accepted("comment", put("comment")), {})


@every_constant
@pytest.mark.parametrize("topic", INPUTS)
def test_nan_in_a_required_field_is_malformed_and_named(topic: str, constant: bytes):
    assert rejection(topic, written(topic, "at", constant)).startswith(
        f"not valid JSON: {constant.decode()} is not JSON; "
    )


@pytest.mark.parametrize("topic, field, longest", [("comment", "media_uri", 2048), ("frame-status", "detector", 128)])
def test_the_longest_text_is_read(topic: str, field: str, longest: int):
    event, ignored = read(topic, put(topic, **{field: "é" * longest}))
    assert (getattr(event, field), ignored) == ("é" * longest, {})


def test_null_is_read_where_the_contract_has_it():
    event, ignored = frame(av_offset_ms=None, activity=None, layout=None, media_uri=None, detector=None)
    assert (event.av_offset_ms, event.activity, event.layout, event.media_uri, event.detector) == (None,) * 5
    assert ignored == {}


def test_a_required_field_that_cannot_be_read_still_voids_the_message_and_nothing_is_counted():
    assert "`$.black`" in rejection("frame-status", put("frame-status", activity="knitting", black="yes"))
    ignored: list[str] = []
    with pytest.raises(Exception, match="black"):
        decode(
            "frame-status",
            key_of("frame-status"),
            put("frame-status", activity="knitting", black="yes"),
            on_ignored=lambda field, number: ignored.append(field),
        )
    assert ignored == []


# ---- labels


@pytest.mark.parametrize("topic", ["comment", "frame-status"])
@pytest.mark.parametrize(
    "labels, got, number",
    [
        (None, (), 1),
        ("abuse", (), 1),
        ({"abuse": 1}, (), 1),
        ([1, "abuse", None, ["minor"]], ("abuse",), 3),
        ([], (), 0),
        (["x" * 128], ("x" * 128,), 0),
        (["x" * 129, "abuse"], ("abuse",), 1),
        ([f"l{n}" for n in range(32)], tuple(f"l{n}" for n in range(32)), 0),
        ([f"l{n}" for n in range(1000)], tuple(f"l{n}" for n in range(32)), 968),
        ([7, *(f"l{n}" for n in range(32))], tuple(f"l{n}" for n in range(31)), 2),
        ([7] * 32 + ["abuse"], (), 33),
    ],
)
def test_the_labels_that_can_be_read_are_read(topic: str, labels: Any, got: tuple[str, ...], number: int):
    event, ignored = read(topic, put(topic, labels=labels))
    assert event.labels == got
    assert ignored == ({"labels": number} if number else {})


# ---- layouts


@pytest.mark.parametrize("part", LAYOUT)
@pytest.mark.parametrize("value", [-0.1, -1, True, "0.5", [0.5]])
def test_a_layout_without_its_first_three_parts_is_absent(part: str, value: Any):
    event, ignored = frame(layout={**LAYOUT, part: value})
    assert (event.layout, ignored) == (None, {"layout": 1})
    event, ignored = frame(layout={name: given for name, given in LAYOUT.items() if name != part})
    assert (event.layout, ignored) == (None, {"layout": 1})


@pytest.mark.parametrize("part", LAYOUT)
def test_a_part_of_a_layout_that_was_not_measured_is_null(part: str):
    event, ignored = frame(layout={**LAYOUT, part: None})
    assert event.layout == Layout(**{"camera_share": 0.5, "uncovered_share": 0, "materials": 2, part: None})
    assert ignored == {}


@pytest.mark.parametrize(
    "part, value, default",
    [
        ("videos", -1, 0),
        ("videos", None, 0),
        ("videos", 0.5, 0),
        ("videos", True, 0),
        ("camera_in_safe_area", 1, None),
        ("camera_in_safe_area", "no", None),
    ],
)
def test_the_other_parts_of_a_layout_are_absent_alone(part: str, value: Any, default: Any):
    event, ignored = frame(layout={**LAYOUT, "videos": 1, "camera_in_safe_area": True, part: value})
    expected = Layout(camera_share=0.5, uncovered_share=0, materials=2, videos=1, camera_in_safe_area=True)
    assert event.layout == msgspec.structs.replace(expected, **{part: default})
    assert ignored == {f"layout.{part}": 1}


def test_the_other_parts_of_a_layout_have_defaults():
    layout = accepted("frame-status", put("frame-status", layout=LAYOUT)).layout
    assert (layout.camera_in_safe_area, layout.videos) == (None, 0)


def test_whole_numbers_in_a_layout_may_have_a_fraction():
    event, ignored = frame(layout={**LAYOUT, "materials": 3.0, "videos": 1.0})
    assert (event.layout.materials, event.layout.videos, ignored) == (3, 1, {})


@pytest.mark.parametrize("part", ["camera_share", "uncovered_share"])
@pytest.mark.parametrize(
    "share, got",
    [(0, 0.0), (1, 1.0), (0.5, 0.5), (1.0000000002, 1.0), (1 + 1e-6, 1.0), (-1e-6, 0.0), (-0.0000005, 0.0)],
)
def test_a_share_a_rounding_error_out_of_its_range_is_clipped(part: str, share: float, got: float):
    event, ignored = frame(layout={**LAYOUT, part: share})
    assert (getattr(event.layout, part), ignored) == (got, {})


@pytest.mark.parametrize("share", [1.000002, -0.000002, 2, -1])
def test_a_share_further_out_is_unreadable(share: float):
    event, ignored = frame(layout={**LAYOUT, "camera_share": share})
    assert (event.layout, ignored) == (None, {"layout": 1})


# ---- a field that is required for some kinds only


@pytest.mark.parametrize("value", [None, "2022-09-01", 1662048000, -1, True])
@pytest.mark.parametrize("kind", ["replied", "rejected", "pinned"])
def test_rfq_at_is_optional_where_it_is_not_required(kind: str, value: Any):
    event, ignored = read("quote", put("quote", kind=kind, rfq_at=value))
    assert (event.rfq_at, ignored) == (UNSET, {"rfq_at": 1})


def test_rfq_at_of_a_submission_is_refused_with_what_is_wrong_with_it():
    assert "1662037200 seems to be seconds" in rejection("quote", put("quote", rfq_at=1662037200))
    fields = good("quote")
    del fields["rfq_at"]
    missing = "Object missing required field `rfq_at`, required when `kind` is `submitted`"
    assert rejection("quote", orjson.dumps(fields)) == missing
