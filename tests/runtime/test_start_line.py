"""What a worker logs first."""

from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.start_line import start_facts

NOW = 1_700_000_000_000


def test_it_has_what_a_stranger_needs_and_only_the_settings_that_differ() -> None:
    book = load_rulebook()
    facts = start_facts(Settings(broker="kafka:9092", app_id="trial", topic_prefix="trial."), book, NOW)
    assert (facts["broker"], facts["group"]) == ("kafka:9092", "trial")
    assert facts["rulebook"] == {"file": "built in", "digest": book.digest[:12], "newest_rule_since": "2022-11-01"}
    assert facts["settings"] == {"broker": "kafka:9092", "app_id": "trial", "topic_prefix": "trial."}
    assert start_facts(Settings(), book, NOW)["settings"] == {}


def test_it_has_no_secret() -> None:
    facts = start_facts(Settings(sasl_password="correct-horse", sasl_username="vigil"), load_rulebook(), NOW)
    assert "correct-horse" not in str(facts)
    assert facts["settings"] == {"sasl_username": "vigil"}
