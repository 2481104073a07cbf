"""Where settings come from, which source wins, and how each mistake is rejected.

With VIGIL_WRITE_DOCS=1 the table of docs/settings.md is written instead of compared.
"""

import ast
import contextlib
import datetime
import os
import pty
import re
import ssl
import subprocess
import sys
import tomllib
import types
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
import pytest
from msgspec import Meta

from vigil.app.console.settings import ConsoleBounds, ConsoleSettings
from vigil.app.kafka import settings as module
from vigil.app.kafka.settings import FILE, PREFIX, Settings, SettingsError
from vigil.app.kafka.settings_loader import load_settings
from vigil.app.kafka.url_templates import filled
from vigil.app.kafka.variables import CONSOLE

PAGE: Final = Path(__file__).parents[2] / "docs" / "settings.md"
BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->\n"
PASSWORD: Final = "correct-horse"
SASL: Final = {"VIGIL_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "VIGIL_SASL_USERNAME": "vigil"}


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None, **options: Any) -> Settings:
    """Load settings from a file with this text."""
    file = tmp_path / "vigil.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, environment or {}, **options)


def rejection(file: Path | None = None, environment: dict[str, str] | None = None, **options: Any) -> str:
    """The message with which settings are rejected."""
    with pytest.raises(SettingsError) as rejected:
        load_settings(file, environment or {}, **options)
    return str(rejected.value)


# ---- precedence --------------------------------------------------------------------------------------------------


def test_without_any_source_the_defaults_hold() -> None:
    assert load_settings(None, {}) == Settings()


def test_the_command_line_overrides_the_environment_and_that_the_file(tmp_path: Path) -> None:
    file, environment = 'broker = "file:1"', {"VIGIL_BROKER": "environment:1"}
    assert load(tmp_path, file).broker == "file:1"
    assert load(tmp_path, file, environment).broker == "environment:1"
    assert load(tmp_path, file, environment, broker="option:1").broker == "option:1"
    assert load(tmp_path, file, environment, broker=None).broker == "environment:1"


def test_vigil_config_names_the_file_unless_the_command_line_does(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f'app_id = "{name}"')
    environment = {FILE: str(tmp_path / "one")}
    assert load_settings(None, environment).app_id == "one"
    assert load_settings(tmp_path / "two", environment).app_id == "two"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("WEB_PORT", "8080", 8080),
        ("RULEBOOK_CHANGED", "1", True),
        ("RULEBOOK_CHANGED", "true", True),
        ("IDEMPOTENT_PRODUCER", "False", False),
        ("RULEBOOK", "/etc/rulebook.toml", "/etc/rulebook.toml"),
        ("SASL_USERNAME", "12", "12"),
        ("LOG_LEVEL", "debug", "debug"),
    ],
)
def test_numbers_and_booleans_are_parsed_from_the_environment(name: str, text: str, value: object) -> None:
    assert getattr(load_settings(None, {PREFIX + name: text}), name.lower()) == value


def test_variables_of_kubernetes_and_of_others_are_ignored() -> None:
    kubernetes = {
        "VIGIL_SERVICE_HOST": "10.0.0.1",
        "VIGIL_PORT": "tcp://10.0.0.1:6066",
        "VIGIL_PORT_6066_TCP": "tcp://10.0.0.1:6066",
        "VIGIL_PORT_6066_TCP_ADDR": "10.0.0.1",
        "VIGIL_NOTIFY_SERVICE_PORT_METRICS": "6066",
        "VIGILANTE": "1",
    }
    assert load_settings(None, kubernetes) == Settings()


