"""What an event costs, counted and not timed: `python -m benchmarks counts`."""
