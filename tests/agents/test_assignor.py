"""How the shards of a group are assigned to its workers."""

import pytest
from faust.assignor.partition_assignor import PartitionAssignor

from tests.support.simulated_group import SimulatedGroup
from vigil.agents.faust.app import AppSettings, create_app
from vigil.agents.faust.assignor import ShardAssignor
from vigil.app.domain.registry import REGISTRY


def group_of(workers: int, partitions: int, replicas: int = 0, kind: type = ShardAssignor) -> SimulatedGroup:
    group = SimulatedGroup(partitions, replicas, kind)
    for number in range(workers):
        group.join(f"worker-{number}")
    group.rebalance()
    group.rebalance()
    return group


def test_an_app_has_our_assignor() -> None:
    app = create_app(AppSettings(app_id="vigil", brokers=("127.0.0.1:1",), standbys=1))
    assert type(app.assignor) is ShardAssignor
    assert app.assignor.replicas == 1


@pytest.mark.parametrize("workers, partitions", [(1, 4), (3, 4), (7, 20), (5, 3)])
def test_each_partition_has_one_owner_and_its_topics_and_state_go_with_it(workers: int, partitions: int) -> None:
    group = group_of(workers, partitions)
    owners = group.owners()
    assert owners.keys() == set(range(partitions))
    for topic in group.topics:
        assert group.owners(topic) == owners, topic
    topics = sum(len(sources) + 1 for sources in REGISTRY.sources.values())  # its changelog is one more
    assert sum(len(owned) for member in group.owned.values() for owned in member.values()) == partitions * topics
    fewest, most = group.spread()
    assert most - fewest <= 1


def test_of_a_worker_that_dies_only_its_own_shards_move() -> None:
    group = group_of(10, 40)
    del group.members["worker-3"]
    assert group.rebalance() == 4
    assert group.rebalance() == 0


def test_a_standby_acquires_the_shards_of_the_worker_that_died() -> None:
    group = group_of(4, 8, replicas=1)
    followers = {tp.partition: name for name, member in group.members.items() for tp in member.assigned_standbys()}
    lost = [partition for partition, owner in group.owners().items() if owner == "worker-1"]
    del group.members["worker-1"]
    group.rebalance()
    assert lost
    assert sum(group.owners()[partition] == followers[partition] for partition in lost) >= len(lost) // 2


@pytest.mark.ci
def test_what_kafka_stores_of_a_group_grows_with_its_members_and_not_with_their_square() -> None:
    small, large = group_of(20, 120), group_of(80, 120)
    assert large.bytes < 4 * small.bytes
    assert group_of(80, 120, kind=PartitionAssignor).bytes > 8 * large.bytes
