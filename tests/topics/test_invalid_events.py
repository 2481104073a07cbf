"""Messages that are rejected: each detail names the field and what is wrong with it."""

from typing import Any

import msgspec
import orjson
import pytest
from msgspec import UNSET

from tests.support.messages import INPUTS, KEYS, accepted, good, key_of, put, rejection, written
from vigil.topics.catalog import BY_NAME
from vigil.topics.contracts.decoding import decode
from vigil.topics.fields import MAX_AHEAD_MS, MAX_MESSAGE_BYTES, UNKEYED, InvalidEvent
from vigil.topics.suppliers import ProfileDeleted

every_topic = pytest.mark.parametrize("topic", INPUTS)

IDS = [
    (topic, field)
    for topic in INPUTS
    for field in good(topic)
    if field.endswith("_id") and field != KEYS[topic] and (topic, field) != ("payment", "rfq_id")
]
REQUIRED = {
    "buyer-entry": ["room_id", "host_id", "at", "buyer_id"],
    "comment": ["room_id", "host_id", "at", "comment_id", "author_id", "author_role", "text"],
    "frame-status": ["room_id", "host_id", "at", "stream", "face", "black"],
    "quote": ["supplier_id", "at", "kind", "quote_id", "rfq_id", "buyer_id", "rfq_at"],
    "payment": ["supplier_id", "at", "kind", "payment_id", "order_id", "buyer_id", "amount_usd"],
    "supplier-profile": ["supplier_id", "industry", "membership", "stars", "at"],
    "review": ["verdict_id", "host_id", "decision", "by", "reason", "at"],
}
# ---- whole messages


@every_topic
def test_a_valid_message_is_accepted(topic: str):
    assert accepted(topic, put(topic)).at == good(topic)["at"]


@every_topic
def test_unknown_fields_are_ignored(topic: str):
    assert accepted(topic, put(topic, extra={"deep": [1, None, "x"]}, room_name="Room")) == accepted(topic, put(topic))


@pytest.mark.parametrize("topic", [topic for topic in INPUTS if topic != "supplier-profile"])
def test_a_tombstone_is_rejected_where_it_means_nothing(topic: str):
    assert "no value" in rejection(topic, None)


def test_a_tombstone_of_a_profile_deletes_it_at_the_watermark_of_its_arrival():
    assert decode("supplier-profile", b"merchant-7", None, 5) == ProfileDeleted(supplier_id="merchant-7", at=5)


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"x" * 129])
def test_a_tombstone_without_a_supplier_is_rejected(key: bytes | None):
    assert "supplier_id" in rejection("supplier-profile", None, key)


@every_topic
@pytest.mark.parametrize(
    "value", [b"", b" ", b"{", b"nonsense", b"{'at': 1}", b'{"at": NaN}', b'{"at": Infinity}', b'{"at": 01}']
)
def test_a_value_that_is_not_json_is_rejected(topic: str, value: bytes):
    assert rejection(topic, value).startswith("not valid JSON: ")


@every_topic
@pytest.mark.parametrize("tail", [b"{}", b"x", b"\x00", b","])
def test_nothing_may_follow_the_object(topic: str, tail: bytes):
    assert rejection(topic, put(topic) + tail).startswith("not valid JSON: ")
    assert accepted(topic, put(topic) + b" \r\n\t")


@every_topic
@pytest.mark.parametrize("value, kind", [(b"[]", "array"), (b"null", "null"), (b'"at"', "str"), (b"7", "int")])
def test_json_other_than_an_object_is_rejected(topic: str, value: bytes, kind: str):
    assert rejection(topic, value) == f"Expected `object`, got `{kind}`"


@every_topic
@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"], ids=lambda bad: bad.hex()
)
def test_bad_utf_8_is_rejected_also_in_unknown_fields(topic: str, bad: bytes):
    assert "not UTF-8: " in rejection(topic, put(topic)[:-1] + b',"extra":"' + bad + b'"}')
    assert "not UTF-8: " in rejection(topic, put(topic)[:-1] + b',"' + bad + b'":1}')


@every_topic
def test_lone_surrogates_are_rejected(topic: str):
    for escaped in (b"\\ud800", b"\\udc00", b"\\ud800\\ud800", b"\\udc00\\ud800", b"\\ud800x"):
        assert "a lone surrogate" in rejection(topic, written(topic, KEYS[topic], b'"%b"' % escaped))
        assert "a lone surrogate" in rejection(topic, put(topic)[:-1] + b',"extra":"' + escaped + b'"}')


