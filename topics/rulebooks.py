"""The rulebooks that were published while the group runs (`rulebook`, out)."""

from typing import Final

from msgspec import Struct

from vigil.topics.fields import At
from vigil.topics.topic import Example, Topic

RULEBOOK: Final = "rulebook"
"""The topic, and the key of all its messages."""

KEEP_ALL: Final = str(2**63 - 1)
"""`min.compaction.lag.ms`, ms: compaction leaves every message alone."""


class RulebookPublication(Struct, frozen=True, kw_only=True):
    """Somebody published a rulebook."""

    name: str = RULEBOOK
    """`rulebook`, as the key."""
    text: str
    """The whole file, in TOML."""
    digest: str
    """The digest of the rulebook: of everything that can change a judgement."""
    parent: str
    """The digest of the rulebook that it replaces. Empty for the first one of the topic."""
    begins: int | None = None
    """The first event time at which the two differ, ms; null where they do not, and for the first one."""
    notice_ms: int
    """How long after its publication a difference begins at the earliest, ms. That of the first message holds for the
    topic."""
    by: str
    """Who published it."""
    at: At
    """When, by the clock of the machine that published it. The message's own timestamp, the broker's, counts."""


TOPICS: Final = (
    Topic(
        RULEBOOK,
        "out",
        "name",
        RulebookPublication,
        "a rulebook that was published while the group runs",
        compacted=True,
        partitions=1,
        more_config={
            "min.compaction.lag.ms": KEEP_ALL,
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(4 * 1024 * 1024),
        },
        examples=(
            Example(
                RULEBOOK,
                {
                    "name": RULEBOOK,
                    "text": 'time_zone = "America/Los_Angeles"\n…',
                    "digest": "5f0b1d4be1f1b4c0a3f6d7a4f6a1c7f3b0f6d1e8a9c2b7d4e5f60718293a4b5c",
                    "parent": "9c1e4a7b2d3f60518273a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
                    "begins": 1796146200000,
                    "notice_ms": 60000,
                    "by": "policy-owner-2",
                    "at": 1796142600000,
                },
            ),
        ),
    ),
)
