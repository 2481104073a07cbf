"""Where `vigil notify` goes on: expired offsets are not a new group, and nothing that it did not deliver is skipped."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DeleteGroupsRequest

from tests.notify.test_service import events, message, notifying, publish, until
from tests.support.harness import make_topics
from tests.support.notify_stories import over, violation, warning
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.settings import Settings
from vigil.app.notify.topics import NotifyNames

ON_KAFKA = pytest.mark.parametrize("any_broker_of_its_own", ["kafka"], indirect=True)
GROUP = NotifyNames.of(Settings().app_id).group


async def expire_offsets(broker: str) -> None:
    """What the broker does to a group without members after `offsets.retention.minutes`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        async with asyncio.timeout(20):
            while any(each.offset >= 0 for each in (await admin.list_consumer_group_offsets(GROUP)).values()):
                coordinator = await admin.find_coordinator(GROUP)
                await admin._client.send(coordinator, DeleteGroupsRequest([GROUP]))
                await asyncio.sleep(0.2)
    finally:
        await admin.close()


@pytest.mark.ci
@ON_KAFKA
async def test_expired_offsets_repeat_nothing_and_lose_nothing(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 2)
    rooms = [violation(room_id=f"room-{number}") for number in range(24)]
    await publish(broker, [message(violation(room_id="before"))])
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            pass
        await publish(broker, [message(one) for one in rooms[:2]])
        await expire_offsets(broker)
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 2)
        await publish(broker, [message(one) for one in [*rooms[2:], over(rooms[0])]])
        await expire_offsets(broker)
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 25)
            await asyncio.sleep(1)
    assert len(set(receiver.tried)) == len(receiver.tried) == 25
    assert events(receiver, "before") == [], "a group that never had anything to say is not new either"


@pytest.mark.ci
@ON_KAFKA
async def test_of_a_topic_that_was_created_again_and_is_longer_nothing_is_skipped(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            await publish(broker, [message(warning())])
            await until(lambda: len(receiver.taken) == 1)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        try:
            await admin.delete_topics(["incident"])
            async with asyncio.timeout(20):
                while "incident" in await admin.list_topics():
                    await asyncio.sleep(0.1)
        finally:
            await admin.close()
        await make_topics(broker, 1)
        await publish(broker, [message(violation(room_id=f"new-{number}")) for number in range(5)])
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 6)
