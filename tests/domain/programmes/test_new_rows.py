"""Another duty, another deadline, another programme: one dated table each, and no code."""

from tests.support.line_stories import ask, claim, done, measure, member, obligation, participation, rights
from tests.support.supplier_stories import DAY, HOUR, at, tick
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook

EARLY, NOON = at("2022-05-01"), at("2022-09-10 12:00")


def with_table(*tables: str) -> Rulebook:
    text = BUILT_IN.read_text()
    return parse_rulebook("\n".join([text, *tables]), "test.toml")


def test_another_duty_is_one_table() -> None:
    book = with_table("""
[due.call-back]
says = "Somebody calls back."

[due.call-back.from.2022-09-01]
opened_by = "ask"
within_h = 5
closed_by = ["done"]
owed_by = "supplier"
source = "A test"
""")
    story = [ask(NOON, "call-back", "c"), tick(NOON + 5 * HOUR)]
    said = obligation(*story, duty="call-back", rulebook=book)
    assert (said["due"], said["status"], said["owed_by"]) == (NOON + 5 * HOUR, "breached", "supplier")
    assert said["rulebook"] == "2022-09-01"
    closed = obligation(*story, done(NOON + HOUR, "call-back", "c"), duty="call-back", rulebook=book)
    assert closed["status"] == "met"
    assert obligation(*story, duty="call-back") is None, "an unknown duty is malformed"


def test_another_deadline_is_one_table_and_counts_from_its_day_on() -> None:
    book = with_table("""
[due.upgrade-contact.from.2022-09-01]
opened_by = "ask"
within_days = 1
closed_by = ["done"]
owed_by = "marketplace"
source = "A test"
""")
    late = obligation(ask(NOON, "upgrade-contact", "u"), duty="upgrade-contact", rulebook=book)
    assert (late["due"], late["rulebook"]) == (NOON + DAY, "2022-09-01")
    before = obligation(ask(at("2022-08-31 12:00"), "upgrade-contact", "u"), tick(NOON),
                        duty="upgrade-contact", rulebook=book)  # fmt: skip
    assert (before["due"], before["rulebook"]) == (at("2022-09-06") - 1, "2022-07-01")


PROGRAMME = """
[programme.autumn]
says = "A pack of autumn."

[programme.autumn.from.2022-09-01]
edition = "month"
first_day = 5
last_day = 12
verified = true
tasks = [{ measure = "leaves", at_least = 3 }]
rewards = [{ name = "rake", months = 1 }]
reward_by_day = 3
source = "A test"
"""


def test_another_programme_is_one_table_and_its_measure_is_known() -> None:
    book = with_table(PROGRAMME)
    story = [member(EARLY), claim(NOON, "autumn"), measure(NOON + 1, "leaves", 3)]
    said = participation(*story, programme="autumn", rulebook=book)
    assert (said["edition"], said["opens"], said["closes"]) == ("2022-09", at("2022-09-05"), at("2022-09-13") - 1)
    assert (said["status"], said["completed_at"], said["reward_by"]) == ("completed", NOON + 1, at("2022-10-04") - 1)
    assert said["rulebook"] == "2022-09-01"
    given = done(NOON + 5, "reward", "autumn/2022-09")
    assert rights(*story, given, rulebook=book)["rewards"] == [
        {"reward": "rake", "programme": "autumn", "edition": "2022-09", "valid_until": at("2022-10-11") - 1}
    ]
    assert participation(*story, programme="autumn") is None, "an unknown programme is malformed"
