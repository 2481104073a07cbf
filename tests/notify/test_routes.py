"""The routing file is read strictly; routes and quiet hours send each change to its targets at the right time."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from tests.support.notify_stories import TARGETS, Desk, acted, missed_entry, over, signal_lost, violation, warning
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import SettingsError
from vigil.app.notify.routes import QuietHours, Routing
from vigil.app.notify.routing_file import load_routing, names_of, parse_routing
from vigil.app.notify.secrets import Secrets, load_secrets
from vigil.topics.incidents import IncidentStatus

RULEBOOK = load_rulebook()
RULES = names_of(RULEBOOK)


def routing(text: str, targets: str = TARGETS) -> Routing:
    return parse_routing(targets + text, "routes.toml", RULES)


def refused(text: str, targets: str = TARGETS) -> str:
    with pytest.raises(SettingsError) as refusal:
        routing(text, targets)
    return str(refusal.value)


def at(day: str, clock: str, zone: str = "Asia/Shanghai") -> int:
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


NOW = at("2026-03-02", "12:00")


def to(text: str, what: IncidentStatus, now: int = NOW) -> set[str]:
    """The targets that receive a step at once."""
    desk = Desk(text)
    desk.now = now
    desk.say(what)
    return {name for name, _ in desk.sent}


RISK = warning()
VIOLATION = violation()
MISSED = missed_entry()
LOST = signal_lost()
NARROW = replace(violation(rule="greeting-miss"), family="reception")
HIGH = replace(NARROW, priority="high")


@pytest.mark.parametrize(
    ("route", "fits", "not_fits"),
    [
        ("", [RISK, VIOLATION, LOST, NARROW], [MISSED]),
        ('kinds = ["at-risk"]', [RISK], [VIOLATION, LOST, MISSED]),
        ('kinds = ["violation"]', [VIOLATION], [RISK, LOST, MISSED]),
        ('kinds = ["action"]', [acted(VIOLATION)], [RISK, VIOLATION]),
        ('kinds = ["still-live"]', [replace(VIOLATION, still_live=True)], [RISK, VIOLATION]),
        ('kinds = ["verdict-contested"]', [replace(VIOLATION, contested=True)], [RISK, VIOLATION]),
        ('kinds = ["signal-lost"]', [LOST], [RISK, VIOLATION]),
        ('kinds = ["entry-missed"]', [MISSED], [RISK, LOST]),
        ('kinds = ["entry-missed"]\ntiers = ["L3"]', [MISSED], []),
        ('tiers = ["L3"]', [HIGH], [NARROW, VIOLATION, LOST]),
        ('tiers = ["L0"]', [NARROW], [HIGH, VIOLATION]),
        ('rules = ["black-screen"]', [RISK, VIOLATION], [warning(rule="absence"), LOST]),
        ('families = ["reception"]', [NARROW], [RISK, VIOLATION, LOST]),
        ('hosts = ["host-?"]', [RISK, LOST], []),
        ('hosts = ["vip-*", "host-2"]', [], [RISK, VIOLATION]),
    ],
)
def test_a_route_takes_what_matches_it(route: str, fits: list[IncidentStatus], not_fits: list[IncidentStatus]) -> None:
    text = f'[[routes]]\nto = ["hook"]\n{route}'
    assert [one.kind for one in fits if to(text, one) != {"hook"}] == []
    assert [one.kind for one in not_fits if to(text, one)] == []


def test_a_condition_of_suppliers_lines_excludes_what_happens_in_rooms() -> None:
    mixed = '[[routes]]\nto = ["hook"]\nkinds = ["violation", "obligation"]\n'
    assert to(mixed, VIOLATION) == {"hook"}
    assert to(mixed + 'suppliers = ["*"]', VIOLATION) == set()


def test_every_route_that_matches_adds_its_targets() -> None:
    text = '[[routes]]\nto = ["hook", "ops"]\n[[routes]]\nto = ["chat", "hook"]\n[[routes]]\nto = ["chat"]\nrules = ["layout"]'  # noqa: E501 - one case a line
    assert to(text, RISK) == {"hook", "ops", "chat"}


NIGHT = '[[routes]]\nto = ["hook"]\nquiet = [{ from = "22:00", until = "08:00", time_zone = "Asia/Shanghai" }]'


@pytest.mark.parametrize(
    ("day", "clock", "ends"),
    [
        ("2026-03-02", "21:59", None),
        ("2026-03-02", "22:00", "2026-03-03"),
        ("2026-03-03", "07:59", "2026-03-03"),
        ("2026-03-03", "08:00", None),
    ],
)
def test_quiet_hours_hold_over_midnight(day: str, clock: str, ends: str | None) -> None:
    now = at(day, clock)
    desk = Desk(NIGHT)
    desk.now = now
    assert desk.say(RISK) == ([] if ends else ["opened at-risk"])
    assert desk.book.next_at("hook") == (at(ends, "08:00") if ends else None)


def test_quiet_hours_of_a_day_belong_to_the_night_that_begins_on_it() -> None:
    quiet = QuietHours(from_="22:00", until="08:00", days=("fri",))
    zone = ZoneInfo("Asia/Shanghai")
    assert quiet.end_at(at("2026-03-07", "03:00"), zone) == at("2026-03-07", "08:00")  # Saturday morning
    assert quiet.end_at(at("2026-03-06", "03:00"), zone) is None  # Friday morning is Thursday's night
    assert quiet.end_at(at("2026-03-07", "23:00"), zone) is None


def test_quiet_hours_end_by_local_time_when_clocks_change() -> None:
    zone = ZoneInfo("America/Los_Angeles")
    quiet = QuietHours(from_="22:00", until="08:00")
    before = at("2026-03-07", "22:00", zone.key)
    end = quiet.end_at(before, zone)
    assert end is not None
    assert end == at("2026-03-08", "08:00", zone.key)
    assert end - before == 9 * 3_600_000


def test_an_end_in_quiet_hours_waits_and_is_never_dropped() -> None:
    for text, expected in ((NIGHT, []), (NIGHT.replace('" }', '", then = "drop" }'), ["resolved cleared"])):
        desk = Desk(text)
        desk.now = at("2026-03-02", "21:00")
        desk.say(RISK)
        desk.now = at("2026-03-02", "23:00")
        assert desk.say(over(RISK, "cleared")) == expected
        assert desk.wait(at("2026-03-03", "08:00")) == ([] if expected else ["resolved cleared"])


ROUTE = '[[routes]]\nto = ["hook"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROUTE + 'rule = ["absence"]', "routes.toml:16: [[routes]] no. 1 rule is not known here; did you mean rules?"),
        (ROUTE + 'rules = ["absense"]', "routes.toml:16: [[routes]] no. 1 rules[0] 'absense' is not known; did you mean absence?"),  # noqa: E501 - one case a line
        (ROUTE + 'families = ["receptions"]', "did you mean reception?"),
        (ROUTE + 'kinds = ["violations"]', "did you mean violation?"),
        (ROUTE + 'tiers = ["L9"]', "'L9' is not known"),
        (ROUTE + 'quiet = [{ from = "25:00", until = "08:00" }]', "routes.toml:16"),
        (ROUTE + 'quiet = [{ from = "22:00", till = "08:00" }]', "did you mean until?"),
        (ROUTE + 'quiet = [{ from = "22:00", until = "22:00" }]', "begins and ends at one time"),
        (ROUTE + 'quiet = [{ from = "22:00", until = "08:00", time_zone = "Asia/Shanghay" }]', "did you mean Asia/Shanghai?"),  # noqa: E501 - one case a line
        (ROUTE + '[[routes]]\nto = ["hok"]', "routes.toml:17: [[routes]] no. 2 to[0] 'hok' is not known; did you mean hook?"),  # noqa: E501 - one case a line
        ("", "routes is missing"),
        (ROUTE + "[target.x]", "did you mean targets?"),
        (ROUTE + "[targets.x]", "[targets.x] kind is missing; known here: alertmanager, webhook, chat"),
        (ROUTE + '[targets.x]\nkind = "webhok"', "did you mean webhook?"),
        (ROUTE + '[targets.x]\nkind = "webhook"\nsecret = "s"', "needs url or url_secret, and not both"),
        (ROUTE + '[targets.x]\nkind = "webhook"\nurl = "ftp://a/b"\nsecret = "s"', "is no URL that can be posted to"),
        (ROUTE + '[targets.x]\nkind = "webhook"\nurl = "https://u:p@h/b"\nsecret = "s"', "has a password in it"),
        (ROUTE + '[targets.x]\nkind = "webhook"\nurl = "https://h/"\nsecret = "s"\ntimeout_ms = 5', "as timeout_s"),
        (ROUTE + '[targets.x]\nkind = "webhook"\nurl = "https://h/"\nsecret = "s"\nper_minute = 0', "at least 1"),
        (ROUTE + '[targets.x]\nkind = "chat"\nurl = "slack://a/b/c"', "url is not known here: such a URL is a secret: give its name as url_secret"),  # noqa: E501 - one case a line
        (ROUTE + '[targets.x]\nkind = "alertmanager"\nurls = []', "must not be empty"),
        (ROUTE + '[targets.x]\nkind = "alertmanager"\nurls = ["http://a"]\nlabels = { rule = "x" }', "is no label of yours"),  # noqa: E501 - one case a line
        (ROUTE + 'kinds = ["obligations"]', "did you mean obligation?"),
        (ROUTE + 'kinds = ["obligation"]\nduties = ["service-anser"]', "did you mean service-answer?"),
        (ROUTE + 'kinds = ["participation"]\nprogrammes = ["recruits"]', "did you mean recruit?"),
        (ROUTE + 'kinds = ["obligation"]\nstatuses = ["breach"]', "did you mean breached?"),
        (ROUTE + 'kinds = ["participation"]\nduties = ["reward"]', 'kinds has no "obligation", which alone has a duty: add it'),  # noqa: E501 - one case a line
        (ROUTE + 'duties = ["reward"]', 'has no "obligation"'),
        (ROUTE + 'kinds = ["obligation"]\nprogrammes = ["recruit"]', 'has no "participation", which alone has a programme: add it'),  # noqa: E501 - one case a line
        (ROUTE + 'suppliers = ["m-*"]', 'has neither "obligation" nor "participation"'),
        (ROUTE + 'kinds = ["obligation", "participation"]\nduties = ["reward"]\nprogrammes = ["recruit"]', "routes.toml:18: [[routes]] no. 1 programmes an alert has a duty or a programme, not both: write two routes"),  # noqa: E501 - one case a line
        (ROUTE + 'kinds = ["obligation"]\nhosts = ["m-*"]', "write two routes"),
        (ROUTE + 'kinds = ["violation", "obligation"]\nhosts = ["m-*"]\nsuppliers = ["m-*"]', "write two routes"),
        (ROUTE + 'kinds = ["obligation"]\nsingly = -1', "at least 0"),
        (ROUTE + 'time_zone = "Mars"\n[targets.y', "not valid TOML"),
        (ROUTE + 'brake = { per_rule = 20, every_s = 3600 }', "needs the kind \"violation\", and a name for vigil notify release"),  # noqa: E501 - one case a line
        (ROUTE + 'name = "a"\nkinds = ["at-risk"]\nbrake = { per_rule = 20, every_s = 3600 }', 'needs the kind "violation"'),  # noqa: E501 - one case a line
        (ROUTE + 'name = "a"\nbrake = { per_rule = 0, every_s = 3600 }', "at least 1"),
        (ROUTE + 'name = "a"\nbrake = { per_rul = 1, every_s = 3600 }', "did you mean per_rule?"),
        (ROUTE + 'name = "a"\n' + ROUTE + 'name = "a"', "routes.toml:19: [[routes]] no. 2 name 'a' is another route's name"),  # noqa: E501 - one case a line
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_place_and_a_remedy(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_key_that_has_moved_says_where_to() -> None:
    said = refused(ROUTE, "signal_hold_s = 30\n" + TARGETS)
    assert said.startswith("routes.toml:1: signal_hold_s is a number of the rulebook now")


def test_all_problems_are_reported_at_once_in_order_of_lines() -> None:
    problems = refused(ROUTE + 'rule = ["x"]\n[targets.x]\nkind = "webhok"').splitlines()
    assert [line.split(":")[1] for line in problems] == ["16", "18"]


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_routing(tmp_path / "none.toml", RULES)


def test_secrets_come_from_a_file_and_the_environment_goes_before(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text('ops-chat = "slack://AAAAAAAA/B/C"\nhook = "one"\n')
    secrets = load_secrets(file, {"VIGIL_NOTIFY_SECRET_HOOK": "two"})
    assert (secrets.of("hook"), secrets.of("ops-chat")) == ("two", "slack://AAAAAAAA/B/C")
    with pytest.raises(SettingsError, match="did you mean ops-chat"):
        secrets.of("opschat")
    with pytest.raises(SettingsError, match="set VIGIL_NOTIFY_SECRET_NONE_SUCH"):
        secrets.of("none-such")


def test_secrets_are_in_no_text(tmp_path: Path) -> None:
    secrets = Secrets({"chat": "slack://TokenAAA/TokenBBB/TokenCCC?x=query-token", "hook": "whsec-123"})
    said = secrets.redact(
        "POST https://hooks.slack.com/services/TokenAAA/TokenBBB/ failed, whsec-123, query-token x=query-token"
    )
    assert not any(part in said for part in ("TokenAAA", "TokenBBB", "whsec-123", "query-token"))
    assert "TokenAAA" not in repr(secrets)
    file = tmp_path / "secrets.toml"
    file.write_text("hook = whsec-12345678\n")
    with pytest.raises(SettingsError) as refusal:
        load_secrets(file, {})
    assert "whsec" not in str(refusal.value)
    assert "line 1" in str(refusal.value)
