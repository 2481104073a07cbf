"""Alerts about suppliers' lines in words, in both languages, in Alertmanager's form and as JSON."""

from typing import Any, get_args

import msgspec
import orjson
import pytest

from tests.notify.test_words import HOSTILE
from tests.support.line_alert_stories import ALL, H, obligation, participation
from tests.support.notify_stories import T0, Desk, S
from vigil.app.messages import CATALOGUES, Language
from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.line_alerts import LineEnd, LineStatus
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.alertmanager import AlertmanagerSender
from vigil.app.notify.senders.webhook import payload
from vigil.app.notify.shown import annotations, body, title
from vigil.app.notify.targets import Alertmanager
from vigil.topics.programmes import TaskState

CODES = set(CATALOGUES["en"].codes("line-alert."))


def last(*said: Any, routes: str = ALL) -> AlertChange:
    desk = Desk(routes)
    desk.say(*said)
    return desk.sent[-1][1]


def digest(count: int = 3) -> AlertChange:
    desk = Desk(ALL + "singly = 0")
    desk.say(*(obligation("breached", f"r-{number}", supplier_id=f"m-{number}") for number in range(count)))
    desk.wait(T0 + 600 * S)
    return desk.sent[-1][1]


BREACHED = obligation("breached", compensation_usd="12.40")


def test_an_obligation_says_who_owes_what_to_whom_by_when() -> None:
    change = last(obligation())
    assert title(change) == "At risk: Send the parts (request-4), supplier merchant-7"
    assert body(change, "https://console/").splitlines() == [
        "Supplier merchant-7 owes it since 2023-11-14 22:13:20 UTC.",
        "Due by 2023-11-16 22:13:20 UTC.",
        "Order: order-12",
        "Product: lamp-3",
        "Buyer: buyer-1",
        "https://console/",
    ]


def test_a_breach_and_its_end_are_named() -> None:
    change = last(obligation(), BREACHED)
    assert title(change).startswith("BREACHED: Send the parts")
    assert "It was due by 2023-11-16 22:13:20 UTC." in body(change)
    assert "Compensation for the buyer: US$ 12.40." in body(change)
    over = last(obligation(), BREACHED, obligation("breached", done_at=T0 + 50 * H))
    assert title(over) == "Over: Send the parts (request-4), supplier merchant-7"
    assert body(over).splitlines()[-1] == "Over at 2023-11-17 00:13:20 UTC: fulfilled after the deadline."


def test_what_the_marketplace_owes_says_so() -> None:
    said = body(last(obligation(owed_by="marketplace", duty="reward")))
    assert said.startswith("The marketplace owes it to supplier merchant-7")


def test_a_participation_says_what_became_of_it_and_why() -> None:
    refused = last(participation("refused", reason="not-eligible", claimed_at=None))
    assert title(refused) == "Refused: Strength pack (2022-09), supplier merchant-7"
    assert body(refused).splitlines()[1] == "The supplier may not enter."
    tasks = tuple(TaskState(task=name, value=0, needs=1, done_at=None) for name in ("videos", "million-club", "own"))
    done = TaskState(task="leads", value=1, needs=1, done_at=T0)
    failed = last(participation("failed", tasks=(*tasks, done)))
    assert body(failed).splitlines()[1] == "Not done: Videos, Million club, own."
    won = last(participation("completed", programme="recruit", place=3, reward_by=T0 + H))
    assert body(won).splitlines()[1:] == ["Place 3.", "Its rewards are due by 2023-11-14 23:13:20 UTC."]


def test_a_digest_says_how_many_there_are_and_names_some() -> None:
    change = digest()
    assert title(change) == "BREACHED: Send the parts, 3 more"
    assert body(change).splitlines() == [
        "3 more, from 2023-11-16 22:13:20 UTC to 2023-11-16 22:13:20 UTC; they are not sent one by one.",
        "The first is due by 2023-11-16 22:13:20 UTC.",
        "Suppliers, some of them: m-0, m-1, m-2",
    ]


