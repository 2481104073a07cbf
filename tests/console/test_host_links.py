"""Links to the record of one host: who gets in by which token, and who does not."""

import base64
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from tests.support.run_command import run
from vigil.app.console.auth.host_links import HostLinks, LinkError, load_host_links
from vigil.app.console.settings import ConsoleSettings, load_console_settings
from vigil.app.kafka.settings import SettingsError

KEY, OTHER, THIRD = "k" * 32, "o" * 64, "t" * 48
NOW = 1_700_000_000
HOST = "merchant/7 ?&|\u5546\u5bb6"


def token(*keys: str, host: str = HOST, until: int = NOW + 60) -> str:
    return HostLinks(keys or (KEY,)).token(host, until)


class TestWhoGetsIn:
    def test_a_token_gives_access_to_its_host_until_it_ends(self) -> None:
        links = HostLinks((KEY,))
        assert links.host_of(token(), NOW) == HOST
        assert links.host_of(token(), NOW + 59.9) == HOST
        with pytest.raises(LinkError) as refused:
            links.host_of(token(), NOW + 60)
        assert refused.value.expired

    def test_a_token_is_safe_in_an_address(self) -> None:
        assert set(token()) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")

    def test_a_key_is_replaced_without_ending_links(self) -> None:
        old, new = token(KEY), token(OTHER, KEY)
        both = HostLinks((OTHER, KEY))
        assert both.host_of(old, NOW) == both.host_of(new, NOW) == HOST
        assert HostLinks((OTHER,)).host_of(new, NOW) == HOST  # the new key signs
        with pytest.raises(LinkError) as refused:
            HostLinks((OTHER,)).host_of(old, NOW)
        assert not refused.value.expired

    def test_each_sign_of_a_token_counts(self) -> None:
        links, good = HostLinks((KEY, OTHER)), token()
        for place in range(len(good)):
            changed = good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
            with pytest.raises(LinkError):
                links.host_of(changed, NOW)

    def test_the_mac_of_another_host_or_end_does_not_fit(self) -> None:
        mine, theirs = token(), token(host="merchant-8", until=NOW + 10_000)
        version, _, mac = mine.split(".")
        with pytest.raises(LinkError):
            HostLinks((KEY,)).host_of(f"{version}.{theirs.split('.')[1]}.{mac}", NOW)

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            ".",
            "..",
            "v1",
            "v1..",
            "v1.e30.",
            "a" * 3000,
            "v1.\u00fc.x",
            token() + "=",
            " " + token(),
            token() + "\n",
            token()[:-1],
        ],
    )
    def test_what_is_no_token_gives_no_access(self, wrong: str) -> None:
        for links in (HostLinks((KEY,)), HostLinks(())):
            with pytest.raises(LinkError):
                links.host_of(wrong, NOW)

    def test_without_a_mac_a_payload_is_worth_nothing(self) -> None:
        payload = base64.urlsafe_b64encode(json.dumps({"host_id": HOST, "until_s": NOW + 60}).encode()).decode()
        for mac in ("", "none", base64.urlsafe_b64encode(bytes(32)).decode()):
            with pytest.raises(LinkError):
                HostLinks((KEY,)).host_of(f"v1.{payload.rstrip('=')}.{mac}", NOW)

    def test_a_token_of_another_version_gives_no_access(self) -> None:
        with pytest.raises(LinkError):
            HostLinks((KEY,)).host_of(token().replace("v1.", "v2.", 1), NOW)

    def test_nothing_shows_a_key(self) -> None:
        settings = ConsoleSettings(host_link_keys=KEY)
        assert KEY not in repr(settings) + repr(load_host_links(settings))


