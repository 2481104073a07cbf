"""Goods that need a permit: what a room sees is judged where the permits of its host are known.

    label restricted:P ──▶ restricted-by-supplier ──▶ supplier: held then? ──no──▶ restricted-by-room ──▶ verdict

The room finds the violation as it finds others; it becomes one only if the supplier, whose id is the host's, did not
hold the permit when it began. Until then nothing reports it, and the room does not count it.
"""

from typing import Final

import msgspec

from vigil.app.domain.rooms.found import emit_found, found_verdict
from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.decoder import decode_own
from vigil.topics.fields import check_key
from vigil.topics.verdicts import Verdict

_decoder: Final = msgspec.json.Decoder(Verdict)


def decode_referred(key: bytes | None, value: bytes | None, key_field: str) -> Verdict:
    """The violation of a message on its way to the supplier or back; raise InvalidEvent.

    `key_field`: which field its key repeats.
    """
    verdict = decode_own(_decoder, value)
    check_key(key, key_field, getattr(verdict, key_field))
    return verdict


def publish_restricted(verdict: Verdict, collector: OutputCollector) -> None:
    """Publish a violation whose host did not hold the permit."""
    collector.emit("verdict", verdict.room_id, verdict.verdict_id, verdict.at, verdict)
    collector.emit("verdict-by-host", verdict.host_id, verdict.verdict_id, verdict.at, verdict)
    emit_found(found_verdict(verdict), verdict.verdict_id, collector)
