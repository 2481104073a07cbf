"""Names of topics: does another application publish to the outputs, and were internal topics migrated."""

from vigil.app.kafka import migration, ownership
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.check import Check, CheckLevel


async def check_names(settings: Settings) -> list[Check]:
    """Check what a worker checks of names before it starts."""
    checks = []
    if former := await migration.former_topics(settings):
        checks.append(Check("names", "fail", migration.former_words(settings, former), migration.REMEDY))
    others = await ownership.other_writers(settings)
    level: CheckLevel = "warn" if settings.take_outputs else "fail"
    checks += [Check("names", level, f"{other.words}, not by {settings.app_id}", ownership.REMEDY) for other in others]
    if settings.take_outputs and not others:
        words = "take_outputs is set: workers start although another application publishes to their topics"
        checks.append(Check("names", "warn", words, "take it out: nobody else publishes there any more"))
    return checks or [Check("names", "ok", f"no other application publishes to the topics of {settings.app_id}")]
