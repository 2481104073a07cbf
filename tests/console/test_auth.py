"""Who may view and who may review: by tokens, by a signing-in proxy, on this machine alone; and who may not."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from tests.support.console_stories import ConsoleStage, simulated, simulated_console
from vigil.app.cli.main import main
from vigil.app.console.auth.authenticator import SESSION_COOKIE, Authenticator, Person, is_local
from vigil.app.console.auth.tokens import new_token, read_tokens
from vigil.app.console.settings import ConsoleSettings, load_console_settings
from vigil.app.kafka.settings import SettingsError

TOKEN, LINE = new_token("mei", "review")
VIEWER, VIEWER_LINE = new_token("lin", "view")


def client(console: ConsoleStage, peer: str = "127.0.0.1", name: str = "localhost") -> TestClient:
    return TestClient(console.app, base_url=f"http://{name}", client=(peer, 4711), follow_redirects=False)


def form_token(page: str) -> str:
    return re.findall(r'name="form_token" value="([0-9a-f]+)"', page)[0]


def signed_in(console: ConsoleStage, token: str) -> TestClient:
    browser = client(console)
    page = browser.get("/sign-in").text
    answer = browser.post("/sign-in?back=/suppliers", data={"token": token, "form_token": form_token(page)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/suppliers")
    return browser


# ---- what it starts with


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "console.example"])
def test_beyond_this_machine_it_does_not_start_without_a_sign_in(host: str):
    with pytest.raises(SettingsError, match=r"--new-token.*TOKENS_FILE.*PROXY_HEADER"):
        Authenticator(ConsoleSettings(host=host))
    assert Authenticator(ConsoleSettings(host=host, tokens=LINE)).mode == "tokens"
    behind = ConsoleSettings(host=host, proxy_header="X-User", trusted_proxies="10.0.0.1")
    assert Authenticator(behind).mode == "proxy"


@pytest.mark.parametrize(
    "host, local",
    [("localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", False), ("x", False)],
)
def test_which_hosts_only_this_machine_reaches(host: str, local: bool):
    assert is_local(host) is local


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"proxy_header": "X-User"}, "TRUSTED_PROXIES is missing"),
        ({"proxy_header": "X-User", "trusted_proxies": "10.0.0.300"}, "no address or network"),
        ({"proxy_header": "X-User", "trusted_proxies": "10.0.0.1", "tokens": LINE}, "two ways"),
        ({"proxy_header": "X-User", "trusted_proxies": "10.0.0.1", "review_group": "r"}, "PROXY_GROUPS_HEADER"),
        ({"tokens": "admin mei sha256:00"}, "line 1 is not"),
        ({"tokens": "view mei sha256:00"}, "64 hexadecimal"),
        ({"tokens": f"{LINE}\n{LINE}"}, "the same token"),
        ({"tokens_file": "/nowhere/tokens"}, "cannot read"),
        ({"secret_file": "/nowhere/secret"}, "cannot read"),
    ],
)
def test_settings_that_let_in_nobody_or_anybody_are_refused(settings: dict[str, str], words: str):
    with pytest.raises(SettingsError, match=words):
        Authenticator(ConsoleSettings(**settings))


def test_a_tokens_file_with_comments(tmp_path: Path):
    file = tmp_path / "tokens"
    file.write_text(f"# who may\n\n{LINE}  # until May\n{VIEWER_LINE}\n")
    assert [token.name for token in read_tokens(file.read_text(), "f")] == ["mei", "lin"]
    file.write_text("# nobody\n")
    with pytest.raises(SettingsError, match="nobody could sign in"):
        Authenticator(ConsoleSettings(tokens_file=str(file)))


def test_settings_come_from_the_environment_and_wrong_ones_are_named():
    settings = load_console_settings({"VIGIL_CONSOLE_PORT": "9000", "VIGIL_CONSOLE_MAX_ROOMS": "50"}, host="::1")
    assert (settings.port, settings.bounds.rooms, settings.host) == (9000, 50, "::1")
    for environment, words in (
        ({"VIGIL_CONSOLE_PORT": "tcp://10.0.0.1:80"}, "VIGIL_CONSOLE_PORT"),
        ({"VIGIL_CONSOLE_TOKEN_FILE": "x"}, "did you mean VIGIL_CONSOLE_TOKENS_FILE"),
        ({"VIGIL_CONSOLE_TIME_ZONE": "Mars/Base"}, "no time zone"),
        ({"VIGIL_CONSOLE_TLS_CERT_FILE": "x"}, "belong together"),
    ):
        with pytest.raises(SettingsError, match=words):
            load_console_settings(environment)
    assert "sha256" not in repr(ConsoleSettings(tokens=LINE))


def test_the_command_makes_tokens_and_refuses_to_be_open_to_everybody():
    made = CliRunner().invoke(main, ["console", "--new-token", "mei", "--role", "review"])
    # The line goes to standard output, to be redirected into a file; the token goes to standard error.
    (token,) = re.findall(r"\A.*nowhere\):  (\S+)\n\Z", made.stderr)
    auth = Authenticator(ConsoleSettings(tokens=made.stdout))
    assert auth.person(None, {}, {SESSION_COOKIE: auth.sign_in(token) or ""}) == Person("mei", "review")
    refused = CliRunner().invoke(main, ["console", "--host", "0.0.0.0", "--broker", "127.0.0.1:1"])
    assert refused.exit_code == 2 and "nobody would have to sign in" in refused.stderr


# ---- tokens


def test_without_a_sign_in_nothing_is_shown():
    browser = client(ConsoleStage(tokens=LINE))
    for path in ("/", "/room?id=x", "/suppliers", "/search?q=a"):
        answer = browser.get(path)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?back=%2F")
    for path in ("/live/wall", "/live/room?id=x", "/live/check"):
        assert browser.get(path).status_code == 401
    assert browser.post("/review", data={}).status_code == 401
    assert browser.get("/health/live").status_code == 200


def test_a_token_signs_in_and_signing_out_ends_it():
    browser = signed_in(ConsoleStage(tokens=f"{LINE}\n{VIEWER_LINE}"), TOKEN)
    page = browser.get("/")
    assert page.status_code == 200 and "mei" in page.text and "reviewing" in page.text
    cookie = next(one for one in browser.cookies.jar if one.name == SESSION_COOKIE)
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "lax"
    browser.post("/sign-out", data={"form_token": form_token(page.text)})
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("copy", [lambda sealed: sealed, lambda sealed: sealed[:5] + "!" + sealed[5:]])
def test_a_copy_of_the_cookie_is_worth_nothing_after_signing_out(copy: Callable[[str], str]) -> None:
    console = ConsoleStage(tokens=LINE)
    browser, elsewhere = signed_in(console, TOKEN), signed_in(console, TOKEN)
    stolen = client(console)
    stolen.cookies.set(SESSION_COOKIE, copy(browser.cookies[SESSION_COOKIE]))
    assert stolen.get("/").status_code == 200
    browser.post("/sign-out", data={"form_token": form_token(browser.get("/").text)})
    assert stolen.get("/").status_code == 303
    assert elsewhere.get("/").status_code == 200, "the same person in another browser"


def test_a_sign_in_of_an_earlier_version_is_still_known_and_can_be_ended() -> None:
    auth = Authenticator(ConsoleSettings(tokens=LINE))
    digest = read_tokens(LINE, "x")[0].digest
    cookie = auth._seal(f"{digest} {int(time.time()) + 60}")
    assert auth.person(None, {}, {SESSION_COOKIE: cookie}) == Person("mei", "review")
    auth.sign_out(cookie)
    assert auth.person(None, {}, {SESSION_COOKIE: cookie}) is None
    for content in (f"{digest} ²", f"{digest} -1", digest, f"{digest} {'9' * 5000}"):
        assert auth.person(None, {}, {SESSION_COOKIE: auth._seal(content)}) is None


def test_a_wrong_token_and_a_form_of_somebody_else_do_not_sign_in():
    console = ConsoleStage(tokens=LINE)
    browser = client(console)
    page = browser.get("/sign-in").text
    wrong = browser.post("/sign-in", data={"token": TOKEN + "x", "form_token": form_token(page)})
    assert wrong.status_code == 401 and "not known" in wrong.text and SESSION_COOKIE not in browser.cookies
    foreign = client(console).post("/sign-in", data={"token": TOKEN, "form_token": form_token(page)})
    assert foreign.status_code == 401


def test_a_forged_an_expired_and_a_foreign_sign_in_are_refused(monkeypatch: pytest.MonkeyPatch):
    auth = Authenticator(ConsoleSettings(tokens=f"{LINE}\n{VIEWER_LINE}"))
    cookie = auth.sign_in(TOKEN)
    assert cookie is not None and auth.person(None, {}, {SESSION_COOKIE: cookie}) == Person("mei", "review")
    for forged in (cookie[:-4] + "AAAA", cookie[5:], "", "x", "AAAA", "é"):
        assert auth.person(None, {}, {SESSION_COOKIE: forged}) is None
    other = Authenticator(ConsoleSettings(tokens=LINE))  # another start, another secret
    assert other.person(None, {}, {SESSION_COOKIE: cookie}) is None
    monkeypatch.setattr("vigil.app.console.auth.authenticator.time.time", lambda: 4e9)
    assert auth.person(None, {}, {SESSION_COOKIE: cookie}) is None


def test_consoles_with_one_secret_share_sign_ins_until_the_token_is_removed(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("s" * 40)
    one = Authenticator(ConsoleSettings(tokens=f"{LINE}\n{VIEWER_LINE}", secret_file=str(secret)))
    two = Authenticator(ConsoleSettings(tokens=LINE, secret_file=str(secret)))
    for token, name in ((TOKEN, "mei"), (VIEWER, None)):
        person = two.person(None, {}, {SESSION_COOKIE: one.sign_in(token) or ""})
        assert (person.name if person else None) == name


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", ""])
def test_a_sign_in_leads_to_pages_of_this_console_only(back: str):
    browser = client(ConsoleStage(tokens=LINE))
    page = browser.get("/sign-in").text
    data = {"token": TOKEN, "form_token": form_token(page)}
    assert browser.post("/sign-in", params={"back": back}, data=data).headers["location"] == "/"
    assert browser.get("/set", params={"lang": "zh", "back": back}).headers["location"] == "/"


# ---- proxy


def behind_proxy(**settings: str) -> ConsoleStage:
    return ConsoleStage(host="0.0.0.0", proxy_header="X-User", trusted_proxies="10.0.0.0/8, ::1", **settings)


@pytest.mark.parametrize("peer, status", [("10.1.2.3", 200), ("::1", 200), ("::ffff:10.1.2.3", 200), ("11.0.0.1", 303)])
def test_the_proxys_header_is_accepted_from_the_proxy_alone(peer: str, status: int):
    assert client(behind_proxy(), peer).get("/", headers={"X-User": "mei"}).status_code == status


def test_the_proxy_must_name_somebody_once():
    browser = client(behind_proxy(), "10.0.0.1")
    assert browser.get("/").status_code == 303
    assert browser.get("/", headers={"X-User": "  "}).status_code == 303
    twice = browser.get("/", headers=[("X-User", "mei"), ("X-User", "root")])
    assert twice.status_code == 400


@pytest.mark.parametrize(
    "groups, role", [("staff, vigil-review", "reviewing"), ("vigil-reviewers", "viewing"), ("", "viewing")]
)
def test_members_of_the_review_group_may_review(groups: str, role: str):
    console = behind_proxy(proxy_groups_header="X-Groups", review_group="vigil-review", proxy_role="review")
    page = client(console, "10.0.0.1").get("/", headers={"X-User": "mei", "X-Groups": groups}).text
    assert f"mei</bdi> · {role}" in page


def test_a_name_in_utf_8_is_the_name_also_in_a_review() -> None:
    console = behind_proxy(proxy_role="review", proxy_groups_header="X-Groups", review_group="审核")
    for message in simulated()[1].by_topic["verdict"][:1]:
        console.take("verdict", message.body)
    [verdict_id] = console.state.model.verdicts
    headers = {"X-User": "梅 Müller".encode(), "X-Groups": "staff,审核".encode()}
    browser = client(console, "10.0.0.1")
    page = browser.get(f"/verdict?id={verdict_id}", headers=headers).text
    assert "梅 Müller</bdi> · reviewing" in page
    form = {"form_token": form_token(page), "verdict_id": verdict_id, "decision": "upheld", "reason": ""}
    assert browser.post("/review", data=form, headers=headers).status_code == 303
    assert [review.by for review in console.sent] == ["梅 Müller"]
    latin = browser.get("/", headers={"X-User": "Müller".encode("latin-1"), "X-Groups": b""}).text
    assert "Müller</bdi> · viewing" in latin


# ---- this machine


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "x-forwarded", "Via", "X-Real-IP"]
)
def test_where_nobody_signs_in_nothing_that_a_proxy_forwards_is_answered(header: str) -> None:
    for path in ("/", "/live/wall", "/health/live"):
        answer = client(ConsoleStage()).get(path, headers={header: "192.0.2.1"})
        assert (answer.status_code, header.lower() in answer.text) == (403, True)
    signed = signed_in(ConsoleStage(tokens=LINE), TOKEN)
    assert signed.get("/", headers={header: "192.0.2.1"}).status_code == 200


def test_where_nobody_signs_in_only_the_names_of_this_machine_are_answered():
    console = simulated_console()
    for name, status in (("localhost", 200), ("127.0.0.1:8080", 200), ("[::1]:8080", 200), ("evil.example", 421)):
        assert client(console).get("/", headers={"Host": name}).status_code == status


def test_only_the_allowed_host_names_are_answered():
    console = ConsoleStage(tokens=LINE, allowed_hosts="vigil.example")
    for name, status in (("vigil.example", 303), ("localhost", 303), ("evil.example", 421)):
        assert client(console).get("/", headers={"Host": name}).status_code == status
