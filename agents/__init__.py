"""What runs on Faust: batches in, the shards fed, checkpoints out; no rule is known here."""
