"""Events of products, orders, certificates, requests and activities: decoded, and checked against the rulebook's names.

A kind of certificate, a category, a measure, a programme or a duty that no version of the rulebook names is malformed:
nothing would follow from it, and its producer would not learn that.
"""

from collections.abc import Collection
from typing import Final

from vigil.app.domain.ledger.rules import EPR, LineRules
from vigil.app.domain.rulebook.validation import hint
from vigil.app.domain.suppliers.lines_part import LineEvent
from vigil.topics.fields import InvalidEvent
from vigil.topics.labels import OnIgnored
from vigil.topics.products import Certificate, decode_certificate, decode_order, decode_product
from vigil.topics.services import Activity, decode_activity, decode_request

LINE_TOPICS: Final = ("product", "order", "certificate", "service-request", "activity")
"""In the order of their source index."""


def decode_line_event(
    topic: str, key: bytes | None, value: bytes | None, on_ignored: OnIgnored, rules: LineRules
) -> LineEvent:
    """The event of a message of one of LINE_TOPICS; raise InvalidEvent."""
    if topic == "product":
        return decode_product(key, value, on_ignored)
    if topic == "order":
        return decode_order(key, value, on_ignored)
    if topic == "service-request":
        return decode_request(key, value, on_ignored)
    if topic == "certificate":
        certificate = decode_certificate(key, value, on_ignored)
        _check_certificate(certificate, rules)
        return certificate
    activity = decode_activity(key, value, on_ignored)
    _check_activity(activity, rules)
    return activity


def _check_certificate(certificate: Certificate, rules: LineRules) -> None:
    _check_name("kind", certificate.kind, rules.certificate_kinds)
    if certificate.kind == EPR:
        _check_name("country and category", f"{certificate.country}.{certificate.category}", rules.epr)


def _check_activity(activity: Activity, rules: LineRules) -> None:
    if activity.kind == "measure":
        _check_name("measure", activity.measure or "", rules.measures)
    elif activity.kind == "claim":
        _check_name("programme", activity.programme or "", rules.programmes)
    else:
        _check_name("duty", activity.duty or "", rules.dues)


def _check_name(field: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise InvalidEvent(f"the {field} {name!r} is not in the rulebook; {hint(name, known)}")
