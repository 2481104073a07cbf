"""A checkpoint computes some lines and leaves the rest to the next, and a crash repeats what went out last."""

import re
import sys

from tests.support import line_stories as lines
from tests.support.line_stories import LINE_TOPICS, certificate, epr, product
from tests.support.rulebook_files import TEXT, read, without
from tests.support.supplier_stories import HOUR, Chain, at, tick
from vigil.app.domain.ledger.lines import UNITS_AT_ONCE, UNITS_STORED
from vigil.app.engine.keyed_states import MANY_CHUNKS
from vigil.app.engine.snapshot import WORK_AT_ONCE
from vigil.app.engine.storage.steps import ENTRIES_A_STEP

DAY_1 = at("2022-08-31")
ROLL_OUT = at("2022-09-01")
"""Every industry has stars from then on."""

SUPPLIERS = [f"s{number:02}" for number in range(12)]
PRODUCTS = [f"p{number:02}" for number in range(20)]


def without_rights() -> str:
    """The rulebook without what suppliers see and may do."""
    text = TEXT
    for table in re.findall(r"^\[((?:permit|activity)\.[\w-]+|buyer-labels|growth)\]$", TEXT, re.MULTILINE):
        text = without(table, text)
    return text


def rolled_out() -> Chain:
    """Suppliers all of whose products changed at one moment; nothing is published of that yet."""
    chain = Chain()
    for supplier in SUPPLIERS:
        chain.play(*(product(DAY_1, id_, supplier, industry="toys") for id_ in PRODUCTS))
    while chain.shards[0].has_waiting_keys or chain.shards[0].has_unsaved_state:
        chain.checkpoint()
    return chain.advance(ROLL_OUT + 1)


def test_where_all_suppliers_change_at_once_each_checkpoint_computes_some_and_all_have_their_turn() -> None:
    chain, checkpoints = rolled_out(), 0
    while checkpoints == 0 or chain.shards[0].has_waiting_keys:
        before = len(chain.sent("product-standing"))
        chain.checkpoint()
        checkpoints += 1
        assert len(chain.sent("product-standing")) - before < WORK_AT_ONCE + UNITS_AT_ONCE
    assert {body["stars"] for body in chain.states("product-standing").values()} == {1}
    assert checkpoints <= 2 * len(SUPPLIERS) * len(PRODUCTS) / WORK_AT_ONCE


def test_suppliers_that_wait_for_their_turn_are_evicted_and_survive_a_crash() -> None:
    chain = rolled_out()
    for between in (chain.checkpoint, lambda: chain.crash(sent=False)):
        between()
        assert chain.shards[0].has_waiting_keys
        chain.shards[0].evict(0)
        assert not chain.shards[0].states.loaded
    while chain.shards[0].has_waiting_keys:
        chain.checkpoint()
    assert {body["stars"] for body in chain.states("product-standing").values()} == {1}


def loading_steps(products: int) -> list[int]:
    """How many functions each step calls in which a supplier is loaded with products, and twice as many orders."""
    chain = Chain().play(*(product(DAY_1, f"p{n}") for n in range(products)))
    chain.play(*(lines.paid(DAY_1 - n, f"o{n}", (f"p{n % products}", "9")) for n in range(2 * products)))
    while chain.shards[0].has_unsaved_state:
        chain.checkpoint()
    shard = chain.shards[0]
    shard.evict(0)
    assert shard.states.large == {"s"}
    calls, steps = [0], []

    def count(frame: object, event: str, _: object) -> None:
        calls[0] += event in ("call", "c_call")

    ready = False
    while not ready:
        calls[0] = 0
        sys.setprofile(count)
        ready = shard.states.prepare("s")
        sys.setprofile(None)
        steps.append(calls[0])
    return steps


def test_a_step_of_loading_a_supplier_does_not_grow_with_its_products_and_orders() -> None:
    some, more = loading_steps(2000), loading_steps(4000)
    assert max(more) < 1.1 * max(some) < 16 * ENTRIES_A_STEP
    assert len(more) > 1.5 * len(some) > 15


def test_a_supplier_that_is_loaded_in_steps_is_that_which_was_stored() -> None:
    story = [product(DAY_1, f"p{n}", service="remote", industry="machinery") for n in range(MANY_CHUNKS)]
    chain = Chain().play(*story)
    while chain.shards[0].has_unsaved_state or chain.shards[0].has_waiting_keys:
        chain.checkpoint()
    chain.play(certificate(DAY_1 + 1, "warranty-agreement"))
    checkpoints, states = 0, chain.shards[0].states
    while checkpoints == 0 or chain.shards[0].has_waiting_keys:
        chain.checkpoint()
        chain.shards[0].evict(0)
        assert states.large == {"s"}
        checkpoints += 1
    assert {body["stars"] for body in chain.states("product-standing").values()} == {2}
    assert checkpoints > 2 * MANY_CHUNKS / UNITS_AT_ONCE, "some of them only load"


def test_a_crash_repeats_the_lines_of_the_last_checkpoint_and_no_others() -> None:
    story = [product(DAY_1 + number, id_) for number, id_ in enumerate(PRODUCTS)]
    chain = Chain().play(*story, lines.claim(DAY_1, "first-order")).checkpoint()
    before = [len(chain.sent(topic)) for topic in LINE_TOPICS]
    chain.play(product(DAY_1 + HOUR, "p03", info_score=1.0), product(DAY_1 + HOUR, "p05", deleted=True))
    chain.play(lines.claim(DAY_1 + HOUR, "check-in")).crash(sent=False)
    after = [chain.sent(topic)[count:] for topic, count in zip(LINE_TOPICS, before, strict=True)]
    assert [body and (body["product_id"], body["stars"]) for body in after[0]] == [("p03", 0), None]
    assert (after[1], [body["programme"] for body in after[2]]) == ([], ["check-in"])
    chain.crash()
    assert len(chain.sent("product-standing")) == before[0] + 2, "what was sent last time is repeated only once"


def test_what_is_stale_survives_a_crash_before_it_is_computed() -> None:
    for number in (UNITS_STORED // 2, UNITS_STORED + UNITS_AT_ONCE + 1):
        products = [product(DAY_1, f"p{n:03}", service="remote", industry="machinery") for n in range(number)]
        chain = Chain().play(*products)
        while chain.shards[0].has_unsaved_state or chain.shards[0].has_waiting_keys:
            chain.checkpoint()
        chain.play(certificate(DAY_1 + 1, "warranty-agreement")).crash(sent=False)
        while chain.shards[0].has_waiting_keys:
            chain.crash(sent=False)
        assert {body["stars"] for body in chain.states("product-standing").values()} == {2}


def test_the_timer_of_a_supplier_without_lines_survives_a_crash() -> None:
    chain = Chain(read(without_rights()))
    chain.play(epr(at("2022-06-29"), "DE", "eee"), tick(at("2022-06-29 12:00")))
    chain.play(epr(at("2022-06-29 18:00"), "DE", "eee"), tick(at("2022-06-30"))).crash()
    assert chain.states("obligation") == {}, "the first period has not ended"
    chain.advance(at("2022-07-01") + 1).checkpoint()
    assert [body["ref"] for body in chain.states("obligation").values()] == ["DE/eee/2022-06"]