@every_topic
def test_a_pair_of_surrogates_is_one_character(topic: str):
    value = written(topic, KEYS[topic], b'"\\ud83d\\ude00"')
    assert getattr(accepted(topic, value, "😀".encode()), KEYS[topic]) == "😀"


@every_topic
def test_deep_nesting_is_rejected(topic: str):
    for deep in (b"[" * 30_000 + b"]" * 30_000, b'{"a":' * 8_000 + b"1" + b"}" * 8_000):
        assert "nested too deeply" in rejection(topic, put(topic)[:-1] + b',"extra":' + deep + b"}")


@every_topic
def test_64_kib_are_accepted_and_a_byte_more_is_rejected(topic: str):
    empty = len(put(topic, extra=""))
    whole = put(topic, extra="x" * (MAX_MESSAGE_BYTES - empty))
    assert len(whole) == 64 * 1024
    assert accepted(topic, whole)
    assert rejection(topic, whole[:-2] + b'x"}') == "the message has 65537 bytes, more than 65536"


@every_topic
def test_the_last_of_duplicate_fields_counts(topic: str):
    """As most JSON libraries have it; the key is checked against what counts."""
    raw = put(topic)
    assert accepted(topic, raw[:-1] + b',"at":1000000000007}').at == 1_000_000_000_007
    assert "is not the" in rejection(topic, raw[:-1] + b',"%b":"another"}' % KEYS[topic].encode())


# ---- keys


@every_topic
def test_a_missing_key_is_rejected(topic: str):
    assert rejection(topic, put(topic), None) == (
        f"the message has no key; it must be the {KEYS[topic]}, {key_of(topic).decode()!r}"
    )


@every_topic
@pytest.mark.parametrize("key", [b"", b"other", b"\xff\xfe", b'"room-1"'])
def test_another_key_is_rejected(topic: str, key: bytes):
    assert f"is not the {KEYS[topic]} {key_of(topic).decode()!r}" in rejection(topic, put(topic), key)


@every_topic
def test_a_recording_may_leave_out_the_key(topic: str):
    assert accepted(topic, put(topic), UNKEYED)


@every_topic
def test_a_huge_key_is_not_repeated_in_full(topic: str):
    assert len(rejection(topic, put(topic), b"\x00" * 60_000)) < 1000


# ---- fields


@pytest.mark.parametrize("topic, field", [(topic, field) for topic, fields in REQUIRED.items() for field in fields])
def test_a_missing_field_is_named(topic: str, field: str):
    fields = good(topic)
    del fields[field]
    assert f"missing required field `{field}`" in rejection(topic, orjson.dumps(fields))


def test_the_lists_of_fields_in_this_module_are_complete():
    for topic, fields in REQUIRED.items():
        assert {field.encode_name for field in msgspec.structs.fields(BY_NAME[topic].carries) if field.required} <= {
            *fields
        }


@pytest.mark.parametrize("topic, field", [(topic, field) for topic, fields in REQUIRED.items() for field in fields])
def test_a_required_field_is_never_null(topic: str, field: str):
    words = rejection(topic, put(topic, **{field: None}))
    assert "got `null`" in words
    assert f"`$.{field}`" in words


@pytest.mark.parametrize("topic, field", IDS)
def test_an_identifier_has_1_to_128_code_points(topic: str, field: str):
    assert accepted(topic, put(topic, **{field: "x"}))
    assert accepted(topic, put(topic, **{field: "😀" * 128}))
    assert rejection(topic, put(topic, **{field: ""})) == f"Expected `str` of length >= 1 - at `$.{field}`"
    assert rejection(topic, put(topic, **{field: "😀" * 129})) == f"Expected `str` of length <= 128 - at `$.{field}`"
    assert rejection(topic, put(topic, **{field: 7})).startswith("Expected `str")


@every_topic
def test_the_key_is_an_identifier_too(topic: str):
    field = KEYS[topic]
    assert accepted(topic, put(topic, **{field: "é" * 128}), ("é" * 128).encode())
    assert f"`$.{field}`" in rejection(topic, put(topic, **{field: ""}), b"")
    assert f"`$.{field}`" in rejection(topic, put(topic, **{field: "x" * 129}), b"x" * 129)


INTS = [(topic, "at") for topic in INPUTS] + [("quote", "rfq_at"), ("supplier-profile", "stars")]


