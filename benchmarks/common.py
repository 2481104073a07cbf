"""What the benchmarks share: a broker, CPU time and memory of a process, and quantiles."""

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import kafka as real
from vigil.app.kafka.embedded_broker import EmbeddedBroker


@contextlib.contextmanager
def local_broker(verbose: bool = True) -> Iterator[tuple[str, bool]]:
    """Yield a broker's address and whether it is Apache Kafka; without Java and Maven it is the embedded broker."""
    missing = real.why_not()
    if missing is None and os.environ.get("VIGIL_BENCH_BROKER") != "embedded":
        with real.KafkaBroker(jvm=real.OPTIMIZED) as broker:
            if verbose:
                print(f"broker: Apache Kafka {real.version()}, one node on this machine")
            yield broker.address, True
    else:
        with EmbeddedBroker() as embedded:
            if verbose:
                print(f"broker: the embedded one ({missing or 'requested'})")
            yield embedded.address, False


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return _status_mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """Return the peak of a process's resident memory."""
    return _status_mib(pid, "VmHWM")


def _status_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def machine() -> str:
    """Describe the machine of the measurement."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
