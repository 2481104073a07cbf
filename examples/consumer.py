"""Prints each verdict once, also if it is delivered repeatedly: python consumer.py localhost:9092"""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def main(broker):
    seen = set()  # in production: a table with the primary key verdict_id
    options = {"bootstrap_servers": broker, "group_id": "my-alerts", "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer("verdict", **options) as consumer:
        async for message in consumer:
            verdict = json.loads(message.value)
            if verdict["verdict_id"] not in seen:
                seen.add(verdict["verdict_id"])
                print(verdict["room_id"], verdict["rule"], verdict["at"], flush=True)


asyncio.run(main(sys.argv[1]))
