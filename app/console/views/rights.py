"""What a supplier may do and what it needs for the rest; what was refused to it."""

from typing import NamedTuple

from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.console.views.text import Words
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.rulebook.buyers import Permit, Standing
from vigil.app.domain.rulebook.formatting import format_value
from vigil.topics.programmes import SupplierRights
from vigil.topics.verdicts import Verdict

RESTRICTED = "restricted:"
"""How the subject of a verdict begins whose label asks for a permit."""


class PermitRow(NamedTuple):
    """One permit of the rulebook."""

    name: str
    held: bool
    needs: list[str]
    """What it asks for, in words."""


def permits(rights: SupplierRights, rules: LineRules, words: Words) -> list[PermitRow]:
    """All permits in force, those that are held first; those that the rulebook does not know by their name."""
    in_force = {name: limits for name, section in rules.permits.items() if (limits := section.limits_at(rights.at))}
    names = dict.fromkeys([*rights.permits, *in_force])
    return [
        PermitRow(name, name in rights.permits, _needs(in_force[name], words) if name in in_force else [])
        for name in names
    ]


def _needs(limits: Permit, words: Words) -> list[str]:
    found = [words("explain.needs.certificate", kind=words.named("certificate", kind)) for kind in limits.certificates]
    found += [words("permit.needs-permit", name=words.named("permit", name)) for name in limits.permits]
    if limits.verified:
        found.append(words("explain.needs.verified"))
    if limits.any_of:
        found.append(words("list.or").join(_standing(one, words) for one in limits.any_of))
    if limits.on_time_over_share is not None:
        found.append(words("explain.needs.on-time", share=format_value("share", limits.on_time_over_share)))
    if limits.disputes_below_share is not None:
        found.append(words("explain.needs.disputes", share=format_value("share", limits.disputes_below_share)))
    return found


def _standing(standing: Standing, words: Words) -> str:
    code = "explain.needs.stars-verified" if standing.verified else "explain.needs.stars"
    return words(code, stars=standing.least_stars)


def refusals(model: ConsoleModel, supplier_id: str, most: int) -> list[Verdict]:
    """The latest violations of the supplier's rooms that a permit would have allowed."""
    host = model.hosts.get(supplier_id)
    rooms = [model.rooms.get(name) for name in host.rooms] if host is not None else []
    verdicts = model.verdicts_of(name for room in rooms if room is not None for name in room.verdicts)
    return [one for one in verdicts if (one.subject or "").startswith(RESTRICTED)][:most]
