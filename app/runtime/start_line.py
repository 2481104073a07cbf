"""What a worker logs first: what a reader of its log must know to understand the rest."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import structlog

from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import SECRET, Settings


def log_start(settings: Settings, rulebook: Rulebook, now: int) -> None:
    """Log version, broker, group, rulebook, and the settings that differ from their defaults; `now`: ms."""
    structlog.get_logger("vigil.worker").info("worker starts", **start_facts(settings, rulebook, now))


def start_facts(settings: Settings, rulebook: Rulebook, now: int) -> dict[str, object]:
    """The fields of the line. Secrets are not among them."""
    defaults = Settings()
    return {
        "version": _version(),
        "broker": settings.broker,
        "group": settings.app_id,
        "rulebook": {
            "file": settings.rulebook or "built in",
            "digest": rulebook.digest[:12],
            "newest_rule_since": rulebook.newest_date(now),
        },
        "settings": {
            name: getattr(settings, name)
            for name in settings.__struct_fields__
            if getattr(settings, name) != getattr(defaults, name) and name not in SECRET
        },
    }


def log_renamed_sources(subject: str, partition: int, stored: Sequence[str], topics: Sequence[str]) -> None:
    """Log source topics that have other names than those that the stored state was read from.

    An earlier version may have had fewer of them.
    """
    renamed = {old: new for old, new in zip(stored, topics, strict=False) if old != new}
    if renamed:
        structlog.get_logger("vigil.worker").warning(
            "source topics have other names now", subject=subject, partition=partition, renamed=renamed,
            then="each is read from its beginning",
        )  # fmt: skip


def _version() -> str:
    try:
        return version("vigil-live")
    except PackageNotFoundError:  # run from its sources
        return "unknown"
