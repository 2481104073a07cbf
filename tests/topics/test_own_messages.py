"""What a worker writes into internal topics is read again, whatever size the bounds of its parts allow."""

import msgspec
import orjson
import pytest

from vigil.topics.contracts import EXAMPLES
from vigil.topics.decoder import decode_own
from vigil.topics.fields import MAX_MESSAGE_BYTES, MAX_OUTPUT_BYTES, InvalidEvent
from vigil.topics.verdicts import Verdict

DECODER = msgspec.json.Decoder(Verdict)


def of_size(size: int) -> bytes:
    """A verdict of so many bytes."""
    verdict = EXAMPLES["verdict"].value | {"padding": ""}
    return orjson.dumps(verdict | {"padding": "x" * (size - len(orjson.dumps(verdict)))})


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1, MAX_OUTPUT_BYTES])
def test_a_message_of_ours_may_be_larger_than_one_from_outside(size: int):
    assert len(of_size(size)) == size
    assert decode_own(DECODER, of_size(size)).rule == "greeting-miss"


@pytest.mark.parametrize(
    "value, words",
    [
        (of_size(MAX_OUTPUT_BYTES + 1), "1048577 bytes, more than 1048576"),
        (None, "no value"),
        (b"hello", "not valid JSON"),
        (b'{"verdict_id":"\xff"}', "not valid JSON"),
        (b'{"padding":' + b"[" * 100_000, "nested too deeply"),
        (b"{}", "missing required field"),
    ],
)
def test_what_a_worker_cannot_have_written_is_rejected(value: bytes | None, words: str):
    with pytest.raises(InvalidEvent, match=words):
        decode_own(DECODER, value)
