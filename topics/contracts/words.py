"""The meaning of each field: the docstring below it in its type, or the shared meaning of its name.

Every field of the contract has one: tests/topics/contracts/test_schemas.py.
"""

import ast
import functools
import inspect
import itertools
import sys
from typing import Any, Final

from msgspec import Struct

_SHARED: Final = {
    "room_id": "The live room: one broadcast.",
    "host_id": "The merchant account that broadcasts; the same id as its `supplier_id` where it also quotes.",
    "supplier_id": "The supplier's account.",
    "buyer_id": "The buyer's account.",
    "buyer_tier": "The marketplace's buyer tier; L1 and above are the high-quality buyers. Null: not known.",
    "rfq_id": "The request for quotation.",
    "quote_id": "The quote.",
    "rule": "The rule's name, such as `black-screen`.",
    "family": "The rule's family: violations of one family are counted together.",
    "at": "Event time: integer milliseconds since the Unix epoch, UTC.",
    "since": "When it began, ms since the epoch.",
    "due": "When it becomes a violation, ms since the epoch.",
    "industry": "The supplier's industry.",
    "product_id": "The product.",
    "order_id": "The order. A repeat of `order_id` and `kind` together has no effect.",
    "membership": "`verified` is the paid, third-party-verified tier.",
    "stars": "The supplier's star level, 0 to 5.",
    "rulebook": "Since when the limits applied are effective: a day, such as `2022-07-19`, or an instant, "
    "`2026-12-01T09:30:00-08:00`.",
}
"""By field name, for fields without a docstring."""


def words_of(kind: type[Struct], field: str) -> str:
    """What a field means; raise KeyError where it has neither a docstring nor a shared name."""
    own = docstrings(kind).get(field) or _SHARED.get(field)
    if own is None:
        raise KeyError(f"{kind.__name__}.{field} has no words: give the field a docstring")
    return own


@functools.cache
def docstrings(kind: type[Struct]) -> dict[str, str]:
    """The docstrings of a type's fields, on one line each."""
    found: dict[str, str] = {}
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    body: list[Any] = next(
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    for field, below in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found