def test_every_part_knows_the_variables_of_all_parts() -> None:
    others = {"VIGIL_CONSOLE_TIME_ZONE": "Asia/Shanghai", "VIGIL_NOTIFY_ROUTES": "x", "VIGIL_NOTIFY_SECRET_CHAT": "y"}
    assert load_settings(None, {**others, "VIGIL_REQUIRE_KAFKA": "1"}) == Settings()
    own = {f"max_{field.name}" for field in msgspec.structs.fields(ConsoleBounds)}
    own |= {field.name for field in msgspec.structs.fields(ConsoleSettings)} - {"bounds"}
    assert {name.upper() for name in own} == set(CONSOLE)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("VIGIL_LATENES", "VIGIL_LATENES is not a setting; did you mean VIGIL_ALLOWED_LATENESS_MS?"),
        ("VIGIL_CONSOL_PORT", "VIGIL_CONSOL_PORT is not a setting; did you mean VIGIL_CONSOLE_PORT?"),
        ("VIGIL_CONSOLE_PROT", "VIGIL_CONSOLE_PROT is not a setting; did you mean VIGIL_CONSOLE_PORT?"),
        ("VIGIL_NOTIFY_ROUTE", "VIGIL_NOTIFY_ROUTE is not a setting; did you mean VIGIL_NOTIFY_ROUTES?"),
        ("VIGIL_PORT", "VIGIL_PORT is not a setting; did you mean VIGIL_WEB_PORT?"),
        ("VIGIL_XYZZY_QQQ", "VIGIL_XYZZY_QQQ is not a setting: docs/settings.md has the names of all"),
    ],
)
def test_a_variable_that_no_part_knows_is_rejected_with_the_nearest(name: str, words: str) -> None:
    assert rejection(None, {name: "3"}) == words


# ---- links ----------------------------------------------------------------------------


def test_url_templates_are_filled_with_quoted_values() -> None:
    settings = load_settings(None, {"VIGIL_ROOM_URL": "https://live.example:8443/r/{room_id}?by={host_id}#now"})
    assert filled(settings.room_url, room_id="a/b?c d", host_id="商") == (
        "https://live.example:8443/r/a%2Fb%3Fc%20d?by=%E5%95%86#now"
    )
    assert filled(settings.clip_url, room_id="r", host_id="h", at=1) is None
    assert filled(settings.room_url, room_id="..", host_id="h") is None


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("javascript:alert({room_id})", "is no http or https URL"),
        ("live.example.com/{room_id}", "is no http or https URL"),
        ("https:///{room_id}", "is no http or https URL"),
        ("https://live.example/rooms", "has no placeholder; known are {room_id}, {host_id}"),
        ("https://live.example/{room}", "has the placeholder {room}; known are {room_id}, {host_id}"),
        ("https://live.example/{room_id.__class__}", "has the placeholder {room_id.__class__}"),
        ("https://live.example/{room_id!r}", "has the placeholder {room_id}"),
        ("https://live.example/{}", "has the placeholder {}"),
        ("https://live.example/{room_id", "is no URL template"),
        ("https://{room_id}.example/", "has a placeholder in its host name"),
        ("https://me:{room_id}@live.example/", "contains a user name or password"),
        ("https://live.example/ {room_id}", "contains white space"),
    ],
)
def test_a_url_template_that_would_lead_astray_is_rejected(template: str, words: str) -> None:
    assert words in rejection(None, {"VIGIL_ROOM_URL": template})


