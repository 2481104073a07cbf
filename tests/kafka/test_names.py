"""What each topic of the catalogue is called on the cluster."""

import pytest

from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.topics.catalog import TOPICS


def test_without_a_prefix_topics_for_others_have_their_names_and_internal_ones_begin_with_the_application() -> None:
    names = TopicNames.of(Settings())
    for topic in TOPICS:
        assert names.on_cluster(topic.name) == ("vigil-" if topic.direction == "internal" else "") + topic.name


def test_a_prefix_stands_before_every_topic_in_and_out_and_before_no_internal_one() -> None:
    names = TopicNames.of(Settings(app_id="trial", topic_prefix="eu."))
    assert [names.on_cluster(topic) for topic in ("comment", "verdict", "dead-letter", "verdict-by-host")] == [
        "eu.comment",
        "eu.verdict",
        "eu.dead-letter",
        "trial-verdict-by-host",
    ]
    assert names.changelog("rooms") == "trial-rooms-state"
    assert names.source == "/vigil/trial"


@pytest.mark.parametrize("prefix", ["", "eu.", "vigil-", "supplier-"])
def test_every_name_leads_back_to_its_topic_and_no_two_topics_have_one_name(prefix: str) -> None:
    names = TopicNames("vigil", prefix)
    assert {names.in_catalogue(names.on_cluster(topic.name)) for topic in TOPICS} == {topic.name for topic in TOPICS}
    assert len({names.on_cluster(topic.name) for topic in TOPICS}) == len(TOPICS)


def test_names_of_two_applications_on_one_cluster_never_meet() -> None:
    one, other = TopicNames("vigil"), TopicNames("vigil-trial", "trial.")
    assert not {one.on_cluster(topic.name) for topic in TOPICS} & {other.on_cluster(topic.name) for topic in TOPICS}


def test_a_name_of_the_cluster_stays_as_it_is() -> None:
    names = TopicNames("trial", "eu.")
    for name in ("eu.comment", "trial-verdict-by-host", "trial-rooms-state", "somebody-elses"):
        assert names.on_cluster(name) == name
    assert names.in_catalogue("somebody-elses") == "somebody-elses"
