"""Ten thousand malformed messages of every kind change no verdict and stop nothing (I-13)."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send
from vigil.app.simulate import Simulation


@pytest.mark.ci
async def test_malformed_messages_change_nothing_and_all_become_dead_letters(
    any_broker_of_its_own: str, tmp_path: Path
) -> None:
    broker = any_broker_of_its_own
    simulation = Simulation(
        seed=11, rooms=20, suppliers=10, start_ms=1_662_048_000_000, duration_s=400, malformed=1.0, history_days=5
    )
    messages = list(simulation.messages())
    bad = [message for message in messages if message.malformed is not None]
    assert len(bad) >= 10_000
    expected = replayed(message for message in messages if message.malformed is None)
    assert expected["verdict"]
    assert expected["notice"]
    assert not expected.rejected
    await make_topics(broker, 4)
    await send(broker, messages)
    worker = await WorkerProcess(
        broker,
        tmp_path / "worker.log",
        clock="recorded",
        recorded_until=expected.until,
        session_timeout_ms=3000,
        idempotent_producer=False,
    ).ready()
    try:
        await finished(broker)
        published = await read(broker)
    finally:
        assert worker.stop() == 0
    letters = published.pop("dead-letter")
    places = {(letter["topic"], letter["partition"], letter["offset"]) for _, letter in letters}
    assert Counter(topic for topic, _, _ in places) == Counter(message.topic for message in bad)
    assert all(letter["reason"] == "malformed" and letter["detail"] for _, letter in letters)
    assert differences(expected, {**published, "dead-letter": []}) == []
