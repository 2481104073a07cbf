"""The simulator: realistic events of rooms, buyers and suppliers from a seed, and a manifest of the planned faults.

    scripts (what a room will do, and the resulting faults) ──▶ manifest
       └─▶ rooms: frames, entries, comments ┐
           suppliers: quotes, payments      ├─ sorted by time of arrival ─▶ messages ─▶ file or Kafka
           reviews of planned faults        ┘

Everything but `kafka.py` is a function of the settings: no wall clock, no global randomness.
"""

from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.simulation import InvalidSimulationError, Simulation

__all__ = ["Fault", "InvalidSimulationError", "SimulatedMessage", "Simulation"]
