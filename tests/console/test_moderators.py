"""Scripted moderators at two consoles: none works on what another does, and critical incidents are looked at soon."""

from statistics import median

import pytest

from tests.support.console_stories import START
from tests.support.moderators import Shift
from vigil.app.console import console_state
from vigil.app.console.http import forms
from vigil.app.simulate import Simulation


@pytest.mark.parametrize(
    "people, rooms, fault_every_s, seconds",
    [
        pytest.param(4, 80, 400, 150, marks=pytest.mark.ci),
        # Half of what 20 people could do at 14 s each; at 400 s there is more than they can, and half wait for 30 s.
        pytest.param(20, 2000, 1000, 120, marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
async def test_nobody_works_on_what_another_does_and_critical_ones_are_looked_at_soon(
    people: int, rooms: int, fault_every_s: float, seconds: int, monkeypatch: pytest.MonkeyPatch
):
    simulation = Simulation(
        seed=5,
        rooms=rooms,
        suppliers=rooms,
        start_ms=START,
        duration_s=seconds,
        rfq_every_s=1e6,
        fault_every_s=fault_every_s,
    )
    shift = Shift(simulation, people)
    for module in (console_state, forms):
        monkeypatch.setattr(module, "wall_ms", lambda: shift.now)
    await shift.work()
    waits = shift.waits_s()
    print(f"{people} moderators, {rooms} rooms: {len(waits)} critical incidents, median {median(waits)} s,"
          f" longest {waits[-1]} s; {sum(person.lost for person in shift.people)} claims lost")  # fmt: skip
    assert shift.twice == []
    assert [names for names in shift.reviewers().values() if len(names) > 1] == []
    assert len(shift.reviewers()) > people
    assert sum(person.lost for person in shift.people) > 0, "two consoles never offered the same incident"
    assert median(waits) <= 15
