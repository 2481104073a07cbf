"""Vigil beside plain Faust, Quix Streams, Bytewax, Kafka Streams and Flink: the same small job on each of them.

The programs of the Python peers run in an environment of their own, so nothing is imported above.
"""


def main() -> None:
    """Run the benchmark."""
    from benchmarks.peers.comparison import main as compare

    compare()
