"""Search in what the console knows."""

from collections.abc import Container, Iterable
from typing import NamedTuple

from vigil.app.console.ingest.model import ConsoleModel
from vigil.topics.verdicts import Verdict


class SearchResult(NamedTuple):
    """What a search found, by kind; at most `most` of each."""

    rooms: list[str]
    hosts: list[str]
    suppliers: list[str]
    verdicts: list[Verdict]
    products: list[tuple[str, str]]
    """Supplier and product."""
    more: bool


def search(model: ConsoleModel, words: str, rules: Container[str] = (), most: int = 50) -> SearchResult:
    """Rooms, hosts, suppliers, products and verdicts whose id contains the words, in upper or lower case.

    Also the verdicts of `rules`, those that were read last first.
    """
    wanted = words.strip().casefold()
    if not wanted:
        return SearchResult([], [], [], [], [], False)
    rooms = _matching(model.rooms, wanted, most)
    hosts = _matching(model.hosts, wanted, most)
    suppliers = _matching(model.suppliers, wanted, most)
    verdicts = _matching(model.verdicts, wanted, most)
    products = _products(model, wanted, most)
    by_rule = [name for name, verdict in model.verdicts.items() if verdict.rule in rules]
    verdicts = list(dict.fromkeys([*verdicts, *by_rule[: -most - 2 : -1]]))
    more = any(len(names) > most for names in (rooms, hosts, suppliers, verdicts, products))
    found = model.verdicts_of(verdicts[:most])
    return SearchResult(rooms[:most], hosts[:most], suppliers[:most], found, products[:most], more)


def _products(model: ConsoleModel, wanted: str, most: int) -> list[tuple[str, str]]:
    """At most `most` + 1 products, each with its supplier; those whose id starts with the words come first."""
    named = ((row.product_id.casefold(), row.product_id, key) for key, row in model.lines.products.items())
    found = sorted((not name.startswith(wanted), product_id, key) for name, product_id, key in named if wanted in name)
    return [(model.lines.products.supplier_of(key) or "", product_id) for _, product_id, key in found[: most + 1]]


def _matching(names: Iterable[str], wanted: str, most: int) -> list[str]:
    """At most `most` + 1 of the names; those that start with the words come first."""
    found = [name for name in names if wanted in name.casefold()]
    found.sort(key=lambda name: (not name.casefold().startswith(wanted), name))
    return found[: most + 1]
