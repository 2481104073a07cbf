"""The words of the pages in the reader's language, from the catalogue (app/messages)."""

from collections.abc import Mapping
from typing import Final

from vigil.app.domain.products.condition_words import condition_message
from vigil.app.domain.rulebook.hosts import DayRange, Rung
from vigil.app.domain.rulebook.products import StarConditions
from vigil.app.messages import CATALOGUES, LANGUAGES, Language, published_sentence, render
from vigil.topics.verdicts import Evidence

SCRIPT_WORDS: Final = (
    "live.on",
    "live.off",
    "wall.none",
    "wall.none-here",
    "verdicts.none",
    "comma",
    "stream.lost",
    "or",
    "continuing",
)
SCRIPT_TIMES: Final = ("ago.second", "ago.minute", "ago.hour", "ago.day")
"""What the scripts need besides the names of rules, bands, steps and streams."""

SCRIPT_PREFIXES: Final = ("step.", "stream.", "reviewed.", "band.", "label.")


class Words:
    """The words of one language. What has no words (a rule of a later version) is shown by its own name."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, code: str, **params: object) -> str:
        """The words of a code; the last part of the code where it has none."""
        catalogue = CATALOGUES[self.language]
        return catalogue.render(code, params) if code in catalogue else code.rpartition(".")[2]

    def rule(self, rule: str) -> str:
        """The name of a rule."""
        code = f"rule.{rule}.name"
        return self(code) if code in CATALOGUES[self.language] else rule

    def named(self, table: str, name: str) -> str:
        """The words of a name that the rulebook gives: a duty, a programme, an ability; the name itself without any."""
        code = f"{table}.{name}"
        return self(code) if code in CATALOGUES[self.language] else name

    def label(self, label: str) -> str:
        """The words of upstream's label of a picture or comment; the label itself without any."""
        return self.named("label", label)

    def condition(self, name: str, limits: StarConditions | None) -> str:
        """What a condition or an ability of a product says, with the numbers behind its name."""
        return render(condition_message(name, limits), self.language)

    def rules(self) -> dict[str, str]:
        """The names of all rules by id."""
        codes = (code.split(".") for code in CATALOGUES[self.language].codes("rule."))
        return {rule: self.rule(rule) for _, rule, part in codes if part == "name"}

    def rules_called(self, words: str) -> set[str]:
        """The rules whose name, in this language or in the specification, contains the words."""
        wanted = words.strip().casefold()
        return {rule for rule, name in self.rules().items() if wanted and (wanted in rule or wanted in name.casefold())}

    def activities(self) -> list[str]:
        """All activities of a host that have a name."""
        return [code.removeprefix("activity.") for code in CATALOGUES[self.language].codes("activity.")]

    def note(self, evidence: Evidence) -> str:
        """What a piece of evidence says, in this language; where the catalogue does not know it, as it came."""
        return published_sentence(evidence, self.language)

    def steps(
        self,
        steps: tuple[str, ...],
        days: Mapping[str, int | DayRange | None] | None = None,
        choice: tuple[str, ...] | None = None,
    ) -> str:
        """Steps of a ladder, with the days of a ban, freeze or look back, and what a moderator may choose."""
        shown = []
        for step in steps:
            span = (days or {}).get(step)
            length = f"{span.least}–{span.most}" if isinstance(span, DayRange) else str(span) if span else ""
            names = choice if choice and step == choice[0] else (step,)
            name = self("or").join(self(f"step.{one}") for one in names)
            shown.append(name + (self("days", n=length) if length else ""))
        return self("comma").join(shown)

    def rung(self, rung: Rung) -> str:
        """One rung of a ladder."""
        days = {"ban": rung.ban_days, "freeze": rung.freeze_days, "close-past-rooms": rung.past_days}
        return self.steps(rung.steps, days, rung.choice)

    def script(self) -> dict[str, str]:
        """What the scripts show, by their own keys."""
        codes = CATALOGUES[self.language].codes()
        names = [code for code in codes if code.startswith(SCRIPT_PREFIXES) and not code.endswith(".say")]
        words = {code: self(code) for code in (*names, *SCRIPT_WORDS)}
        words["continuing.since"] = self("continuing.since", time="{time}")
        words |= {code: self(code, n="{n}") for code in SCRIPT_TIMES}
        return words | {f"rule.{rule}": name for rule, name in self.rules().items()}


WORDS: Final[dict[Language, Words]] = {language: Words(language) for language in LANGUAGES}


def choose(asked: str | None, accepted: str | None) -> Language:
    """The language asked for, else the first of the browser's that there is, else English."""
    if asked in ("en", "zh"):
        return "zh" if asked == "zh" else "en"
    for part in (accepted or "").lower().split(","):
        name = part.split(";")[0].strip()[:2]
        if name in ("en", "zh"):
            return "zh" if name == "zh" else "en"
    return "en"
