"""A short form of the chaos runs, which detects a missing safeguard. `make chaos` is the long form."""

from pathlib import Path

import pytest

from tests.support.kafka import KafkaBroker
from tools.chaos_plan import plan, zombie
from tools.chaos_run import Run

pytestmark = [pytest.mark.ci, pytest.mark.timeout(420)]

SEEDS = (7, 8, 13)
"""Together they have a kill, a stop, a freeze, a leave, a join, and a broker that is disconnected twice."""


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_with_faults_gives_the_outputs_of_a_replay(
    own_kafka: KafkaBroker, tmp_path: Path, seed: int
) -> None:
    outcome = await Run(plan(seed), own_kafka, tmp_path).do()
    assert outcome.wrong == []
    assert outcome.outputs > 100


async def test_what_a_zombie_writes_in_a_checkpoint_has_no_effect(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    outcome = await Run(zombie(1), own_kafka, tmp_path).do()
    assert outcome.wrong == []


PLANTED = {
    "buffer-not-covered": [plan(23)],
    "offsets-first": [plan(23)],
    "no-fence": [zombie(seed) for seed in (1, 3, 4, 5, 1, 3)],
}
"""Runs of which at least one differs: the zombie must wake between two checkpoints of its successor, which depends on
the machine as well as on the seed. Therefore two seeds run twice."""

PUBLISHED = {"verdict", "notice", "enforcement", "pin-decision", "room-status", "supplier-score"}


IN_CI = "buffer-not-covered"
FAULTS = [pytest.param(fault, marks=() if fault == IN_CI else pytest.mark.slow) for fault in PLANTED]


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_harness_detects_a_missing_safeguard(own_kafka: KafkaBroker, tmp_path: Path, fault: str) -> None:
    for number, drawn in enumerate(PLANTED[fault]):
        outcome = await Run(drawn, own_kafka, tmp_path / f"{number}", fault=fault).do()
        if any(wrong.split(":")[0] in PUBLISHED for wrong in outcome.wrong):
            return
    pytest.fail(f"nothing differs: {outcome.wrong}")
