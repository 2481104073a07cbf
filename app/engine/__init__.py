"""Time, order and durable state of shards: pure and deterministic, time comes in by argument only."""
