"""Whether a machine is quiet enough for a measurement: what others use of it, before and during.

    quiet = Quiet()          2 s before: nothing of ours runs
    …the measurement…
    quiet.problem()          None, or why its result must not be recorded

The load average says little here, because a benchmark is a load itself. What counts is CPU time that neither this
process nor its descendants used, and time that the hypervisor gave to other machines (steal).
"""

import os
import platform
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

OTHERS: Final = 0.08
"""Share of the machine's CPU time that other processes may use."""

STEAL: Final = 0.03
"""Share that the hypervisor may take."""

BEFORE_S: Final = 2.0
TICKS: Final = os.sysconf("SC_CLK_TCK")


class CpuUse(NamedTuple):
    """CPU time so far, in seconds."""

    at: float
    busy: float
    """Of the whole machine."""
    steal: float
    own: float
    """Of this process and all of its descendants."""


class Quiet:
    """Watches the machine from now on."""

    def __init__(self, before_s: float = BEFORE_S) -> None:
        self.load = os.getloadavg()[0]
        """At the beginning, for the record."""
        first = _use()
        time.sleep(before_s)
        self._problem = _problem(first, _use(), "before")
        self._began = _use()

    def problem(self) -> str | None:
        """Return why a result must not be recorded; None if it may."""
        if platform.system() != "Linux":
            return "only Linux says what others use of the machine"
        return self._problem or _problem(self._began, _use(), "during")

    def provenance(self) -> str:
        """Return machine, load and date as one sentence."""
        cpu = next((line.split(":")[1].strip() for line in _lines("cpuinfo") if line.startswith("model name")), "")
        memory = next(int(line.split()[1]) for line in _lines("meminfo") if line.startswith("MemTotal")) / 2**20
        others, steal = _shares(self._began, _use())
        cores = f"{cpu or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
        return (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {cores}, Linux {platform.release()}, Python "
            f"{platform.python_version()}; load before: {self.load:.2f}, others meanwhile: {others:.1%} of the "
            f"machine, steal: {steal:.1%}"
        )


def _lines(name: str) -> list[str]:
    return Path("/proc", name).read_text().splitlines()


def _shares(first: CpuUse, last: CpuUse) -> tuple[float, float]:
    spent = max(0.001, last.at - first.at) * (os.cpu_count() or 1)
    others = last.busy - first.busy - (last.own - first.own)
    return max(0.0, others / spent), max(0.0, (last.steal - first.steal) / spent)


def _problem(first: CpuUse, last: CpuUse, when: str) -> str | None:
    others, steal = _shares(first, last)
    if others > OTHERS:
        return f"other processes used {others:.0%} of the machine {when} (at most {OTHERS:.0%})"
    if steal > STEAL:
        return f"the hypervisor took {steal:.0%} of the machine {when} (at most {STEAL:.0%})"
    return None


def _use() -> CpuUse:
    if platform.system() != "Linux":
        return CpuUse(time.monotonic(), 0, 0, 0)
    user, nice, system, _, _, irq, softirq, steal = map(int, _lines("stat")[0].split()[1:9])
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = sum(cpu for _, _, cpu in _family()) + ended.ru_utime + ended.ru_stime
    return CpuUse(time.monotonic(), (user + nice + system + irq + softirq) / TICKS, steal / TICKS, own)


def _family() -> Iterator[tuple[int, int, float]]:
    """Yield this process and its living descendants: process, parent, CPU seconds (of ended children, too)."""
    children: dict[int, list[tuple[int, int, float]]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # it has ended
                continue
            pid, parent = int(folder.name), int(fields[1])
            # Its own ended children are in `getrusage` already.
            ticks = map(int, fields[11:13] if pid == os.getpid() else fields[11:15])
            children.setdefault(parent, []).append((pid, parent, sum(ticks) / TICKS))
            if pid == os.getpid():
                yield children[parent][-1]
    waiting = [os.getpid()]
    while waiting:
        for one in children.get(waiting.pop(), ()):
            waiting.append(one[0])
            yield one
