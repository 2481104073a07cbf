"""Do two workers judge by the same rulebook? And where not: what differs, from when on, and what to do about it.

A worker writes the digest of its rulebook into every checkpoint, and may keep its fingerprint beside it. One that takes
a shard over compares these with its own before it judges: two rulebooks in one group would let a verdict depend on
which worker happened to own the room. A day to come counts as well: every worker must have it before it begins.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from vigil.app.domain.rulebook.book import MAX_TIME, EffectiveVersion, Rulebook, digest_of, midnight, plain

_SHORT: Final = 16
"""Hex digits of a digest in a fingerprint: enough to tell versions of one table apart."""

_BEGINNING: Final = -MAX_TIME


def fingerprint(rulebook: Rulebook) -> dict[str, str]:
    """What can change a judgement, piece by piece: a short digest of each dated table, the families, the time zone.

    Keys are `time_zone`, `<rule>.family` and `<section>.from.<YYYY-MM-DD>`, as in the file. It is equal for two
    rulebooks if and only if their digests are.
    """
    pieces = {"time_zone": rulebook.time_zone}
    for section in rulebook.sections:
        family = rulebook.headings[section].get("family")
        if family is not None:
            pieces[f"{section}.family"] = family
        for dated in rulebook.versions(section):
            pieces[_name(section, dated)] = digest_of(plain(dated.limits))[:_SHORT]
    return pieces


def _name(section: str, dated: EffectiveVersion[Any]) -> str:
    return f"{section}.from.{dated.effective}"


def differences(own: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Each piece in which two fingerprints differ, in words; none when the two judge alike."""
    told = []
    for piece in sorted({*own, *theirs}):
        mine, other = own.get(piece), theirs.get(piece)
        if mine == other:
            continue
        if ".from." not in piece:
            told.append(f"{piece} is {mine or 'not given'} here, {other or 'not given'} in the group")
        elif other is None:
            told.append(f"[{piece}] is here, and not in the group")
        elif mine is None:
            told.append(f"[{piece}] is in the group, and not here")
        else:
            told.append(f"[{piece}] has other numbers here than in the group")
    return told


def alike_until(own: Rulebook, theirs: Mapping[str, str]) -> int:
    """The event time before which both judge alike: NEVER when they always do, −NEVER when at no time.

    A dated table makes a difference from its day on; another time zone or family makes one at all times.
    """
    mine = fingerprint(own)
    until = MAX_TIME
    for piece in {*mine, *theirs}:
        if mine.get(piece) == theirs.get(piece):
            continue
        day = piece.rpartition(".from.")[2] if ".from." in piece else None
        until = min(until, _BEGINNING if day is None else _day(day, own))
    return until


def _day(said: str, rulebook: Rulebook) -> int:
    try:
        return midnight(date.fromisoformat(said), rulebook.zone)
    except ValueError:
        return _BEGINNING  # a piece that a later Vigil writes otherwise: better too early than too late


class Disagreement(NamedTuple):
    """Two rulebooks that do not judge alike."""

    until: int
    """The event time before which they do; −NEVER when that is not known, or at no time."""
    words: str
    """For the operator: what differs and what to do."""


def disagreement(
    own: Rulebook, group_digest: str, group_fingerprint: Mapping[str, str] | None = None
) -> Disagreement | None:
    """None when the group judges by a rulebook equal to one's own; else how it differs, and the remedy.

    `group_digest` is what the group's checkpoints carry ("" where none was written yet: that agrees with anything);
    `group_fingerprint` lets the differences be named.
    """
    if group_digest in ("", own.digest):
        return None
    head = f"the group judges by another rulebook ({group_digest[:12]}) than this worker's ({own.digest[:12]})"
    remedy = (
        "Remedy: give every worker of the group the same file. Where the change is meant: run `vigil rules check` and "
        "`vigil backtest` on it, stop all workers, give them the new file and start them once with "
        "VIGIL_RULEBOOK_CHANGED=1; see docs/rulebook.md."
    )
    if group_fingerprint is None:
        return Disagreement(_BEGINNING, f"{head}. {remedy}")
    named = "; ".join(differences(fingerprint(own), group_fingerprint))
    until = alike_until(own, group_fingerprint)
    return Disagreement(until, f"{head}: {named}. {remedy}")
