"""The short form of the chaos runs, and that the harness notices a planted fault. The long form is `make chaos`."""

from pathlib import Path

import pytest

from tools.chaos_plan import plan
from tools.chaos_run import Run
from tools.kafka import KafkaBroker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SEEDS = (7, 8, 13)
"""Between them: killed, asked to stop, frozen, left, joined, and a broker that is cut off twice."""


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_of_blows_gives_what_a_calm_replay_gives(own_kafka: KafkaBroker, tmp_path: Path, seed: int) -> None:
    outcome = await Run(plan(seed), own_kafka, tmp_path).do()
    assert outcome.wrong == []
    assert outcome.outputs > 100


async def test_the_harness_notices_that_what_waits_for_its_order_is_not_covered(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    outcome = await Run(plan(23), own_kafka, tmp_path, fault="buffer-not-covered").do()
    assert any(wrong.startswith("verdict: ") for wrong in outcome.wrong)
