"""A room of your own, live: a host who greets nobody, and later a black picture. python own_room.py localhost:9092"""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaProducer

ROOM = {"room_id": "my-room", "host_id": "me"}


async def main(broker, seconds):
    async with AIOKafkaProducer(bootstrap_servers=broker, linger_ms=0) as producer:  # it places keys as Vigil expects

        async def send(topic, **fields):
            event = {**ROOM, "at": int(time.time() * 1000), **fields}
            await producer.send_and_wait(topic, json.dumps(event).encode(), key=ROOM["room_id"].encode())

        for second in range(seconds):
            await send("frame-status", stream="live", face=True, black=second >= 40)
            if second in (3, 6, 9):
                await send("buyer-entry", buyer_id=f"buyer-{second}", buyer_tier="L2")
                print(f"{second} s: buyer-{second} enters, and nobody says a word", flush=True)
            if second == 40:
                print("40 s: the picture turns black", flush=True)
            await asyncio.sleep(1)
        await send("frame-status", stream="ended", face=False, black=False)


asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 180))
