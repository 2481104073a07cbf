"""Settings: where they come from, who wins, how each mistake is refused. VIGIL_WRITE_DOCS=1 writes the table anew."""

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

from vigil.app.kafka import settings as module
from vigil.app.kafka.settings import FILE, PREFIX, Settings, SettingsError, load_settings

PAGE: Final = Path(__file__).parents[2] / "docs" / "settings.md"
BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->\n"
PASSWORD: Final = "correct-horse"
SASL: Final = {"VIGIL_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "VIGIL_SASL_USERNAME": "vigil"}


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None, **told: Any) -> Settings:
    """Settings of a file with this text."""
    file = tmp_path / "vigil.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, environment or {}, **told)


def refusal(file: Path | None = None, environment: dict[str, str] | None = None, **told: Any) -> str:
    """The words with which settings are refused."""
    with pytest.raises(SettingsError) as refused:
        load_settings(file, environment or {}, **told)
    return str(refused.value)


# ---- who wins ---------------------------------------------------------------------------------------------------


def test_without_anything_told_the_defaults_hold() -> None:
    assert load_settings(None, {}) == Settings()


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(tmp_path: Path) -> None:
    file, environment = 'broker = "file:1"', {"VIGIL_BROKER": "environment:1"}
    assert load(tmp_path, file).broker == "file:1"
    assert load(tmp_path, file, environment).broker == "environment:1"
    assert load(tmp_path, file, environment, broker="told:1").broker == "told:1"
    assert load(tmp_path, file, environment, broker=None).broker == "environment:1"


def test_the_environment_names_the_file_where_the_command_line_does_not(tmp_path: Path) -> None:
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
def test_numbers_and_booleans_are_read_out_of_the_environments_text(name: str, text: str, value: object) -> None:
    assert getattr(load_settings(None, {PREFIX + name: text}), name.lower()) == value


def test_variables_of_others_that_begin_alike_are_left_alone() -> None:
    kubernetes = {"VIGIL_SERVICE_HOST": "10.0.0.1", "VIGIL_PORT_6066_TCP": "tcp://10.0.0.1:6066", "VIGILANTE": "1"}
    assert load_settings(None, kubernetes) == Settings()


# ---- what is refused, and with what words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("webport = 1", "webport is not a setting; did you mean web_port?"),
        ("[worker]\nweb_port = 1", "worker is not a setting; known are allowed_lateness_ms, app_id, broker"),
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
        ("recorded_until = 5", 'recorded_until: only for a recorded clock; set clock = "recorded" or leave it out'),
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
def test_a_mistake_in_the_file_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "vigil.toml"
    file.write_text(text, encoding="utf-8")
    told = refusal(file)
    assert words in told
    assert PASSWORD not in told
    if "missing" not in told:
        assert told.startswith(f"{file}: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml") == f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    latin = tmp_path / "latin.toml"
    latin.write_bytes('app_id = "vigíl"'.encode("latin-1"))
    assert refusal(latin).startswith(f"{latin}: is not TOML: ")


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
        ("VIGIL_RECORDED_UNTIL", "5", "VIGIL_RECORDED_UNTIL: only for a recorded clock"),
    ],
)
def test_a_mistake_in_the_environment_is_refused_by_name(name: str, text: str, words: str) -> None:
    assert refusal(None, {name: text}).startswith(words)


def test_a_mistake_on_the_command_line_is_refused_by_name() -> None:
    assert refusal(None, {"VIGIL_BROKER": "a:1"}, broker="kafka").startswith("--broker: 'kafka' is not host:port")


@pytest.mark.parametrize("servers", ["a:1", "a:1, b:2", "[::1]:9092", "10.0.0.1:9092"])
def test_servers_that_clients_understand_are_taken(servers: str) -> None:
    assert load_settings(None, {"VIGIL_BROKER": servers}).broker == servers


# ---- secrets ----------------------------------------------------------------------------------------------------


def test_a_password_is_in_no_repr_but_reaches_the_client() -> None:
    settings = load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD": PASSWORD})
    for shown in (repr(settings), str(settings), f"{settings}", str([settings]), str(settings.__rich_repr__())):
        assert PASSWORD not in shown
        assert "vigil" in shown
    assert settings.kafka()["sasl_plain_password"] == PASSWORD
    assert settings.kafka()["sasl_mechanism"] == "SCRAM-SHA-512"


def test_a_password_that_looks_like_something_else_stays_text() -> None:
    for text in ("null", "true", "12", "1e5"):
        assert load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD": text}).password() == text


