"""Whether two workers judge by the same rulebook; if not, what differs, from when on, and what to do about it.

A verdict must not depend on which worker happened to own the room, so all workers of a group need rulebooks that judge
alike. A worker writes the digest of its rulebook into every checkpoint and may store its fingerprint with it. A worker
that acquires a shard compares both with its own before it judges. Effective dates in the future count as well: every
worker must have them before they begin.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from vigil.app.domain.rulebook.beginnings import beginning_of
from vigil.app.domain.rulebook.book import EffectiveVersion, Rulebook, digest_of, plain
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME

_DIGEST_DIGITS: Final = 16
"""Hex digits of a version's digest in a fingerprint: 64 bits are enough to distinguish the versions of one section, and
the fingerprint, which may be stored with a shard's state, stays short."""


def fingerprint(rulebook: Rulebook) -> dict[str, str]:
    """Everything that can change a judgement, item by item: the time zone, the families, a digest of each version.

    Keys are `time_zone`, `<rule>.family` and `<section>.from.<YYYY-MM-DD>` (or an instant), as in the file. The
    fingerprints of two rulebooks are equal if and only if their digests are.
    """
    items = {"time_zone": rulebook.time_zone}
    for section in rulebook.sections:
        family = rulebook.family_of(section)
        if family is not None:
            items[f"{section}.family"] = family
        for version in rulebook.versions(section):
            items[_name(section, version)] = digest_of(plain(version.limits))[:_DIGEST_DIGITS]
    return items


def _name(section: str, version: EffectiveVersion[Any]) -> str:
    return f"{section}.from.{version.effective_date}"


def differences(own: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """One clause for each item in which two fingerprints differ; empty if the two rulebooks judge alike."""
    clauses = []
    for item in sorted({*own, *theirs}):
        mine, other = own.get(item), theirs.get(item)
        if mine == other:
            continue
        if ".from." not in item:
            clauses.append(f"{item} is {mine or 'not given'} here, {other or 'not given'} in the group")
        elif other is None:
            clauses.append(f"[{item}] is here, and not in the group")
        elif mine is None:
            clauses.append(f"[{item}] is in the group, and not here")
        else:
            clauses.append(f"[{item}] has other numbers here than in the group")
    return clauses


def alike_until(own: Rulebook, theirs: Mapping[str, str]) -> int:
    """The event time before which both rulebooks judge alike: MAX_TIME if always, MIN_TIME if at no time.

    A version makes a difference from its effective date on; another time zone or family makes one at all times.
    """
    mine = fingerprint(own)
    until = MAX_TIME
    for item in {*mine, *theirs}:
        if mine.get(item) == theirs.get(item):
            continue
        day = item.rpartition(".from.")[2] if ".from." in item else None
        until = min(until, MIN_TIME if day is None else _start_of(day, own))
    return until


def _start_of(day: str, rulebook: Rulebook) -> int:
    try:
        return beginning_of(day, rulebook.zone).at
    except ValueError:
        # A later Vigil may write the items in another form. Too early is safe, too late would judge differently.
        return MIN_TIME


class Disagreement(NamedTuple):
    """Two rulebooks that do not judge alike."""

    until: int
    """The event time before which they do; MIN_TIME if that is not known, or at no time."""
    words: str
    """For the operator: what differs and what to do."""


def disagreement(
    own: Rulebook, group_digest: str, group_fingerprint: Mapping[str, str] | None = None
) -> Disagreement | None:
    """How the group's rulebook differs from this worker's, with the remedy; None if they judge alike.

    `group_digest` is what the group's checkpoints carry. It is "" where no checkpoint was written yet; that agrees
    with every rulebook. With `group_fingerprint` the differences are named.
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
        return Disagreement(MIN_TIME, f"{head}. {remedy}")
    named = "; ".join(differences(fingerprint(own), group_fingerprint))
    until = alike_until(own, group_fingerprint)
    return Disagreement(until, f"{head}: {named}. {remedy}")
