"""The short form of the chaos runs, and that the harness notices a planted fault. The long form is `make chaos`."""

from pathlib import Path

import pytest

from tests.support.kafka import KafkaBroker
from tools.chaos_plan import plan, zombie
from tools.chaos_run import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SEEDS = (7, 8, 13)
"""Between them: killed, asked to stop, frozen, left, joined, and a broker that is cut off twice."""


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_of_blows_gives_what_a_calm_replay_gives(own_kafka: KafkaBroker, tmp_path: Path, seed: int) -> None:
    outcome = await Run(plan(seed), own_kafka, tmp_path).do()
    assert outcome.wrong == []
    assert outcome.outputs > 100


async def test_a_zombie_that_wakes_in_a_checkpoint_writes_in_vain(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    outcome = await Run(zombie(1), own_kafka, tmp_path).do()
    assert outcome.wrong == []


PLANTED = {
    "buffer-not-covered": [plan(23)],
    "offsets-first": [plan(23)],
    "no-fence": [zombie(seed) for seed in (1, 3, 4, 5)],
}
"""Runs of which one at least differs: a zombie must wake just between two of its successor's checkpoints."""

TOLD = {"verdict", "notice", "enforcement", "pin-decision", "room-status", "supplier-score"}


@pytest.mark.parametrize("fault", PLANTED)
async def test_the_harness_notices_that_a_safeguard_is_gone(own_kafka: KafkaBroker, tmp_path: Path, fault: str) -> None:
    for number, drawn in enumerate(PLANTED[fault]):
        outcome = await Run(drawn, own_kafka, tmp_path / f"{number}", fault=fault).do()
        if any(wrong.split(":")[0] in TOLD for wrong in outcome.wrong):
            return
    pytest.fail(f"nothing differs: {outcome.wrong}")
