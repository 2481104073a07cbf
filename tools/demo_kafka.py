"""Runs `vigil demo` on Apache Kafka instead of the embedded broker: `make demo-kafka`. Needs Java and Maven."""

import subprocess
import sys

from tests.support.kafka import OPTIMIZED, KafkaBroker
from tests.support.kafka_files import why_not
from vigil.app.kafka.embedded_broker import BrokerError


def main() -> int:
    """Start Kafka, run the demo on it, and return the demo's exit status; 1 if Kafka cannot be started."""
    reason = why_not()
    if reason is not None:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    print("starting Apache Kafka; the first time Maven downloads it", flush=True)
    try:
        with KafkaBroker(jvm=OPTIMIZED) as broker:
            demo = subprocess.Popen([sys.executable, "-m", "vigil", "demo", "--broker", broker.address, *sys.argv[1:]])
            while True:
                try:
                    return demo.wait()
                except KeyboardInterrupt:
                    continue  # Ctrl-C reaches the demo, too, which ends by itself
    except BrokerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
