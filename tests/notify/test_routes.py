"""The routing file is read strictly; routes and quiet hours send each change to its targets at the right time."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.notify_stories import action, notice, verdict
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import SettingsError
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.routes import QuietHours, Routing
from vigil.app.notify.routing_file import load_routing, names_of, parse_routing
from vigil.app.notify.secrets import Secrets, load_secrets

RULEBOOK = load_rulebook()
RULES = names_of(RULEBOOK)

TARGETS = """
[targets.ops]
kind = "alertmanager"
urls = ["http://localhost:9093"]

[targets.hook]
kind = "webhook"
url = "https://example.org/hook"
secret = "hook"

[targets.chat]
kind = "chat"
url_secret = "chat"
"""


def routing(text: str, targets: str = TARGETS) -> Routing:
    return parse_routing(targets + text, "routes.toml", RULES)


def refused(text: str, targets: str = TARGETS) -> str:
    with pytest.raises(SettingsError) as refusal:
        routing(text, targets)
    return str(refusal.value)


def at(day: str, clock: str, zone: str = "Asia/Shanghai") -> int:
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


NOW = at("2026-03-02", "12:00")


def change(*messages: object) -> IncidentChange:
    """The last change that the messages make."""
    incidents, changes = Incidents(RULEBOOK), []
    for message in messages:
        take = {"Notice": incidents.notice, "Verdict": incidents.verdict, "Action": incidents.action}
        changes += take[type(message).__name__](message, NOW)  # type: ignore[operator]
    return changes[-1]


def to(text: str, what: IncidentChange, now: int = NOW) -> set[str]:
    return set(routing(text).schedule(what, (), now)[0])


RISK = change(notice("at-risk"))
VIOLATION = change(verdict())
ACTION = change(verdict(), action(verdict()))
MISSED = change(notice("entry-missed", buyer_id="b", priority="high"))
PLAIN_MISSED = change(notice("entry-missed", buyer_id="b"))
LOST = change(notice("signal-lost"))


@pytest.mark.parametrize(
    ("route", "fits", "not_fits"),
    [
        ("", [RISK, VIOLATION, ACTION, LOST], [MISSED]),
        ('kinds = ["at-risk"]', [RISK], [VIOLATION, ACTION, LOST, MISSED]),
        ('kinds = ["violation"]', [VIOLATION], [RISK, ACTION, LOST, MISSED]),
        ('kinds = ["action"]', [ACTION], [RISK, VIOLATION]),
        ('kinds = ["entry-missed"]', [MISSED, PLAIN_MISSED], [RISK, LOST]),
        ('kinds = ["entry-missed"]\ntiers = ["L3"]', [MISSED], [PLAIN_MISSED]),
        ('kinds = ["entry-missed"]\ntiers = ["L0"]', [PLAIN_MISSED], [MISSED]),
        ('rules = ["black-screen"]', [RISK, VIOLATION], [change(notice("at-risk", rule="absence")), LOST]),
        ('families = ["reception"]', [change(notice("at-risk", rule="absence"))], [RISK, VIOLATION, LOST]),
        ('hosts = ["host-?"]', [RISK, LOST], []),
        ('hosts = ["vip-*", "host-2"]', [], [RISK, VIOLATION]),
    ],
)
def test_a_route_takes_what_matches_it(route: str, fits: list[IncidentChange], not_fits: list[IncidentChange]) -> None:
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


def test_the_end_goes_to_the_targets_that_were_notified_of_the_beginning() -> None:
    incidents = Incidents(RULEBOOK)
    [opened] = incidents.notice(notice("at-risk"), NOW)
    routes = routing('[[routes]]\nto = ["hook"]\n[[routes]]\nto = ["chat", "ops"]\nends = false')
    when, ends = routes.schedule(opened, (), NOW)
    assert set(when) == {"hook", "chat", "ops"}
    assert ends == ("hook", "ops"), "an Alertmanager is always notified of the end"
    incidents.add_end_targets(opened.incident.id, ends)
    [resolved] = incidents.notice(notice("risk-cleared", at=80), NOW)
    assert set(routes.schedule(resolved, resolved.incident.end_targets, NOW)[0]) == {"hook", "ops"}


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
    assert routing(NIGHT).schedule(RISK, (), now)[0] == {"hook": at(ends, "08:00") if ends else now}


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


def test_quiet_hours_can_drop_and_a_route_that_is_awake_goes_first() -> None:
    dropping = NIGHT.replace('" }', '", then = "drop" }')
    night = at("2026-03-02", "23:00")
    assert to(dropping, RISK, night) == set()
    both = NIGHT + '\n[[routes]]\nto = ["hook"]\nkinds = ["violation"]'
    assert routing(both).schedule(VIOLATION, (), night)[0] == {"hook": night}
    assert routing(both).schedule(RISK, (), night)[0] == {"hook": at("2026-03-03", "08:00")}


def test_an_end_in_quiet_hours_waits_and_is_never_dropped() -> None:
    incidents = Incidents(RULEBOOK)
    [opened] = incidents.notice(notice("at-risk"), NOW)
    incidents.add_end_targets(opened.incident.id, ("hook",))
    [resolved] = incidents.notice(notice("risk-cleared", at=80), NOW)
    night = at("2026-03-02", "23:00")
    assert routing(NIGHT).schedule(resolved, ("hook",), night)[0] == {"hook": at("2026-03-03", "08:00")}
    assert routing(NIGHT.replace('" }', '", then = "drop" }')).schedule(resolved, ("hook",), night)[0] == {
        "hook": night
    }


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
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_place_and_a_remedy(text: str, said: str) -> None:
    assert said in refused(text)


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
