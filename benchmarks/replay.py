"""A replay of mixed events with all rules: events per CPU second, and the ratio to decoding each line."""

import time

import msgspec

from benchmarks.page import record
from benchmarks.quiet import Quiet
from tests.support.harness import recorded
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.interpreter import tune_collector
from vigil.app.runtime.replay import Replay
from vigil.app.simulate import Simulation

EVENTS = 1_000_000


def main() -> None:
    """Run the benchmark."""
    quiet = Quiet()
    simulation = Simulation(
        seed=3, rooms=700, suppliers=400, start_ms=1_662_048_000_000, duration_s=1200, history_days=60, rfq_every_s=60
    )
    messages = (message for _, message in zip(range(EVENTS), simulation.messages(), strict=False))
    lines = recorded(messages)
    decode = msgspec.json.Decoder().decode
    began = time.process_time()
    for line in lines:
        decode(line)
    floor = time.process_time() - began
    tune_collector()  # as `vigil replay` does
    run = Replay(load_rulebook())
    began = time.process_time()
    run.feed(lines)
    outputs = run.end()
    spent = time.process_time() - began
    table = [
        "| events | CPU s | events per CPU second | verdicts | suppliers | times decoding as untyped JSON |",
        "| --- " * 6 + "|",
        f"| {len(lines):,} | {spent:.1f} | {len(lines) / spent:,.0f} | {len(outputs['verdict']):,} | "
        f"{len(outputs['supplier-score']):,} | {spent / floor:.1f} |",
    ]
    record("replay", table, {"replay": len(lines) / spent / 1000}, quiet)
