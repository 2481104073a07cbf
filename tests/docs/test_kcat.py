"""The command of the manual for a review places every key where Vigil reads it, with the real kcat on Apache Kafka."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from aiokafka.partitioner import murmur2

from tests.support.needs import lacking
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import records

PARTITIONS = 4
PAGE = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_documented_review_lies_in_the_partition_of_its_host(kafka: str) -> None:
    if shutil.which("kcat") is None:
        lacking("KCAT", "kcat is", "it is not on PATH")
    (echo, command) = re.findall(r"^(echo '[^']*') \|\n\s+(kcat [^#\n]*-t review[^#\n]*)", PAGE, re.MULTILINE)[0]
    settings = Settings(broker=kafka, topic_prefix="kcat.")

    async def placed() -> dict[str, int]:
        async with Cluster(settings) as cluster:
            await cluster.create({"kcat.review": (PARTITIONS, {})})
        for number in range(6):
            typed = f"{echo} | {command}".replace("merchant-7", f"merchant-{number}")
            typed = typed.replace("localhost:9092", kafka).replace("-t review", "-t kcat.review")
            await asyncio.to_thread(subprocess.run, typed, shell=True, check=True, timeout=60)
        return {record.key.decode(): record.partition async for record in records(settings, "review")}

    expected = {
        key: (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS for key in (f"merchant-{number}" for number in range(6))
    }
    assert len(set(expected.values())) > 1
    assert asyncio.run(placed()) == expected