# ---- rejections -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("webport = 1", "webport is not a setting; did you mean web_port?"),
        ("[worker]\nweb_port = 1", "worker is not a setting; known are allowed_lateness_ms, allowed_lateness_ms_by_"),
        ('web_port = "6066"', "web_port: '6066' cannot be used: Expected `int`, got `str`"),
        ("web_port = 6066.0", "web_port: 6066.0 cannot be used: Expected `int`, got `float`"),
        ("web_port = true", "web_port: True cannot be used: Expected `int`, got `bool`"),
        ("web_port = 65536", "web_port: 65536 cannot be used: Expected `int` <= 65535"),
        ("allowed_lateness_ms = -1", "allowed_lateness_ms: -1 cannot be used: Expected `int` >= 0"),
        ("fetch_wait_ms = 0", "fetch_wait_ms: 0 cannot be used: Expected `int` >= 1"),
        ("rulebook_changed = 1", "rulebook_changed: 1 cannot be used: Expected `bool`, got `int`; it is true or false"),
        ('clock = "Live"', "clock: 'Live' cannot be used: Invalid enum value 'Live'; it is one of live, recorded"),
        ('security_protocol = "TLS"', "it is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ('app_id = "no spaces"', "app_id: 'no spaces' cannot be used"),
        ('broker = ["a:1"]', "broker: ['a:1'] cannot be used: Expected `str`, got `array`"),
        ('broker = "localhost"', "broker: 'localhost' is not host:port; write for example kafka:9092"),
        ('broker = "a:1,b"', "'b' is not host:port"),
        ('broker = "a:1,"', "'' is not host:port"),
        ('broker = "a:0"', "'a:0' is not host:port"),
        ('broker = "a:65536"', "'a:65536' is not host:port"),
        ('broker = "a:²"', "'a:²' is not host:port"),
        ('broker = "kafka://a:1"', "'kafka://a:1' is not host:port"),
        (f'broker = "kafka://me:{PASSWORD}@a:1"', "a name and a password do not belong there, use sasl_username"),
        (f'broker = "b:1,me:{PASSWORD}@a:1"', "a name and a password do not belong there, use sasl_username"),
        ("recorded_until = 253402300800000", "cannot be used: Expected `int` <= 253402300799999"),
        ("recorded_until = 1662048000000", "recorded_until: only for a recorded clock; set clock"),
        ('ssl_key_file = "key.pem"', "ssl_cert_file is missing: ssl_key_file is given"),
        ('security_protocol = "SASL_SSL"', "sasl_username is missing: security_protocol is SASL_SSL"),
        (
            'security_protocol = "SASL_SSL"\nsasl_username = "me"',
            "sasl_password_file (or VIGIL_SASL_PASSWORD) is missing: security_protocol is SASL_SSL",
        ),
        (f'sasl_password = "{PASSWORD}"', "a secret does not belong in the file; use VIGIL_SASL_PASSWORD"),
        ("web_port", "is not TOML: Expected '=' after a key"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_rejected_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "vigil.toml"
    file.write_text(text, encoding="utf-8")
    message = rejection(file)
    assert words in message
    assert PASSWORD not in message
    if "missing" not in message:
        assert message.startswith(f"{file}: ")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    assert rejection(tmp_path / "none.toml") == f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"
    assert rejection(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    latin = tmp_path / "latin.toml"
    latin.write_bytes('app_id = "vigíl"'.encode("latin-1"))
    assert rejection(latin).startswith(f"{latin}: is not TOML: ")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("VIGIL_WEB_PROT", "1", "VIGIL_WEB_PROT is not a setting; did you mean VIGIL_WEB_PORT?"),
        ("VIGIL_RECORDED_UNTILL", "1", "VIGIL_RECORDED_UNTILL is not a setting; did you mean VIGIL_RECORDED_UNTIL?"),
        ("VIGIL_WEB_PORT", "http", "VIGIL_WEB_PORT: 'http' cannot be used: Expected `int`, got `str`"),
        ("VIGIL_WEB_PORT", "", "VIGIL_WEB_PORT: '' cannot be used"),
        ("VIGIL_WEB_PORT", "70000", "VIGIL_WEB_PORT: '70000' cannot be used: Expected `int` <= 65535"),
        ("VIGIL_RULEBOOK_CHANGED", "yes", "VIGIL_RULEBOOK_CHANGED: 'yes' cannot be used"),
        ("VIGIL_BROKER", "kafka", "VIGIL_BROKER: 'kafka' is not host:port"),
        ("VIGIL_RECORDED_UNTIL", "1662048000000", "VIGIL_RECORDED_UNTIL: only for a recorded clock"),
    ],
)
def test_a_mistake_in_the_environment_is_rejected_with_the_variable(name: str, text: str, words: str) -> None:
    assert rejection(None, {name: text}).startswith(words)


def test_a_mistake_on_the_command_line_is_rejected_with_the_option() -> None:
    assert rejection(None, {"VIGIL_BROKER": "a:1"}, broker="kafka").startswith("--broker: 'kafka' is not host:port")


@pytest.mark.parametrize("servers", ["a:1", "a:1, b:2", "[::1]:9092", "10.0.0.1:9092"])
def test_servers_that_clients_accept_are_accepted(servers: str) -> None:
    assert load_settings(None, {"VIGIL_BROKER": servers}).broker == servers


# ---- secrets ----------------------------------------------------------------------------------------------------


def test_the_password_reaches_the_client_and_no_repr() -> None:
    settings = load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD": PASSWORD})
    for shown in (repr(settings), str(settings), f"{settings}", str([settings]), str(settings.__rich_repr__())):
        assert PASSWORD not in shown
        assert "vigil" in shown
    assert settings.kafka()["sasl_plain_password"] == PASSWORD
    assert settings.kafka()["sasl_mechanism"] == "SCRAM-SHA-512"


def test_a_password_that_looks_like_a_number_or_boolean_stays_text() -> None:
    for text in ("null", "true", "12", "1e5"):
        assert load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD": text}).password() == text


def test_white_space_around_the_password_in_its_file_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    assert load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD_FILE": str(file)}).password() == PASSWORD


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot read"), (b" \n", "is empty"), (b"\xffpass", "is not UTF-8")]
)
def test_an_unusable_password_file_is_rejected(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD_FILE": str(file)})
    with pytest.raises(SettingsError) as rejected:
        settings.kafka()
    assert words in str(rejected.value)
    assert str(file) in str(rejected.value)
    assert rejected.value.__cause__ is None or isinstance(rejected.value.__cause__, OSError)


def test_a_password_and_a_password_file_exclude_each_other() -> None:
    message = rejection(None, {**SASL, "VIGIL_SASL_PASSWORD": PASSWORD, "VIGIL_SASL_PASSWORD_FILE": "file"})
    assert "both given" in message
    assert PASSWORD not in message


# ---- TLS --------------------------------------------------------------------------------------------------------


def test_tls_trusts_the_system_and_checks_host_names_by_default() -> None:
    context = load_settings(None, {"VIGIL_SECURITY_PROTOCOL": "SSL"}).ssl_context()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert Settings().ssl_context() is None


@pytest.mark.parametrize("name", ["VIGIL_SSL_CA_FILE", "VIGIL_SSL_CERT_FILE"])
def test_an_unusable_certificate_is_rejected(tmp_path: Path, name: str) -> None:
    file = tmp_path / "not-a-certificate.pem"
    for content in (None, "nothing"):
        if content is not None:
            file.write_text(content)
        settings = load_settings(None, {"VIGIL_SECURITY_PROTOCOL": "SSL", name: str(file)})
        with pytest.raises(SettingsError, match="ssl_ca_file, ssl_cert_file or ssl_key_file cannot be used"):
            settings.ssl_context()


KEY_WITH_A_PASS_PHRASE: Final = """
import sys
from vigil.app.kafka.settings import Settings, SettingsError
try:
    Settings(security_protocol="SSL", ssl_cert_file=sys.argv[1], ssl_key_file=sys.argv[2]).ssl_context()
except SettingsError as error:
    print(error)
"""


def test_a_key_with_a_pass_phrase_is_rejected_without_a_prompt(tmp_path: Path) -> None:
    certificate, key = f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=vigil", "-passout", f"pass:{PASSWORD}",
         "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", KEY_WITH_A_PASS_PHRASE, certificate, key])
    output = b""
    with contextlib.suppress(OSError):  # raised at the end of a pseudo-terminal
        while b"phrase" not in output and (more := os.read(terminal, 4096)):
            output += more
    os.close(terminal)
    os.waitpid(child, 0)
    assert b"phrase" not in output
    assert b"ssl_key_file cannot be used" in output


