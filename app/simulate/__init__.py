"""The simulator: believable rooms, buyers and suppliers, seeded, and a manifest of what was done wrong on purpose.

    scripts (what a room will do, and the faults that follow) ──▶ manifest
       └─▶ rooms: frames, entries, comments ┐
           suppliers: quotes, payments      ├─ sorted by the time of arrival ─▶ messages ─▶ file or Kafka
           reviews of planned faults        ┘

Everything but `kafka.py` is a function of the settings: no wall clock, no global randomness.
"""

from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.simulation import InvalidSimulationError, Simulation

__all__ = ["Fault", "InvalidSimulationError", "SimulatedMessage", "Simulation"]
