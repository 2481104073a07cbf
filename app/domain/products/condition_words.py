"""What a condition or an ability of a product says, with the numbers behind its name."""

import re
from typing import Final

from vigil.app.domain.rulebook.products import StarConditions
from vigil.app.messages import CATALOGUES, Message
from vigil.app.messages.names import text_message

_DAYS: Final = re.compile(r"(dispatch|delivery)-([0-9]+)d")
"""Conditions with a number of days in their name."""


def condition_message(name: str, limits: StarConditions | None) -> Message:
    """The words of a condition; its name where there are none, or the numbers in them are not known."""
    if (days := _DAYS.fullmatch(name)) is not None:
        return Message(f"condition.{days[1]}", {"days": days[2]})
    code, numbers = f"condition.{name}", {} if limits is None else _numbers(limits)
    template = CATALOGUES["en"].templates.get(code)
    if template is None or not set(template.parameters) <= set(numbers):
        return text_message(name)
    return Message(code, numbers)


def _numbers(limits: StarConditions) -> dict[str, str]:
    """The numbers behind the names of conditions, as they are shown."""
    return {
        "info": f"{limits.info_at_least:g}",
        "countries": str(len(limits.core_countries)),
        "on_time": f"{limits.on_time_at_least_share * 100:g} %",
        "refunds": f"{limits.refunds_below_share * 100:g} %",
        "buyers": str(limits.buyers_over),
        "paid": f"{limits.paid_at_least_usd:,}",
    }
