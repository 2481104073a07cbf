"""The stored state of a host is read by later versions; that of an unknown version is refused."""

from base64 import b64decode

import msgspec
import pytest

from tests.support.host_stories import RULEBOOK, START, Stage, review, verdict
from vigil.app.domain.hosts.machine import HostMachine, HostState
from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.verdicts import Action

MACHINE = HostMachine(RULEBOOK, 2000)

STORY = (
    verdict("black-screen", 0),
    verdict("sleeping", 5000),
    verdict("absence", 9000),
    review("black-screen@0", 20_000),
    review("nobody@1", 21_000),
)

STORED_1 = {
    name: b64decode(part)
    for name, part in {
        b"": "kgEB",
        b"vabsence@9000": (
            "mQGsYWJzZW5jZUA5MDAwp2Fic2VuY2WpcmVjZXB0aW9upHJvb23PAAABgn+1+yjAAZgBkaR3YXJukqR3YXJupWNsb3NlwMDAwMA="
        ),
        b"vblack-screen@0": (
            "mQGuYmxhY2stc2NyZWVuQDCsYmxhY2stc2NyZWVuq2xvdy1xdWFsaXR5pHJvb23PAAABgn+12ACTzwAAAYJ/tiYgAKpvdmVydHVybmVk"
            "ApgBkaR3YXJukqR3YXJupWNsb3NlwMDAwMA="
        ),
        b"vsleeping@5000": (
            "mQGtc2xlZXBpbmdANTAwMKhzbGVlcGluZ6tsb3ctcXVhbGl0eaRyb29tzwAAAYJ/teuIwAKYAZGlY2xvc2XAwMDAwMA="
        ),
        b"w0": (
            "k88AAAGCf7Yx2IWmcmV2aWV3hqp2ZXJkaWN0X2lkqG5vYm9keUAxp2hvc3RfaWSkaG9zdKhkZWNpc2lvbqpvdmVydHVybmVkomJ5qW1v"
            "ZGVyYXRvcqZyZWFzb26sbG9va2VkIGFnYWluomF0zwAAAYJ/tioIqXBhcnRpdGlvbgOmb2Zmc2V0AKNrZXnEBGhvc3SldmFsdWXEEHsi"
            "YXMiOiJpdCBjYW1lIn0B"
        ),
    }.items()
}
"""What version 1 stores of the story. It stays as long as version 1 may be stored."""


STORED_NOW = {
    name: b64decode(part)
    for name, part in {
        b"": "kgEB",
        b"vabsence@9000": (
            "nwGsYWJzZW5jZUA5MDAwp2Fic2VuY2WpcmVjZXB0aW9upHJvb23PAAABgn+1+yjAAZ0BkaR3YXJukqR3YXJupWNsb3NlwMDAwMDAwM"
            "KQwMCQwAGQAA=="
        ),
        b"vblack-screen@0": (
            "nwGuYmxhY2stc2NyZWVuQDCsYmxhY2stc2NyZWVuq2xvdy1xdWFsaXR5pHJvb23PAAABgn+12ACVzwAAAYJ/tiYgAKpvdmVydHVybm"
            "VkqW1vZGVyYXRvcsACnQGRpHdhcm6SpHdhcm6lY2xvc2XAwMDAwKltb2RlcmF0b3LPAAABgn+2JiDCkMCVzwAAAYJ/tiYgAKpvdmVy"
            "dHVybmVkqW1vZGVyYXRvcsCQwAKQAA=="
        ),
        b"vsleeping@5000": (
            "nwGtc2xlZXBpbmdANTAwMKhzbGVlcGluZ6tsb3ctcXVhbGl0eaRyb29tzwAAAYJ/teuIwAKdAZGlY2xvc2XAwMDAwMDAwMKQwMCQwA"
            "KQzwAAAYJ/tiYg"
        ),
        b"w0": (
            "k88AAAGCf7Yx2IWmcmV2aWV3h6p2ZXJkaWN0X2lkqG5vYm9keUAxp2hvc3RfaWSkaG9zdKhkZWNpc2lvbqpvdmVydHVybmVkomJ5qW"
            "1vZGVyYXRvcqZyZWFzb26sbG9va2VkIGFnYWluomF0zwAAAYJ/tioIpmNob2ljZcCpcGFydGl0aW9uA6ZvZmZzZXQAo2tlecQEaG9z"
            "dKV2YWx1ZcQQeyJhcyI6Iml0IGNhbWUifQE="
        ),
    }.items()
}
"""What is stored now: version 1 with the reviews that stand, and appeals."""


def continued(state: HostState) -> list[tuple[str, int, int]]:
    """Action, count and revision of what a further violation and the overturning of an earlier one publish."""
    collector = OutputCollector()
    state.apply(verdict("black-screen", 30_000), START + 30_000, collector)
    state.apply(review("sleeping@5000", 40_000), START + 40_000, collector)
    bodies = [output.body for output in collector.outputs]
    return [(body.action_id, body.count, body.revision) for body in bodies if isinstance(body, Action)]


@pytest.mark.parametrize("chunks", [STORED_1, STORED_NOW])
def test_a_state_of_version_1_is_read_and_continues(chunks: dict[bytes, bytes]) -> None:
    fresh = Stage().play(*STORY).state
    stored = MACHINE.load("host", chunks)
    continuation = continued(stored)
    assert continuation == continued(fresh)
    assert len(continuation) == 3
    assert stored.next_timer() == fresh.next_timer()


def test_this_is_what_is_stored_now() -> None:
    state = MACHINE.load("host", {})
    for event in STORY:
        state.apply(event, START + 21_000, OutputCollector())
    assert dict(state.dump_changes()) == STORED_NOW


@pytest.mark.parametrize("name", [b"", b"vabsence@9000"])
def test_a_state_of_another_version_is_refused(name: bytes) -> None:
    later = msgspec.msgpack.decode(STORED_1[name])
    later[0] = 2
    with pytest.raises(ValueError, match="host 'host' is stored in version 2; this is for 1"):
        MACHINE.load("host", {**STORED_1, name: msgspec.msgpack.encode(later)})