@pytest.mark.parametrize("topic, field", INTS)
@pytest.mark.parametrize(
    "raw, got",
    [
        (b"true", "`bool`"),
        (b"false", "`bool`"),
        (b"4.5", "`float`"),
        (b"4e-1", "`float`"),
        (b'"4"', "`str`"),
        (b"[4]", "`array`"),
        (b"1e999", "`float`"),
        (b"1e99999999999999999999999", "`float`"),
        (b"1e-99999999999999999999999", "int"),
    ],
    ids=lambda raw: raw.decode() if isinstance(raw, bytes) else "",
)
def test_a_required_int_is_a_whole_number_and_no_bool(topic: str, field: str, raw: bytes, got: str):
    words = rejection(topic, written(topic, field, raw))
    assert got in words
    assert f"`$.{field}`" in words


@pytest.mark.parametrize("raw", [b"4.0", b"4e0", b"0.4E1", b"40e-1", b"4." + b"0" * 50])
def test_an_int_may_be_written_with_a_fraction_or_an_exponent(raw: bytes):
    assert accepted("supplier-profile", written("supplier-profile", "stars", raw)).stars == 4
    assert accepted("frame-status", written("frame-status", "av_offset_ms", b"-" + raw)).av_offset_ms == -4


@every_topic
def test_a_time_may_be_written_with_a_fraction_or_an_exponent(topic: str):
    for raw in (b"1662048000000.0", b"1.662048e12", b"1662048E6"):
        at = accepted(topic, written(topic, "at", raw)).at
        assert (type(at), at) == (int, 1_662_048_000_000)
    assert "`float`" in rejection(topic, written(topic, "at", b"1662048000000.0000000000000000000000000001"))


TIMES = [case for case in INTS if case[1] in ("at", "rfq_at")]


@pytest.mark.parametrize("topic, field", TIMES)
def test_a_time_is_from_september_2001_to_the_end_of_the_year_9999(topic: str, field: str):
    assert accepted(topic, put(topic, **{field: 10**12}))
    assert accepted(topic, put(topic, **{field: 253_402_300_799_999}))
    for raw in (b"-1", b"0", b"999999999999", b"253402300800000", b"9223372036854775808", b"1" + b"0" * 300):
        assert f"`$.{field}`" in rejection(topic, written(topic, field, raw))


@pytest.mark.parametrize("topic, field", TIMES)
@pytest.mark.parametrize(
    "raw, words",
    [
        (b"1662048000", "1662048000 seems to be seconds, not milliseconds"),
        (b"1662048000.25", "1662048000.25 seems to be seconds, not milliseconds"),
        (b"0", "0 stands for no time"),
        (b"0.0", "0.0 stands for no time"),
        (b"1000", "1000 seems to be seconds"),
        (b"999999999999", "999999999999 seems to be seconds"),
        (b"1662048000000000", "1662048000000000 seems to be microseconds"),
        (b"1662048000000000000", "1662048000000000000 seems to be nanoseconds"),
        (b'"1662048000000"', "'1662048000000' is a number in quotes"),
        (b'"2022-09-01T16:00:00.000Z"', "'2022-09-01T16:00:00.000Z' is ISO text"),
        (b'"2022-09-01 16:00:00"', "'2022-09-01 16:00:00' is ISO text"),
    ],
    ids=lambda raw: raw.decode() if isinstance(raw, bytes) else "",
)
def test_a_time_in_another_unit_is_named(topic: str, field: str, raw: bytes, words: str):
    assert words in rejection(topic, written(topic, field, raw))


def test_other_numbers_are_not_taken_for_times():
    assert rejection("supplier-profile", put("supplier-profile", stars=6)) == "Expected `int` <= 5 - at `$.stars`"


@every_topic
def test_a_live_worker_rejects_events_more_than_a_minute_ahead(topic: str):
    at = good(topic)["at"]
    assert decode(topic, key_of(topic), put(topic), at - MAX_AHEAD_MS).at == at
    with pytest.raises(InvalidEvent, match="ahead"):
        decode(topic, key_of(topic), put(topic), at - MAX_AHEAD_MS - 1)


# ---- closed values, ranges, parts

CLOSED: list[tuple[str, str, list[Any]]] = [
    ("comment", "author_role", ["host", "buyer"]),
    ("frame-status", "stream", ["live", "disconnected", "ended"]),
    ("quote", "kind", ["submitted", "replied", "rejected", "pinned"]),
    ("payment", "kind", ["paid", "settled", "refunded"]),
    ("supplier-profile", "membership", ["verified", "standard"]),
    ("review", "decision", ["upheld", "overturned"]),
]


@pytest.mark.parametrize("topic, field, values", CLOSED)
def test_required_enumerations_accept_only_their_values(topic: str, field: str, values: list[str]):
    for value in values:
        assert getattr(accepted(topic, put(topic, **{field: value})), field) == value
    for value in (values[0].upper() + "x", values[0] + " ", ""):
        words = rejection(topic, put(topic, **{field: value}))
        assert words == f"Invalid enum value {value!r} - at `$.{field}`"
    assert "got `int`" in rejection(topic, put(topic, **{field: 1}))


