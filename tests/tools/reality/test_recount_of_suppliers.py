"""The recount of suppliers agrees with a replay of a story, and shows what differs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.reality.events import DAY_MS, HOUR_MS, RULES_BEGIN_MS, RealEvent, by_time, written
from tools.reality.recount import recounted
from tools.reality.replays import replayed
from tools.reality.scenario import Variant

SCRIPTS = ("suppliers", "rejected", "quotes", "money", "scores", "pins", "products")
WITHIN = {"within_ms": 10_000}


def event(topic: str, supplier: str, at: int, **fields: Any) -> RealEvent:
    return RealEvent(at, topic, {"supplier_id": supplier, "at": at, "buyer_id": "buyer", **fields})


def supplier_story(number: int) -> list[RealEvent]:
    """One supplier over 88 days: the higher its number, the more and the later it quotes, and the more it is paid."""
    name, at = f"supplier-{number}", RULES_BEGIN_MS
    events = [event("supplier-profile", name, at, industry="home", membership="standard", stars=0)]
    for day in range(0, 88, 12 - number):
        ids = {"quote_id": f"{number}-{day}", "rfq_id": f"rfq-{day}"}
        late = 12 * HOUR_MS + (day % 3 - 1) * number
        quoted = at + day * DAY_MS + late
        events.append(event("quote", name, quoted, **ids, kind="submitted", rfq_at=quoted - late))
        events.append(event("quote", name, quoted + HOUR_MS, **ids, kind=("replied", "rejected")[day % 2]))
        events.append(event("quote", name, quoted + (day % 5) * HOUR_MS, **ids, kind="pinned"))
        money = {"order_id": f"{day}", "payment_id": f"{day}", "rfq_id": f"rfq-{day}" if day % 4 else None}
        for kind, cents in (("paid", 0), ("settled", 50), ("refunded", -number * 5000)):
            amount = f"{number * 100 + day * 3 + cents / 100:.2f}" if day else "0"
            events.append(event("payment", name, quoted + cents, **money, kind=kind, amount_usd=amount))
        line = {"product_id": f"{name}-product", "amount_usd": f"{day}"}
        events.append(event("order", name, quoted, order_id=f"{day}", kind="paid", dispatch_by=quoted, lines=[line]))
    product = {"product_id": f"{name}-product", "industry": "home", "model": "rts", "info_score": 4}
    return [*events, event("product", name, at, **product)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Seven suppliers as a recording, and the outputs of its replay."""
    folder = tmp_path_factory.mktemp("reality")
    written(by_time(one for number in range(1, 8) for one in supplier_story(number)), folder / "events.jsonl")
    replayed(folder / "events.jsonl", folder / "outputs", Variant())
    return folder / "events.jsonl", folder / "outputs"


def test_the_recount_of_suppliers_agrees_with_their_replay(recording: tuple[Path, Path]) -> None:
    compared = {one.name: (one.rows, one.differences) for one in recounted(*recording, SCRIPTS, WITHIN)}
    assert compared.pop("pins")[0] > 50
    assert compared == {
        "rejected lines": (28, 0),
        "quote metrics": (7, 0),
        "money": (7, 0),
        "scores": (7, 0),
        "assessed scores": (7, 0),
        "products": (7, 0),
    }


def test_the_story_of_suppliers_has_everything_that_is_compared(recording: tuple[Path, Path]) -> None:
    lines = read(recording[1] / "supplier-score.jsonl")
    assert len({line["metrics"]["response_rate"] for line in lines}) > 2
    assert len({line["metrics"]["gmv_90d"] for line in lines}) == 7
    assert len({line["ranks"]["quotes"]["rank"] for line in lines}) > 3
    reasons = {line["reason"] for line in read(recording[1] / "pin-decision.jsonl")}
    assert reasons == {None, "full", "rejected"}


@pytest.mark.parametrize(
    ("topic", "path", "script", "name"),
    [
        ("supplier-score", ("metrics", "quotes_month"), "quotes", "quote metrics"),
        ("supplier-score", ("counts", "rfqs_in_time"), "quotes", "quote metrics"),
        ("supplier-score", ("metrics", "reply_rate"), "quotes", "quote metrics"),
        ("supplier-score", ("metrics", "gmv_90d"), "money", "money"),
        ("supplier-score", ("gmv_challenge_rights",), "money", "money"),
        ("supplier-score", ("points", "response"), "scores", "scores"),
        ("supplier-score", ("ranks", "quotes", "rank"), "scores", "scores"),
        ("supplier-score", ("assessed", "score"), "scores", "assessed scores"),
        ("pin-decision", ("place",), "pins", "pins"),
        ("product-standing", ("buyers_90d",), "products", "products"),
    ],
)
def test_a_figure_of_a_supplier_that_is_wrong_is_shown(
    recording: tuple[Path, Path], tmp_path: Path, topic: str, path: tuple[str, ...], script: str, name: str
) -> None:
    events, outputs = recording
    for file in outputs.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    lines = read(outputs / f"{topic}.jsonl")
    for line in lines:
        inner = line
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = 999
    (tmp_path / f"{topic}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    compared = recounted(events, tmp_path, ("suppliers", "rejected", script), WITHIN)
    assert {one.name: one for one in compared}[name].differences > 0


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
