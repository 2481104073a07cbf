"""A worker with a candidate in shadow: `verdict-shadow` is a replay under it, and nothing else is another."""

import re
from pathlib import Path

import orjson
import pytest

from tests.support.comparison import differences
from tests.support.harness import OUTPUTS, WorkerProcess, finished, make_topics, read, recorded, replayed, send
from vigil.app.domain.rulebook.reader import BUILT_IN, load_rulebook
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.runtime.replay import replay
from vigil.app.simulate import Simulation
from vigil.topics.envelope import encode_body


def candidate(folder: Path) -> Path:
    """The built-in rulebook with two numbers of other rules."""
    text = BUILT_IN.read_text(encoding="utf-8")
    for was, now in (("within_s = 10\n", "within_s = 7\n"), ("lasts_s = 120\n", "lasts_s = 60\n")):
        assert text.count(was) == 1
        text = text.replace(was, now)
    file = folder / "candidate.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.ci
async def test_a_worker_with_a_candidate_says_in_shadow_what_a_replay_under_it_says(tmp_path: Path) -> None:
    messages = list(Simulation(seed=17, rooms=20, suppliers=5, start_ms=1_662_048_000_000, duration_s=500).messages())
    expected = replayed(messages)
    file = candidate(tmp_path)
    other = replay(recorded(messages), load_rulebook(file))
    with EmbeddedBroker() as broker:
        await make_topics(broker.address, 3)
        await send(broker.address, messages)
        settings = {"clock": "recorded", "recorded_until": expected.until, "session_timeout_ms": 3000}
        settings |= {"idempotent_producer": False, "shadow_rulebook": file}
        worker = await WorkerProcess(broker.address, tmp_path / "worker.log", **settings).ready()
        try:
            await finished(broker.address)
            result = await read(broker.address, (*OUTPUTS, "verdict-shadow"))
            metrics = worker.get("/metrics")[1]
        finally:
            assert worker.stop() == 0
    shadow = {value["verdict_id"]: value for _, value in result.pop("verdict-shadow")}
    assert all(value.pop("published_at") for value in shadow.values())
    then = {output.id: orjson.loads(encode_body(output.body) or b"") for output in other["verdict"]}
    assert shadow == then
    assert differences(expected, result) == []
    own = {output.id for output in expected["verdict"]}
    assert own - set(then), "a candidate that finds all the same shows nothing"
    assert set(then) - own
    counted = {"both": 0, "only_shadow": 0, "only_in_force": 0}
    for found_by, number in re.findall(r'vigil_shadow_verdicts_total\{found_by="(\w+)",rule="[^"]+"\} (\S+)', metrics):
        counted[found_by] += int(float(number))
    assert counted == {
        "both": len(own & set(then)),
        "only_shadow": len(set(then) - own),
        "only_in_force": len(own - set(then)),
    }