@pytest.mark.parametrize("field", ["face", "black"])
@pytest.mark.parametrize("value", [0, 1, "true", None, []])
def test_a_bool_is_true_or_false(field: str, value: Any):
    assert "Expected `bool`" in rejection("frame-status", put("frame-status", **{field: value}))


def test_text_has_at_most_4096_code_points():
    assert len(accepted("comment", put("comment", text="长" * 4096)).text) == 4096
    assert accepted("comment", put("comment", text="")).text == ""
    assert "`$.text`" in rejection("comment", put("comment", text="长" * 4097))


@pytest.mark.parametrize("stars", [0, 5])
def test_stars_from_0_to_5(stars: int):
    assert accepted("supplier-profile", put("supplier-profile", stars=stars)).stars == stars


@pytest.mark.parametrize("stars", [-1, 6])
def test_stars_out_of_range(stars: int):
    assert "`$.stars`" in rejection("supplier-profile", put("supplier-profile", stars=stars))


@pytest.mark.parametrize("kind", ["replied", "rejected", "pinned"])
def test_rfq_at_is_required_of_submissions_alone(kind: str):
    fields = good("quote") | {"kind": kind}
    del fields["rfq_at"]
    assert accepted("quote", orjson.dumps(fields)).rfq_at is UNSET


# ---- amounts


@pytest.mark.parametrize(
    "raw, cents",
    [
        (b'"12.50"', 1250),
        (b'"12.5"', 1250),
        (b'"12.500"', 1250),
        (b'"0012"', 1200),
        (b'"0.01"', 1),
        (b"12.5", 1250),
        (b"12", 1200),
        (b"0.07", 7),
        (b"1.1", 110),
        (b"1e3", 100_000),
        (b"123456789012345.67", 12_345_678_901_234_567),
        (b'"1000000000000000"', 10**17),
        (b"1000000000000000", 10**17),
        (b"999999999999999.99", 10**17 - 1),
        (b"12.50000000000000000000000000000000000000000", 1250),
        (b"125e-1", 1250),
    ],
)
def test_amounts_in_whole_cents(raw: bytes, cents: int):
    assert accepted("payment", written("payment", "amount_usd", raw)).cents == cents


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"0", "must be above 0"),
        (b'"0"', "must be above 0"),
        (b'"0.00"', "must be above 0"),
        (b"-0.0", "must be above 0"),
        (b"-1", "must be above 0"),
        (b"9.999", "more than two decimals"),
        (b'"9.999"', "more than two decimals"),
        (b"1e-3", "more than two decimals"),
        (b'"0.001"', "more than two decimals"),
        (b"1000000000000001", "must be above 0 and at most"),
        (b"1" + b"0" * 60, "must be above 0 and at most"),
        (b"1e300", "must be above 0 and at most"),
        (b"1e999", "must be above 0 and at most"),
        (b"1e99999999999999999999", "must be above 0 and at most"),
        (b"12.50000000000000000000001", "more than two decimals"),
        (b'"12.50000000000000000000000000000000000001"', "more than two decimals"),
        (b"999999999999999.999", "more than two decimals"),
        (b'"-5.00"', "is not a decimal"),
        (b'"+5"', "is not a decimal"),
        (b'""', "is not a decimal"),
        (b'" 5"', "is not a decimal"),
        (b'"5 "', "is not a decimal"),
        (b'"5\\n"', "is not a decimal"),
        (b'"5."', "is not a decimal"),
        (b'".5"', "is not a decimal"),
        (b'"1,000"', "is not a decimal"),
        (b'"1e3"', "is not a decimal"),
        (b'"1_0"', "is not a decimal"),
        (b'"ten"', "is not a decimal"),
        (b'"$5"', "is not a decimal"),
        (b'"NaN"', "is not a decimal"),
        (b'"Infinity"', "is not a decimal"),
        ('"\uff11\uff12"'.encode(), "is not a decimal"),
        (b'"' + b"1" * 50_000 + b'"', "is not a decimal"),
        (b"true", "`$.amount_usd`"),
        (b"null", "`$.amount_usd`"),
        (b"[5]", "`$.amount_usd`"),
        (b'{"usd":5}', "`$.amount_usd`"),
    ],
    ids=lambda raw: raw.decode()[:20] if isinstance(raw, bytes) else "",
)
def test_amounts_that_are_rejected(raw: bytes, words: str):
    detail = rejection("payment", written("payment", "amount_usd", raw))
    assert words in detail
    assert len(detail) < 300
