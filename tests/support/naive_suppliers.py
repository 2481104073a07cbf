"""An independent model of metrics and scores: everything is counted from the set of events, for one instant.

Its numbers are written here and not taken from the rulebook, so that the two can be compared.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction
from math import floor
from typing import Any

from tests.support.supplier_stories import DAY, HOUR, ZONE, Line, at

NEW_RULES = at("2022-08-03")


def month_of(when: int) -> tuple[int, int]:
    day = datetime.fromtimestamp(when / 1000, UTC).astimezone(ZONE)
    return day.year, day.month


def month_start(month: tuple[int, int]) -> int:
    return at(f"{month[0]}-{month[1]:02}-01")


def shifted(month: tuple[int, int], by: int) -> tuple[int, int]:
    number = month[0] * 12 + month[1] - 1 + by
    return number // 12, number % 12 + 1


def first_arrivals(lines: Iterable[Line]) -> list[Line]:
    """Without duplicates: the first to arrive counts."""
    seen, kept = set(), []
    for line in lines:
        value = line.value
        assert value is not None
        name = (line.topic, line.key, value.get("kind"), value.get("quote_id") or value.get("payment_id"))
        if line.topic in ("", "supplier-profile") or name not in seen:
            seen.add(name)
            kept.append(line)
    return kept


class Seen:
    """What of a supplier's events happened by an instant."""

    def __init__(self, lines: Iterable[Line], supplier: str, now: int) -> None:
        self.now = now
        mine = [line for line in lines if line.key == supplier and line.at <= now]
        self.any = bool(mine)
        self.quotes = [line.value for line in mine if line.topic == "quote" and line.value]
        self.payments = [line.value for line in mine if line.topic == "payment" and line.value]
        profiles = [line.value for line in mine if line.topic == "supplier-profile" and line.value]
        default = {"industry": "unknown", "membership": "standard", "stars": 0}
        self.profile = max(profiles, key=lambda value: value["at"], default=default)

    def submitted_in_month(self) -> int:
        month = month_of(self.now)
        return sum(value["kind"] == "submitted" and month_of(value["at"]) == month for value in self.quotes)

    def totals(self) -> dict[str, Any]:
        now = self.now
        submitted = [value for value in self.quotes if value["kind"] == "submitted"]
        first: dict[str, Any] = {}
        for value in sorted(submitted, key=lambda value: (value["at"], value["rfq_at"])):
            first.setdefault(value["rfq_id"], value)
        rfqs = [value for value in first.values() if now - 30 * DAY < value["at"]]
        within = (12 if now >= NEW_RULES else 24) * HOUR
        in_time = [value for value in rfqs if value["at"] - value["rfq_at"] <= within]
        quotes = [value for value in submitted if now - 30 * DAY < value["at"]]
        answered = {value["quote_id"] for value in self.quotes if value["kind"] == "replied"}
        linked = [value for value in self.payments if value["rfq_id"] is not None]
        month = month_of(now)

        def cents(kind: str, since: int) -> int:
            return sum(round(float(v["amount_usd"]) * 100) for v in linked if v["kind"] == kind and v["at"] > since)

        return {
            "quotes_month": len({value["rfq_id"] for value in submitted if month_of(value["at"]) == month}),
            "rfqs": len(rfqs),
            "in_time": len(in_time),
            "quotes": len({value["rfq_id"] for value in quotes}),
            "replied": len({value["rfq_id"] for value in quotes if value["quote_id"] in answered}),
            "gmv_90d": max(0, cents("settled", now - 90 * DAY) - cents("refunded", now - 90 * DAY)),
            "gmv_month": cents("paid", month_start(month) - 1),
        }


REPLY = {False: [(50, 15), (30, 12), (10, 6)], True: [(50, 30), (30, 24), (10, 12)]}
GMV = {
    False: [(35_000_00, 40), (25_000_00, 25), (10_000_00, 15), (5_000_00, 10), (1_000_01, 5), (1, 2)],
    True: [(35_000_00, 30), (20_000_00, 20), (10_000_00, 15), (1_000_00, 10), (500_00, 5), (1, 2)],
}


