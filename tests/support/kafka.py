"""Apache Kafka on this machine: one KRaft node on loopback, with the jars from Maven and the installed Java.

    python -m tests.support.kafka run --port 9092      a broker to try things on, until Ctrl-C
    python -m tests.support.kafka fetch                only fill the cache

    KafkaBroker ── StorageTool format ──▶ kafka.Kafka      2 s with the archive of loaded classes, 3 to 5 s without

Jars and archive are in ~/.cache/vigil (`kafka_files.py`).
"""

import argparse
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.kafka_files import class_archive, fetch_jars, program, version, why_not
from vigil.app.kafka.embedded_broker import HOST, BrokerError, free_port, start_child, stop_child, wait_until_ready

QUICK = ("-XX:TieredStopAtLevel=1",)
"""Options of Java for a server that runs for seconds: it compiles half as much."""

OPTIMIZED: tuple[str, ...] = ()
"""For one that runs for minutes or is measured."""

# For a quick start: no replicas, few internal partitions, no wait for further group members, a small log cleaner.
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",  # tests of failover set session timeouts below Kafka's 6 s
    # After a kill, the controller accepts the broker again only after the session of the old one: 9 s by default.
    # With a shorter time than this, a busy machine would fence a broker that is alive.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "4000",
    "log.cleaner.dedupe.buffer.size": str(16 * 2**20),
    # Tests write records with timestamps of past years. Retention would delete them at its first check, after 30 s.
    "log.retention.check.interval.ms": str(24 * 3600 * 1000),
}


