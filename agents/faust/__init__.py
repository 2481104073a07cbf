"""The adapter of Faust: the only code that imports faust or mode. It implements the ports of agents/ports.py.

    aiokafka fetch ──▶ BatchConsumer.getmany: ONE message per (partition, fetch), its value a Batch
                         └─▶ conductor ─▶ stream ─▶ agent: one batch          (source topics)
                         └─▶ recovery ─▶ MirrorStore.apply_changelog_batch    (changelog topics)

Faust does what it is good at: membership, the co-partitioning assignor, the order of steps in a rebalance, recovery,
supervision. It costs one task a message, which batches avoid. Offsets are committed by checkpoints alone. Faust does
not promise the names that are used here: its version is pinned, and tests/agents/test_hooks.py lists each of them, so
that an upgrade fails there first.

Each module has one concern: app (construction, credentials), state (what the modules share), consumer, transport
(producer), schema (batches as values), table (mirrors of changelogs), assignor, feed and writers (the ports), agent,
shutdown, and adapter, which puts them together for the worker.
"""
