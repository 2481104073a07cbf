"""Alerts about suppliers' lines as text, labels and JSON, from the catalogue (app/messages); see words.py."""

from collections.abc import Iterator

from vigil.app.messages import CATALOGUES, Language, Message
from vigil.app.messages.names import name_message
from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.line_alerts import LineAlert
from vigil.app.notify.words import escape_control_chars, time_text


def title(change: AlertChange, line: LineAlert, language: Language) -> str:
    """The alert on one line, such as `At risk: Send the parts (request-4), supplier merchant-7`."""
    head = "over" if change.event == "resolved" else line.status
    return _say(language, "title", line, head=Message(f"line-alert.head.{head}"))


def summary(alert: LineAlert, language: Language) -> str:
    """What it is, whatever became of it."""
    return _say(language, "summary", alert)


def body(alert: LineAlert, console_url: str | None, language: Language) -> str:
    """What one needs to know, a line each."""
    facts = _digest_facts(alert) if alert.count else _facts(alert)
    lines = [CATALOGUES[language].render(*message) for message in facts]
    return "\n".join(lines if console_url is None else [*lines, console_url])


def labels(alert: LineAlert) -> dict[str, str]:
    """The labels of an alert for Alertmanager, which stay the same from its beginning to its end."""
    what = "Digest" if alert.count else ""
    return {
        "alertname": f"Vigil{alert.kind.capitalize()}{what}",
        "duty" if alert.kind == "obligation" else "programme": alert.name,
        "ref": alert.ref,
        "supplier_id": alert.supplier_id,
        "incident": alert.id,
    }


def annotations(alert: LineAlert, language: Language) -> dict[str, str]:
    """What becomes of an alert, for Alertmanager."""
    return {
        "summary": summary(alert, language),
        "description": body(alert, None, language),
        "stage": "over" if alert.resolved_at is not None and not alert.momentary else alert.status,
        "severity": "critical" if alert.status == "breached" else "warning",
        "why": alert.why or "",
    }


def _say(language: Language, code: str, alert: LineAlert, **params: object) -> str:
    prefix = "line-alert.digest-" if alert.count else "line-alert."
    params["what"] = _what(alert)
    if alert.count:
        params["count"] = alert.count
    else:
        params |= {"ref": escape_control_chars(alert.ref, 80), "supplier": _supplier(alert)}
    return CATALOGUES[language].render(prefix + code, params)


def _what(alert: LineAlert) -> Message:
    """The duty or programme."""
    return name_message("duty" if alert.kind == "obligation" else "programme", escape_control_chars(alert.name, 80))


def _task(name: str) -> Message:
    """What is to be done: a measure, or another programme in which to be accepted."""
    table = "programme" if f"programme.{name}" in CATALOGUES["en"] else "measure"
    return name_message(table, escape_control_chars(name, 80))


def _supplier(alert: LineAlert) -> str:
    return escape_control_chars(alert.supplier_id, 80)


def _facts(alert: LineAlert) -> Iterator[Message]:
    yield from _obligation(alert) if alert.kind == "obligation" else _participation(alert)
    if alert.why is not None and alert.resolved_at is not None:
        end = Message(f"line-alert.end.{alert.why}")
        yield Message("alert.over", {"at": time_text(alert.resolved_at), "why": end})


def _obligation(alert: LineAlert) -> Iterator[Message]:
    since = time_text(alert.since if alert.since is not None else alert.at)
    yield Message(f"line-alert.owed-{alert.owed_by or 'supplier'}", {"supplier": _supplier(alert), "since": since})
    if alert.due is not None:
        code = "was-due" if alert.status == "breached" else "due"
        yield Message(f"line-alert.{code}", {"due": time_text(alert.due)})
    for name, id_ in (("order", alert.order_id), ("product", alert.product_id), ("buyer", alert.buyer_id)):
        if id_ is not None:
            yield Message(f"line-alert.{name}", {"id": escape_control_chars(id_, 80)})
    if alert.compensation_usd is not None:
        yield Message("line-alert.compensation", {"amount": escape_control_chars(alert.compensation_usd, 40)})


def _participation(alert: LineAlert) -> Iterator[Message]:
    yield Message("line-alert.supplier", {"supplier": _supplier(alert), "at": time_text(alert.at)})
    if alert.reason in ("closed", "not-eligible"):
        yield Message(f"line-alert.reason.{alert.reason}")
    if alert.undone:
        yield Message("line-alert.undone", {"tasks": tuple(_task(name) for name in alert.undone)})
    if alert.place is not None:
        yield Message("line-alert.place", {"place": alert.place})
    if alert.due is not None:
        yield Message("line-alert.reward-by", {"due": time_text(alert.due)})


def _digest_facts(alert: LineAlert) -> Iterator[Message]:
    first, last = time_text(alert.since if alert.since is not None else alert.at), time_text(alert.at)
    yield Message("line-alert.digest-span", {"count": alert.count, "first": first, "last": last})
    if alert.due is not None:
        yield Message("line-alert.digest-due", {"due": time_text(alert.due)})
    named = ", ".join(escape_control_chars(supplier, 80) for supplier in alert.suppliers)
    yield Message("line-alert.digest-suppliers", {"suppliers": named})