# ---- the page ---------------------------------------------------------------------------------------------------


def descriptions() -> dict[str, str]:
    """The text below each setting in the code."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    found = {}
    for setting, below in pairwise(body):
        if isinstance(setting, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            assert isinstance(setting.target, ast.Name)
            found[setting.target.id] = " ".join(str(below.value.value).split())
    return found


def kind(annotation: Any) -> str:
    """The values that a type allows, in words."""
    if get_origin(annotation) is Annotated:
        inner, *limits = get_args(annotation)
        (limit,) = [limit for limit in limits if isinstance(limit, Meta)]
        if inner is str and not limit.min_length:
            return f"at most {limit.max_length} characters: letters, digits, `.`, `_`, `-`"
        if inner is str:
            return f"name of at most {limit.max_length} characters: letters, digits, `.`, `_`, `-`"
        return f"{limit.ge:,} to {limit.le:,}" if limit.le is not None else f"{limit.ge:,} or more"
    if get_origin(annotation) is dict:
        return f"a table; each value {kind(get_args(annotation)[1])}"
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return kind(next(one for one in get_args(annotation) if one is not type(None)))
    return {str: "text", bool: "`true` or `false`", int: "number"}[annotation]


def table() -> str:
    """Every setting, as Markdown."""
    described = descriptions()
    lines = ["| setting | description | values | default |", "| --- " * 4 + "|"]
    for field in msgspec.structs.fields(Settings):
        default = "–" if field.default in (None, "", msgspec.NODEFAULT) else f"`{str(field.default).lower()}`"
        if field.default and isinstance(field.default, str):
            default = f"`{field.default}`"
        lines.append(f"| `{field.name}` | {described[field.name]} | {kind(field.type)} | {default} |")
    return "\n".join(lines) + "\n"


def test_the_page_has_the_table_generated_from_the_code() -> None:
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    written, _, tail = rest.partition(END)
    if os.environ.get("VIGIL_WRITE_DOCS") == "1":
        PAGE.write_text(f"{head}{BEGIN}{table()}{END}{tail}", encoding="utf-8")
        return
    assert written == table(), "docs/settings.md is out of date: VIGIL_WRITE_DOCS=1 pytest tests/kafka/test_settings.py"


def test_every_setting_has_a_description() -> None:
    assert descriptions().keys() == {field.name for field in msgspec.structs.fields(Settings)}


def test_the_example_file_of_the_page_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    settings = load(tmp_path, example)
    for name, value in tomllib.loads(example).items():
        assert getattr(settings, name) == value
        assert not isinstance(value, datetime.date)


# ---- lateness by topic


def test_lateness_by_topic_is_a_table_or_one_variable(tmp_path: Path) -> None:
    file = tmp_path / "vigil.toml"
    file.write_text("allowed_lateness_ms = 1000\n[allowed_lateness_ms_by_topic]\ncomment = 7000\nquote = 3000\n")
    for settings in (
        load_settings(file, {}),
        load_settings(
            None,
            {"VIGIL_ALLOWED_LATENESS_MS": "1000", "VIGIL_ALLOWED_LATENESS_MS_BY_TOPIC": "comment=7000, quote=3000"},
        ),
    ):
        assert [settings.lateness_ms(topic) for topic in ("comment", "quote", "payment")] == [7000, 3000, 1000]
        assert settings.largest_lateness_ms() == 7000
    assert Settings().largest_lateness_ms() == Settings().allowed_lateness_ms


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "coment=7000",
            "VIGIL_ALLOWED_LATENESS_MS_BY_TOPIC: coment is no topic that Vigil reads; did you mean comment",
        ),
        ("verdict=7000", "verdict is no topic that Vigil reads; known are buyer-entry, comment"),
        ("comment:7000", "'comment:7000' is not name=value"),
        ("comment=slow", "cannot be used: Expected `int`"),
        ("comment=-1", "cannot be used: Expected `int` >= 0"),
    ],
)
def test_lateness_of_an_unknown_topic_or_in_another_form_is_rejected(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {"VIGIL_ALLOWED_LATENESS_MS_BY_TOPIC": text})
    assert words in str(caught.value)
