"""What is replayed and recounted: sources, how their data become events, and under which limits."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tools.packages import RegistryPackage
from tools.reality.events import RealEvent


class Variant(NamedTuple):
    """One replay of a scenario's events."""

    within_s: int = 10
    """The rulebook's limit of the greeting, in seconds."""
    share: float = 1.0
    """Only the events of the first part of the time: windows end there."""

    @property
    def words(self) -> str:
        """How this replay differs from that of all events under the published rules; empty if it does not."""
        within = f"within {self.within_s} s" if self.within_s != Variant().within_s else ""
        return within or (f"first {self.share:.0%} of the time" if self.share < 1 else "")


class Scenario(NamedTuple):
    """One set of events from one package, and what is compared."""

    name: str
    package: RegistryPackage
    data: str
    """What the data are, in a few words."""
    events: Callable[[Path, int], Iterable[RealEvent]]
    """From the archive of the package: the events in order of time, of every nth room or supplier."""
    scripts: tuple[str, ...]
    """Scripts of sql/, in order."""
    variants: tuple[Variant, ...] = (Variant(),)
    again: bool = False
    """True if the data are those of another scenario: its events are counted separately."""