class KafkaBroker:
    """One node that is broker and controller. Its data is kept after `stop` and `kill` until the broker is closed.

    `properties` are added to the server's own and win over them. `listeners` adds further listeners on free ports,
    name → security protocol (`{"SECURE": "SASL_SSL"}`); the listener PLAINTEXT is always there, for the broker itself
    and for whoever waits for it. `format_options` go to `kafka-storage format` (`["--add-scram", …]`). `jvm`: options
    of Java, such as QUICK and OPTIMIZED.
    """

    def __init__(
        self,
        directory: Path | None = None,
        port: int | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        format_options: list[str] | None = None,
        heap_mb: int = 768,
        jvm: tuple[str, ...] = QUICK,
    ) -> None:
        self._own = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="vigil-kafka-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self._protocols = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        ports = [] if port is None else [port]
        while len(ports) < len(self._protocols) + 1:  # nothing listens yet: a port may be free twice
            ports.append(free_port(but=ports))
        self._addresses = {name: f"{HOST}:{own}" for name, own in zip(self._protocols, ports, strict=False)}
        self._controller = f"{HOST}:{ports[-1]}"
        self._more = dict(properties or {})
        self._format_options = format_options or []
        self._heap_mb = heap_mb
        self._jvm = jvm
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`host:port` of the plaintext listener, the same after a restart."""
        return self._addresses["PLAINTEXT"]

    def address_of(self, listener: str) -> str:
        """Return `host:port` of one of the additional listeners."""
        return self._addresses[listener]

    @property
    def log(self) -> Path:
        """Return the output of the server."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """The process of the server. Raises `BrokerError` if it is not running."""
        if self._child is None:
            raise BrokerError("Kafka does not run")
        return self._child.pid

    def start(self, within_s: float = 60) -> None:
        """Format the storage if it is new, start, and wait until a client can list the topics."""
        if self._child is not None:
            raise BrokerError(f"Kafka runs already, at {self.address}")
        if lack := why_not():
            raise BrokerError(f"Apache Kafka cannot run here: {lack}")
        settings = self._write_settings()
        if not (self.directory / "data" / "meta.properties").exists():
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            format_it = ["format", f"--cluster-id={cluster}", f"--config={settings}"]
            self.tool("kafka.tools.StorageTool", *format_it, *self._format_options)
        with self.log.open("ab") as output:
            child = start_child([*self._java(self._heap_mb), *self._jvm, "kafka.Kafka", str(settings)], output)
        if not wait_until_ready(self.address, self._cluster(), child, within_s):
            ended = child.poll()
            stop_child(child, within_s=5)
            how = "did not answer in time" if ended is None else f"ended with code {ended}"
            raise BrokerError(f"Kafka at {self.address} {how}; {self.log} ends:\n{self.log.read_text()[-3_000:]}")
        self._child = child

    def stop(self, within_s: float = 20) -> None:
        """Shut down with SIGTERM, and with SIGKILL if that takes longer. Does nothing if it is not running."""
        if self._child is not None:
            stop_child(self._child, within_s)
        self._child = None

    def kill(self) -> None:
        """Kill it with SIGKILL, as in a crash."""
        os.kill(self.pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait()
        self._child = None

    def restart(self) -> None:
        """Start again with the same data at the same address, after a stop if it is still running."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop it with SIGSTOP: connections stay open without answers. Returns once every thread has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Continue it with SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop it, and delete the data unless the caller chose the directory."""
        self.stop()
        if self._own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def tool(self, main: str, *arguments: str) -> str:
        """Run one of Kafka's command-line tools by its class and return its output. Raises `BrokerError`."""
        run = subprocess.run(
            [*self._java(heap_mb=256), *QUICK, main, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise BrokerError(f"{main} failed ({run.returncode}): {run.stdout[-3_000:]}")
        return run.stdout

    def _java(self, heap_mb: int) -> list[str]:
        scratch = self.directory / "tmp"
        scratch.mkdir(exist_ok=True)
        java = program("java")
        if java is None:
            raise BrokerError("there is no Java here")
        archive = class_archive()
        return [
            java,
            *([f"-XX:SharedArchiveFile={archive}"] if archive.exists() else ()),
            f"-Xmx{heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",  # otherwise Java writes to /tmp
            f"-Djava.io.tmpdir={scratch}",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-cp",
            f"{fetch_jars()}/*",
        ]

    def _cluster(self) -> str:
        """Return the cluster id of the storage."""
        meta = (self.directory / "data" / "meta.properties").read_text()
        found = re.search(r"^cluster\.id=(.+)$", meta, re.MULTILINE)
        if found is None:
            raise BrokerError(
                f"{self.directory}/data/meta.properties tells no cluster.id; delete {self.directory}/data"
            )
        return found[1]

    def _write_settings(self) -> Path:
        advertised = [f"{name}://{address}" for name, address in self._addresses.items()]
        protocols = {"CONTROLLER": "PLAINTEXT", **self._protocols}
        settings = {
            **_PROPERTIES,
            "controller.quorum.voters": f"1@{self._controller}",
            "listeners": ",".join([*advertised, f"CONTROLLER://{self._controller}"]),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "log.dirs": str(self.directory / "data"),
            **self._more,
        }
        file = self.directory / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return file

    def __enter__(self) -> Self:
        try:
            self.start()
        except BrokerError:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def save_class_archive() -> None:
    """Let a broker save the classes that it has loaded, if there is no archive yet; some 10 s, once.

    A Java that cannot do it leaves no archive: each start takes longer, and nothing else differs.
    """
    archive = class_archive()
    if archive.exists() or not os.access(archive.parent, os.W_OK):
        return
    with (fetch_jars().parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.exists():  # another process has saved it meanwhile
            return
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{archive.stem}-") as work:
            saved = Path(work, "archive")
            options = ("-XX:+IgnoreUnrecognizedVMOptions", f"-XX:ArchiveClassesAtExit={saved}")
            broker = KafkaBroker(jvm=(*QUICK, *options))
            try:
                broker.start()
                broker.stop(within_s=60)
            finally:
                broker.close()
            if saved.exists():
                saved.rename(archive)  # atomic: complete or not at all


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Apache Kafka on this machine, for trying and testing.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fetch Kafka's jars into the cache and print where they are")
    run = commands.add_parser("run", help="run one broker until Ctrl-C")
    run.add_argument("--port", type=int, default=9092, help="loopback port (default 9092)")
    run.add_argument("--data", type=Path, help="directory to keep data in (default: a temporary one)")
    arguments = parser.parse_args()
    try:
        if arguments.command == "fetch":
            print(fetch_jars())
            return 0
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        broker = KafkaBroker(arguments.data, arguments.port, jvm=OPTIMIZED)
        try:
            broker.start()
            print(
                f"Kafka {version()} answers at {broker.address}; its files are in {broker.directory}. Ctrl-C ends it."
            )
            signal.pause()
        except KeyboardInterrupt:
            print("stopping Kafka")
        finally:
            broker.close()
    except BrokerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