def by_rank(value: Any, values: list[Any]) -> tuple[int, int]:
    """Points and rank of one value among all; None is the smallest."""
    keys = [-1 if other is None else other for other in values]
    mine = -1 if value is None else value
    rank = 1 + sum(other > mine for other in keys)
    n = len(keys)
    top = -(-n // 10)
    if mine <= 0:
        return 0, rank
    if rank <= top:
        return 20, rank
    if n == top + 1:
        return 19, rank
    return floor(Fraction(19 * (n - rank), n - top - 1) + Fraction(1, 2)), rank


def scored(lines: list[Line], now: int) -> dict[str, dict[str, Any]]:
    """Points, ranks and totals of every supplier as of `now`."""
    new = now >= NEW_RULES
    suppliers = sorted({line.key for line in lines if line.topic})
    seen = {supplier: Seen(lines, supplier, now) for supplier in suppliers}
    totals = {supplier: one.totals() for supplier, one in seen.items()}
    before = month_start(month_of(now)) - 1
    results = {}
    for supplier, one in seen.items():
        if not one.any:
            continue
        mine = totals[supplier]
        quoted = [
            other
            for other in suppliers
            if seen[other].profile["industry"] == one.profile["industry"] and totals[other]["quotes_month"]
        ]
        rates = {s: Fraction(totals[s]["in_time"], totals[s]["rfqs"]) if totals[s]["rfqs"] else None for s in quoted}
        points = {"quotes": 0, "response": 0, "reply": 0, "gmv": 0, "logins": 0, "bonus": 0}
        ranks = None
        if supplier in quoted:
            points["quotes"], quotes_rank = by_rank(mine["quotes_month"], [totals[s]["quotes_month"] for s in quoted])
            points["response"], response_rank = by_rank(rates[supplier], list(rates.values()))
            ranks = (quotes_rank, response_rank, len(quoted))
        if mine["replied"]:
            steps = (points for percent, points in REPLY[new] if mine["replied"] * 100 >= percent * mine["quotes"])
            points["reply"] = next(steps, 6 if new else 3)
        points["gmv"] = next((points for least, points in GMV[new] if mine["gmv_90d"] >= least), 0)
        if one.profile["membership"] == "verified":
            at_month_end = Seen(lines, supplier, before).totals()["gmv_90d"]
            points["bonus"] = 20 if now < at("2022-07-01") or at_month_end >= 1_000_00 else 0
        results[supplier] = {
            "profile": {key: one.profile[key] for key in ("industry", "membership", "stars")},
            "totals": mine,
            "points": points,
            "ranks": ranks,
            "score": sum(points.values()),
            "submitted": one.submitted_in_month(),
        }
    return results


def quote_rights(month: tuple[int, int], score: int, submitted: int) -> int | None:
    """By the table that is in force until August 2022."""
    if month >= (2022, 8):
        return None
    if score >= 90:
        return min(max(submitted, 30), 100)
    return next((rights for least, rights in ((80, 30), (70, 20), (60, 10), (40, 5)) if score >= least), 0)


def final(lines: list[Line]) -> dict[str, dict[str, Any]]:
    """The end of a recording by the rules: what every supplier's last line must say."""
    now = max(line.at for line in lines)
    lines = first_arrivals(lines)
    results = scored(lines, now)
    month = shifted(month_of(now), -1)
    while month_start(shifted(month, 1)) + 48 * HOUR > now:
        month = shifted(month, -1)
    assessed = scored(lines, month_start(shifted(month, 1)) - 1)
    for supplier, one in results.items():
        then = assessed.get(supplier)
        del one["submitted"]
        one["quote_rights"] = None if then is None else quote_rights(month, then["score"], then["submitted"])
        one["assessed"] = None if then is None else (f"{month[0]}-{month[1]:02}", then["score"])
    return results


def shown(scores: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was published, in the same words."""
    results = {}
    for supplier, line in scores.items():
        counts, metrics, ranks = line["counts"], line["metrics"], line["ranks"]
        results[supplier] = {
            "profile": {key: line[key] for key in ("industry", "membership", "stars")},
            "totals": {
                "quotes_month": metrics["quotes_month"],
                "rfqs": counts["rfqs_quoted"],
                "in_time": counts["rfqs_in_time"],
                "quotes": counts["rfqs_quoted_30d"],
                "replied": counts["rfqs_replied_30d"],
                "gmv_90d": round(float(metrics["gmv_90d"]) * 100),
                "gmv_month": round(float(metrics["gmv_month"]) * 100),
            },
            "points": line["points"],
            "ranks": (ranks["quotes"]["rank"], ranks["response"]["rank"], ranks["quotes"]["of"])
            if ranks["quotes"]
            else None,
            "score": line["predicted"],
            "quote_rights": line["entitlements"] and line["entitlements"]["quote_rights"],
            "assessed": (line["assessed"]["month"], line["assessed"]["score"]) if line["assessed"] else None,
        }
    return results
