"""What the measurements share: a broker, CPU time of a process, and how a distribution is told."""

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import kafka as real
from vigil.app.kafka.embedded_broker import EmbeddedBroker


@contextlib.contextmanager
def local_broker(say: bool = True) -> Iterator[tuple[str, bool]]:
    """Real Apache Kafka where this machine can run it, else the embedded broker: its address, and is it Kafka."""
    lack = real.why_not()
    if lack is None and os.environ.get("VIGIL_BENCH_BROKER") != "embedded":
        with real.KafkaBroker() as broker:
            if say:
                print(f"broker: Apache Kafka {real.version()}, one node on this machine")
            yield broker.address, True
    else:
        with EmbeddedBroker() as embedded:
            if say:
                print(f"broker: the embedded one ({lack or 'asked for'})")
            yield embedded.address, False


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Resident memory of a process now."""
    return _status_mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most memory that a process held so far."""
    return _status_mib(pid, "VmHWM")


def _status_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def quantile(values: Sequence[float], share: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def machine() -> str:
    """What this was measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
