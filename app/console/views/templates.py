"""The templates of the pages: their filters, and what every template may call."""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup

from vigil.app.console.console_state import ConsoleState
from vigil.app.console.views.advice import cents, dollars
from vigil.app.console.views.canvas import length
from vigil.app.console.views.due import when_in_words
from vigil.app.console.views.outside import is_web_address
from vigil.app.console.views.products import certificate_state
from vigil.app.console.views.reader import offset
from vigil.topics.topic import composed_key

HERE: Final = Path(__file__).parents[1]
SPANS: Final = (5, 15, 30, 60)
"""The choices of how many minutes a room's timeline shows; the second is the default."""


def visible(text: object) -> str:
    """Return text from an event with invisible characters (control, direction) written out, so that it hides
    nothing."""
    return "".join(
        f"\\u{{{ord(sign):x}}}" if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp", "Co", "Cn") else sign
        for sign in str(text)
    )


def link(kind: str, name: str) -> str:
    """Return the address of a page. Ids are in the query: in a path, browsers would resolve `..` and `/`."""
    return f"/{kind}?id={quote(name, safe='')}"


def address(kind: str, query: Mapping[str, str], page: int) -> str:
    """Return the address of one page of a list; what is empty is left out."""
    given = {name: value for name, value in query.items() if value} | ({"page": str(page)} if page > 1 else {})
    return f"/{kind}?{urlencode(given, quote_via=quote, safe='')}"


def environment(state: ConsoleState) -> Environment:
    """Return the templates; every text is escaped."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "visible": visible,
        "prose": lambda text: "\n".join(map(visible, text.split("\n"))),
        "clock": _for_reader("%H:%M:%S"),
        "stamp": _for_reader("%Y-%m-%d %H:%M:%S"),
        "day": _for_reader("%Y-%m-%d"),
        "iso": lambda at: datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds"),
        "span": length,
        "percent": lambda share: "100 %" if share == 1 else f"{share * 100:.1f} %",
        "money": lambda amount: dollars(cents(amount)),
        "thousands": lambda number: f"{number:,}",
        "when": _when,
        "certificate_state": certificate_state,
    }
    templates.filters.update(filters)
    templates.globals |= {"link": link, "spans": SPANS, "offset": offset, "outside": state.outside}
    templates.globals |= {"line_key": composed_key, "holds_product": state.model.lines.products.get, "address": address}
    templates.tests["web_address"] = is_web_address
    return templates


def _for_reader(pattern: str) -> Callable[[Context, int], str]:
    """Return a filter that shows an event time in the reader's time zone."""

    @pass_context
    def shown(context: Context, at: int) -> str:
        zone: ZoneInfo = context["zone"]
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime(pattern)

    return shown


@pass_context
def _when(context: Context, at: int) -> str:
    """When a time is, seen from the page's now."""
    return when_in_words(context["t"], at, context["now"])


def safe_json(text: bytes) -> Markup:
    """Return JSON for a data block in a page: it contains nothing that could end the block."""
    escaped = text.decode().replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(escaped)  # noqa: S704 - escaped one line above
