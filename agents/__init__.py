"""Runs the engine's shards on Kafka: batches in, checkpoints out. Knows no rule and no subject."""