def test_a_duty_of_another_rulebook_is_called_by_its_name() -> None:
    assert title(last(obligation(duty="own-duty"))).startswith("At risk: own-duty (request-4)")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_status_and_kind_of_end_has_words_in_both_languages(language: Language) -> None:
    for status in msgspec.inspect.type_info(LineStatus).types:  # type: ignore[attr-defined]
        assert {f"line-alert.head.{value}" for value in status.values} <= CODES
    assert {f"line-alert.end.{why}" for why in get_args(LineEnd)} <= CODES
    changes = [last(obligation()), last(obligation(), obligation("met")), last(participation()), digest()]
    for change in changes:
        said = [title(change, language), body(change, None, language), annotations(change.alert, language)["summary"]]
        assert any("\u4e00" <= sign <= "\u9fff" for sign in "".join(said)) == (language == "zh")


@pytest.mark.parametrize("text", [text for text in HOSTILE if text != "\ud800"])
def test_hostile_texts_do_nothing(text: str) -> None:
    kinds = [
        last(obligation(ref=text, order_id=text, product_id=text, buyer_id=text, duty=text, compensation_usd=text)),
        last(
            participation(programme=text, edition=text, tasks=(TaskState(task=text, value=0, needs=1, done_at=None),))
        ),
    ]
    for change in kinds:
        said = (title(change) + body(change)).replace("\n", "").replace("US$ ", "")
        said = said.replace("(", "").replace(")", "")
        assert not set(said) & set("<>&@*`~|[]{}#\\$\r\x00\x1b\u202e\u200b")
        assert "://" not in said


def test_texts_of_any_length_are_cut() -> None:
    change = last(obligation(ref="r" * 100_000, duty="d" * 100_000, compensation_usd="9" * 100_000))
    assert len(payload(change)) < 2000
    assert len(title(change)) < 400


def test_a_webhook_receives_the_line_as_data() -> None:
    said = orjson.loads(payload(last(obligation(), BREACHED)))
    assert (said["event"], said["kind"], said["at"]) == ("breached", "obligation", T0 + 48 * H)
    assert said["obligation"] == {
        "id": BREACHED.obligation_id, "name": "service-parts", "status": "breached", "at": T0 + 48 * H,
        "supplier_id": "merchant-7", "ref": "request-4", "since": T0, "due": T0 + 48 * H, "owed_by": "supplier",
        "compensation_usd": "12.40", "order_id": "order-12", "product_id": "lamp-3", "buyer_id": "buyer-1",
        "open": True,
    }  # fmt: skip
    assert orjson.loads(payload(last(participation())))["participation"]["name"] == "strength-pack"
    assert orjson.loads(payload(digest()))["digest"]["suppliers"] == ["m-0", "m-1", "m-2"]


def test_an_alertmanager_receives_an_alert_that_ends() -> None:
    target = Alertmanager(kind="alertmanager", urls=("http://a",), labels={"team": "x"}, language="zh")
    sender = AlertmanagerSender(target, Secrets({}), None, lambda: T0 + 99 * H)  # type: ignore[arg-type]
    routes = ALL.replace("hook", "ops")
    risk, over = last(obligation(), routes=routes), last(obligation(), obligation("met"), routes=routes)
    alert, end = sender.alert(risk.alert), sender.alert(over.alert)
    assert alert["labels"] == end["labels"] == {
        "team": "x", "alertname": "VigilObligation", "duty": "service-parts", "ref": "request-4",
        "supplier_id": "merchant-7", "incident": obligation().obligation_id,
    }  # fmt: skip
    assert (alert["annotations"]["stage"], alert["annotations"]["severity"]) == ("at-risk", "warning")
    assert alert["annotations"]["summary"] == "商家 merchant-7：寄出配件（request-4）"
    assert alert["endsAt"] > alert["startsAt"]
    assert (end["endsAt"], end["annotations"]["why"]) == ("2023-11-16T04:13:20.000Z", "met")
    part = sender.alert(last(participation()).alert)
    assert part["labels"]["alertname"] == "VigilParticipation"
    assert part["labels"]["programme"] == "strength-pack"
    assert sender.alert(digest().alert)["labels"]["alertname"] == "VigilObligationDigest"
