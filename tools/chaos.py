"""Chaos tests: seeded runs on Apache Kafka with faults in workers and broker, compared with a replay without faults.

    python -m tools.chaos                       the seeds 1 to 50 that are not in the table yet
    python -m tools.chaos --seed 17             one seed
    python -m tools.chaos --seed 1 --runs 10    ten seeds from 1
    python -m tools.chaos --fault no-fence      without a safeguard, until a run differs: checks the harness itself

Each run adds a line to the table (`--table`). A run that differs is printed in full, and the logs of its workers are
kept.
"""

import argparse
import asyncio
import csv
import logging
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.support.faulty_worker import FAULTS
from tests.support.kafka import OPTIMIZED, KafkaBroker
from tools.chaos_plan import plan, zombie
from tools.chaos_run import ChaosResult, Run, summary

TABLE = Path("docs/chaos-results.csv")


LONG_FORM_RUNS = 50
"""Seeds of a run without --seed and --runs, which adds the seeds that are not in the table yet."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 1 if a run differed from its replay or, with --fault, if none did."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the sender logs errors while the broker is away
    ran, bad = run_seeds(options)
    print(f"{ran} runs, {bad} differ")
    return int(bool(bad) == (options.fault is None))


def parse(given: list[str]) -> argparse.Namespace:
    """Return the options; raise SystemExit if they are invalid."""
    parser = argparse.ArgumentParser(description="Seeded runs that kill, freeze and cut off workers and broker.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--runs", type=int, help="number of seeds (default: 1 with --seed, otherwise 50)")
    parser.add_argument(
        "--clock", choices=["recorded", "live"], help="clock of all seeds (default: live for every fifth)"
    )
    parser.add_argument("--table", type=Path, default=TABLE, help=f"table of results (default {TABLE})")
    parser.add_argument("--resume", action="store_true", help="skip the seeds that are in the table")
    parser.add_argument("--logs", type=Path, help="folder for the logs of workers (default: a temporary one)")
    parser.add_argument("--fault", choices=FAULTS, help="run the workers without a safeguard until a run differs")
    options = parser.parse_args(given)
    if options.runs is None and not any(word.startswith("--seed") for word in given):
        options.runs, options.resume = LONG_FORM_RUNS, True
    return options


def seeds_of(options: argparse.Namespace) -> list[int]:
    """Return the seeds to run: with --resume, those that are not in the table; with --fault, all."""
    seeds = range(options.seed, options.seed + (options.runs or 1))
    done = seeds_in(options.table) if options.resume and options.fault is None else set()
    return [seed for seed in seeds if seed not in done]


def run_seeds(options: argparse.Namespace) -> tuple[int, int]:
    """Run the seeds, with --fault until a run differs; return the number of runs and of those that differed."""
    seeds = seeds_of(options)
    logs = options.logs or Path(tempfile.mkdtemp(prefix="vigil-chaos-"))
    draw = zombie if options.fault == "no-fence" else partial(plan, clock=options.clock)
    ran = bad = 0
    with KafkaBroker(jvm=OPTIMIZED) as broker:
        for seed in seeds:
            folder = logs / f"seed-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            outcome = asyncio.run(Run(draw(seed), broker, folder, options.fault).do())
            report(outcome, folder)
            if options.fault is None:
                write(options.table, outcome)
            ran += 1
            bad += not outcome.good
            if options.fault is not None and bad:
                break
            if outcome.good:
                shutil.rmtree(folder, ignore_errors=True)
    return ran, bad


def report(outcome: ChaosResult, folder: Path) -> None:
    """Print the outcome of a run."""
    line = summary(outcome)
    print(" · ".join(f"{name} {value}" for name, value in line.items() if value != ""), flush=True)
    kinds: dict[str, list[str]] = {}
    for wrong in outcome.wrong:
        kinds.setdefault(" ".join(wrong.split()[:2]), []).append(wrong)
    for kind, these in kinds.items():
        print(f"    {len(these)} × {kind} …")
        for wrong in these[:3]:
            print(f"        {wrong}")
    if outcome.wrong:
        print(f"    logs: {folder}", flush=True)


def seeds_in(table: Path) -> set[int]:
    """Return the seeds that are in the table."""
    if not table.exists():
        return set()
    with table.open(newline="") as file:
        return {int(row["seed"]) for row in csv.DictReader(file)}


def write(table: Path, outcome: ChaosResult) -> None:
    """Add a run to the table, in place of an earlier one of the same seed."""
    line = {name: str(value) for name, value in summary(outcome).items()}
    rows = []
    if table.exists():
        with table.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["seed"] != line["seed"]]
    rows = sorted([*rows, line], key=lambda row: int(row["seed"]))
    table.parent.mkdir(parents=True, exist_ok=True)
    scratch = table.with_suffix(".new")
    with scratch.open("w", newline="") as file:
        writer = csv.DictWriter(file, line.keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    scratch.replace(table)


if __name__ == "__main__":
    sys.exit(main())
