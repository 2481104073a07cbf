"""The table of totals and metrics fits the messages and the rulebook, and older stored month ends can be read."""

import msgspec

from tests.support.supplier_stories import RULEBOOK, Chain, at, quote
from vigil.app.domain.rulebook.suppliers import SupplierLimits
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.domain.suppliers.metric_table import METRICS, TOTALS, WINDOWS
from vigil.app.domain.suppliers.stored import SupplierMainChunk
from vigil.app.domain.suppliers.supplier import SupplierState
from vigil.topics.internal import SupplierTotals
from vigil.topics.scores import Counts, Metrics


def test_every_total_has_a_field_and_every_field_a_total() -> None:
    assert {row.name for row in TOTALS} | {"prior_gmv_90d", "login_days"} == set(SupplierTotals.__struct_fields__)


def test_every_published_metric_is_computed_and_every_published_count_is_a_total() -> None:
    assert set(METRICS) == set(Metrics.__struct_fields__)
    assert set(Counts.__struct_fields__) <= {row.name for row in TOTALS}


def test_every_window_is_a_number_of_days_in_the_rulebook() -> None:
    assert set(WINDOWS) <= {name for name in SupplierLimits.__struct_fields__ if name.endswith("_days")}


def test_a_total_that_a_stored_month_end_does_not_have_is_0() -> None:
    """A month end that an earlier Vigil stored has fewer numbers."""
    shards = Chain().play(quote(at("2022-08-20")), quote(at("2022-09-20"))).checkpoint().shards
    state = shards[0].states.get("s")
    assert isinstance(state, SupplierState)
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(state._main), type=SupplierMainChunk)
    ((month, text),) = stored.month_end_totals.items()
    stored.month_end_totals = {month: " ".join(text.split()[:-2])}
    loaded = SupplierMachine(RULEBOOK).load("s", {b"": msgspec.msgpack.encode(stored)})
    assert loaded._metrics is not None
    totals = loaded._metrics.totals.at_end_of(month)
    assert (totals.quotes_month, totals.gmv_90d, totals.gmv_month) == (1, 0, 0)