def test_a_password_comes_from_its_file_without_the_white_space_around_it(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    assert load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD_FILE": str(file)}).password() == PASSWORD


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot read"), (b" \n", "is empty"), (b"\xffpass", "is not UTF-8")]
)
def test_a_password_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = load_settings(None, {**SASL, "VIGIL_SASL_PASSWORD_FILE": str(file)})
    with pytest.raises(SettingsError) as refused:
        settings.kafka()
    assert words in str(refused.value)
    assert str(file) in str(refused.value)
    assert refused.value.__cause__ is None or isinstance(refused.value.__cause__, OSError)


def test_two_passwords_are_one_too_many() -> None:
    told = refusal(None, {**SASL, "VIGIL_SASL_PASSWORD": PASSWORD, "VIGIL_SASL_PASSWORD_FILE": "file"})
    assert "both given" in told
    assert PASSWORD not in told


# ---- TLS --------------------------------------------------------------------------------------------------------


def test_tls_trusts_the_system_and_checks_names_unless_told_otherwise() -> None:
    context = load_settings(None, {"VIGIL_SECURITY_PROTOCOL": "SSL"}).ssl_context()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert Settings().ssl_context() is None


@pytest.mark.parametrize("name", ["VIGIL_SSL_CA_FILE", "VIGIL_SSL_CERT_FILE"])
def test_a_certificate_that_cannot_be_used_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "not-a-certificate.pem"
    for content in (None, "nothing"):
        if content is not None:
            file.write_text(content)
        settings = load_settings(None, {"VIGIL_SECURITY_PROTOCOL": "SSL", name: str(file)})
        with pytest.raises(SettingsError, match="ssl_ca_file, ssl_cert_file or ssl_key_file cannot be used"):
            settings.ssl_context()


KEY_UNDER_A_PHRASE: Final = """
import sys
from vigil.app.kafka.settings import Settings, SettingsError
try:
    Settings(security_protocol="SSL", ssl_cert_file=sys.argv[1], ssl_key_file=sys.argv[2]).ssl_context()
except SettingsError as error:
    print(error)
"""


def test_a_key_under_a_pass_phrase_is_refused_rather_than_asked_for(tmp_path: Path) -> None:
    certificate, key = f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=vigil", "-passout", f"pass:{PASSWORD}",
         "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", KEY_UNDER_A_PHRASE, certificate, key])
    said = b""
    with contextlib.suppress(OSError):  # how the end of a terminal is told
        while b"phrase" not in said and (more := os.read(terminal, 4096)):
            said += more
    os.close(terminal)
    os.waitpid(child, 0)
    assert b"phrase" not in said
    assert b"ssl_key_file cannot be used" in said


# ---- the page ---------------------------------------------------------------------------------------------------


def said() -> dict[str, str]:
    """What stands below each setting in the code."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    told = {}
    for setting, below in pairwise(body):
        if isinstance(setting, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            assert isinstance(setting.target, ast.Name)
            told[setting.target.id] = " ".join(str(below.value.value).split())
    return told


def kind(told: Any) -> str:
    """A type in words: what may be written."""
    if get_origin(told) is Annotated:
        inner, *limits = get_args(told)
        (limit,) = [limit for limit in limits if isinstance(limit, Meta)]
        if inner is str:
            return f"name of at most {limit.max_length} characters: letters, digits, `.`, `_`, `-`"
        return f"{limit.ge:,} to {limit.le:,}" if limit.le is not None else f"{limit.ge:,} or more"
    if get_origin(told) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(told))
    if get_origin(told) in (Union, types.UnionType):
        return kind(next(one for one in get_args(told) if one is not type(None)))
    return {str: "text", bool: "`true` or `false`", int: "number"}[told]


def table() -> str:
    """Every setting, as Markdown."""
    says = said()
    lines = ["| setting | what it says | may be | default |", "| --- " * 4 + "|"]
    for field in msgspec.structs.fields(Settings):
        default = "–" if field.default is None else f"`{str(field.default).lower()}`"
        if isinstance(field.default, str):
            default = f"`{field.default}`"
        lines.append(f"| `{field.name}` | {says[field.name]} | {kind(field.type)} | {default} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_settings_is_that_of_the_code() -> None:
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    written, _, tail = rest.partition(END)
    if os.environ.get("VIGIL_WRITE_DOCS") == "1":
        PAGE.write_text(f"{head}{BEGIN}{table()}{END}{tail}", encoding="utf-8")
        return
    assert written == table(), "docs/settings.md is out of date: VIGIL_WRITE_DOCS=1 pytest tests/kafka/test_settings.py"


def test_every_setting_says_what_it_is_for() -> None:
    assert said().keys() == {field.name for field in msgspec.structs.fields(Settings)}


def test_the_example_of_a_file_is_taken(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    settings = load(tmp_path, example)
    for name, value in tomllib.loads(example).items():
        assert getattr(settings, name) == value
        assert not isinstance(value, datetime.date)
