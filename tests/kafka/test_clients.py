"""Errors of brokers are reported in words."""

import socket

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_consumer, started, words_of
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.settings import Settings, SettingsError


async def test_servers_that_cannot_be_reached_are_named_with_the_reason() -> None:
    with pytest.raises(SettingsError) as rejected:
        async with Cluster(Settings(broker="127.0.0.1:1,nohost.invalid:9092")):
            raise AssertionError
    words = str(rejected.value)
    assert "127.0.0.1:1: connection refused; nohost.invalid:9092: there is no host of this name" in words
    assert "AddressFamily" not in words


def test_a_server_that_answers_is_not_what_the_settings_say() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert "answers, but not as Kafka with these settings" in words_of(
            Settings(broker=address), KafkaConnectionError()
        )


def test_other_errors_keep_their_text() -> None:
    assert words_of(Settings(), KafkaError("no such group")) == "KafkaError: no such group"
    assert words_of(Settings(), OSError()) == "OSError"


async def test_a_consumer_that_is_asked_nothing_can_be_stopped() -> None:
    with EmbeddedBroker() as broker:
        async with started(new_consumer(Settings(broker=broker.address), "doctor")):
            pass
