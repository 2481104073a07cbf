"""The job on Quix Streams: three topics, aligned in time by `concat`, one stateful function.

python -m benchmarks.peers.quix_app BROKER PREFIX VERDICTS STATE_DIR
"""

import sys
from typing import Any

from quixstreams import Application, State

from benchmarks.peers.room import LATENESS_MS, TOPICS, Room, event_of


def judge(message: dict[str, Any], state: State) -> list[dict[str, Any]]:
    """Judge a room up to the largest time of its events, less the lateness: Quix has no timers."""
    latest, stored = state.get("room") or (0, None)
    room = Room() if stored is None else Room.load(stored)
    latest = max(latest, message["at"])
    event = event_of(message["topic"], message)
    if event is not None:
        room.add(event)
    found = room.advance(latest - LATENESS_MS)
    state.set("room", (latest, room.dump()))
    return [{"room_id": message["room_id"], "rule": rule, "at": at} for rule, at in found]


def main() -> None:
    """Run until SIGTERM."""
    broker, prefix, verdicts, folder = sys.argv[1:]
    app = Application(
        broker,
        consumer_group=verdicts,
        auto_offset_reset="earliest",
        state_dir=folder,
        processing_guarantee="exactly-once",
        commit_interval=1.0,
        auto_create_topics=True,
        loglevel="WARNING",
    )

    def of(topic: str) -> Any:
        events = app.dataframe(app.topic(prefix + topic, value_deserializer="json"))
        return events.apply(lambda value: {**value, "topic": topic})

    entries, comments, frames = map(of, TOPICS)
    found = entries.concat(comments).concat(frames).apply(judge, stateful=True, expand=True)
    found.to_topic(app.topic(verdicts, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main()