class TestKeys:
    def test_from_a_file_with_comments(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(f"# of May\n{OTHER}\n\n{KEY}  # of April\n")
        links = load_host_links(ConsoleSettings(host_link_keys_file=str(file)))
        assert links.host_of(token(KEY), NOW) == links.host_of(token(OTHER), NOW) == HOST

    def test_from_the_environment(self) -> None:
        settings = load_console_settings({"VIGIL_CONSOLE_HOST_LINK_KEYS": f"{OTHER};{KEY}"})
        assert load_host_links(settings).host_of(token(KEY), NOW) == HOST

    def test_without_any_there_are_no_links(self) -> None:
        assert not load_host_links(ConsoleSettings())

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "there are 0 keys"),
            (";".join((KEY, OTHER, THIRD)), "there are 3 keys"),
            ("s3cret", "fewer than 32 characters"),
            (f"{KEY};{KEY}", "the same"),
        ],
    )
    def test_keys_that_cannot_be_used_are_refused_and_not_shown(self, text: str, words: str, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(text)
        for settings in (ConsoleSettings(host_link_keys=text), ConsoleSettings(host_link_keys_file=str(file))):
            with pytest.raises(SettingsError, match=words) as refused:
                load_host_links(settings)
            assert not any(key in str(refused.value) for key in (KEY, "s3cret"))

    def test_two_places_or_a_file_that_is_not_there_are_refused(self) -> None:
        with pytest.raises(SettingsError, match="set one of them"):
            load_host_links(ConsoleSettings(host_link_keys=KEY, host_link_keys_file="keys"))
        with pytest.raises(SettingsError, match="cannot read /nowhere/keys"):
            load_host_links(ConsoleSettings(host_link_keys_file="/nowhere/keys"))


class TestRevoked:
    LINES = "# two lines\n\n2023-11-14T22:14:20Z merchant-7\n2023-11-14T22:14:20Z  merchant/7 ?&|\u5546\u5bb6\n"

    def links(self, file: Path, text: str = LINES) -> HostLinks:
        file.write_text(text, encoding="utf-8")
        return load_host_links(ConsoleSettings(host_link_keys=KEY, revoked_host_links_file=str(file)))

    def works(self, links: HostLinks, **of: Any) -> bool:
        try:
            links.host_of(token(**of), NOW)
        except LinkError as refused:
            assert refused.expired
            return False
        return True

    def test_links_of_a_host_up_to_an_end_work_no_more(self, tmp_path: Path) -> None:
        links = self.links(tmp_path / "revoked")  # 22:14:20 is NOW + 60
        assert not self.works(links)
        assert not self.works(links, until=NOW + 59)
        assert self.works(links, until=NOW + 61)
        assert self.works(links, host="merchant-8")
        assert not self.works(links, host="merchant-7")

    def test_the_latest_end_of_a_host_counts(self, tmp_path: Path) -> None:
        both = "2023-11-14T22:15:20Z merchant-7\n2023-11-14T22:14:20Z merchant-7\n"
        assert not self.works(self.links(tmp_path / "revoked", both), host="merchant-7", until=NOW + 120)

    def test_a_line_counts_at_once_and_so_does_its_removal(self, tmp_path: Path) -> None:
        links = self.links(tmp_path / "revoked", "")
        assert self.works(links)
        (tmp_path / "revoked").write_text(self.LINES, encoding="utf-8")
        assert not self.works(links)
        (tmp_path / "revoked").write_text("", encoding="utf-8")
        assert self.works(links)

    @pytest.mark.parametrize(
        "line", ["merchant-7", "soon merchant-7", "2023-11-14T22:14:20 m", "2023-11-14T22:14:20Z "]
    )
    def test_a_line_that_cannot_be_read_is_refused_at_the_start_and_changes_nothing_later(
        self, line: str, tmp_path: Path
    ) -> None:
        with pytest.raises(SettingsError, match=r"REVOKED_HOST_LINKS_FILE: .*revoked:2: write the end"):
            self.links(tmp_path / "revoked", f"\n{line}\n")
        links = self.links(tmp_path / "revoked")
        (tmp_path / "revoked").write_text(line)
        with capture_logs() as logged:
            assert not self.works(links)
            assert not self.works(links)
        assert [one["log_level"] for one in logged] == ["error"]

    def test_a_file_that_is_not_there_is_refused_and_one_that_goes_away_changes_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="cannot read"):
            load_host_links(ConsoleSettings(revoked_host_links_file=str(tmp_path / "none")))
        links = self.links(tmp_path / "revoked")
        (tmp_path / "revoked").unlink()
        assert not self.works(links)


class TestTheCommand:
    def test_it_prints_a_link(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VIGIL_CONSOLE_HOST_LINK_KEYS", KEY)
        result = run("console", "link", "--host", HOST, "--days", "3", "--url", "https://vigil.example/")
        assert result.exit_code == 0, result.output
        address = urlsplit(result.stdout.strip())
        assert f"{address.scheme}://{address.netloc}{address.path}" == "https://vigil.example/for-host"
        assert re.fullmatch(r"It works until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.\n", result.stderr)
        (sent,) = parse_qs(address.query)["token"]
        assert HostLinks((KEY,)).host_of(sent, time.time() + 3 * 86_400 - 60) == HOST
        with pytest.raises(LinkError):
            HostLinks((KEY,)).host_of(sent, time.time() + 3 * 86_400 + 60)

    @pytest.mark.parametrize("days", ["0", "91"])
    def test_a_link_ends(self, days: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VIGIL_CONSOLE_HOST_LINK_KEYS", KEY)
        assert run("console", "link", "--host", HOST, "--days", days).exit_code == 2

    def test_without_a_key_it_says_what_to_do(self) -> None:
        result = run("console", "link", "--host", HOST)
        assert result.exit_code == 2
        assert "openssl rand -hex 32" in result.stderr
        assert "VIGIL_CONSOLE_HOST_LINK_KEYS_FILE" in result.stderr
