"""Writes the files of the contract under docs/, or compares them with the code.

python tools/contracts.py write    write docs/contracts/… and the tables of docs/contracts.md and README.md
python tools/contracts.py check    exit status 1 if they are out of date
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from vigil.app.domain.registry import REGISTRY
from vigil.topics.catalog import TOPICS
from vigil.topics.contracts import EXAMPLES, PUBLIC
from vigil.topics.contracts.files import files, pretty

ROOT: Final = Path(__file__).parents[1]

FOLDER: Final = ROOT / "docs" / "contracts"
PAGE: Final = ROOT / "docs" / "contracts.md"
README: Final = ROOT / "README.md"


def topics_table() -> str:
    """Return the table of all topics: key, clean-up policy, content and schema."""
    rows = ["| topic | | key | clean-up | carries | JSON Schema |", "| --- | --- | --- | --- | --- | --- |"]
    for topic in TOPICS:
        kept = "any" if not topic.config else topic.config["cleanup.policy"]
        if topic.retention_days is not None:
            kept += f", {topic.retention_days} d"
        key = "that of the rejected message" if topic.name == "dead-letter" else f"`{topic.key}`"
        schema = f"[{topic.carries.__name__}](contracts/schemas/{topic.name}.json)" if topic.name in PUBLIC else "–"
        rows.append(f"| `{topic.name}` | {topic.direction} | {key} | {kept} | {topic.description} | {schema} |")
    return "\n".join(rows)


def inputs_table() -> str:
    """Every input: its type, the subject that reads it, and what that subject publishes."""
    rows = ["| source topic | message | type | subject | which publishes |", "| --- | --- | --- | --- | --- |"]
    for topic in TOPICS:
        if topic.direction == "in":
            subject = REGISTRY.readers[topic.name]
            module = topic.carries.__module__.removeprefix("vigil.").replace(".", "/")
            outputs = [output.topic for output in REGISTRY.replayed if REGISTRY.writers[output.topic] == subject]
            published = ", ".join(f"`{name}`" for name in outputs)
            rows.append(
                f"| `{topic.name}` | {topic.description} | `{module}.py` `{topic.carries.__name__}` | "
                f"`app/domain/{subject}` | {published} |"
            )
    return "\n".join(rows)


def examples() -> str:
    """Return one example message of each topic."""
    parts = []
    for name, example in EXAMPLES.items():
        if name == "verdict-shadow":
            parts.append(f"`{name}`: like `verdict`.")
            continue
        identity = f", `ce_id` `{example.id}`" if example.id else ""
        parts.append(f"`{name}`, key `{example.key}`{identity}\n\n```json\n{pretty(example.value)}```")
    return "\n\n".join(parts)


def replace_part(text: str, name: str, generated: str) -> str:
    """Return a page with one generated part replaced by the current one."""
    begin, end = f"<!-- {name}: made by tools/contracts.py -->", f"<!-- end of {name} -->"
    pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
    text, found = re.subn(pattern, lambda _: f"{begin}\n{generated}\n{end}", text, flags=re.DOTALL)
    if found != 1:
        raise SystemExit(f"the section {begin!r} … {end!r} of a page is missing")
    return text


def page(text: str) -> str:
    """Return the page about the contract with its generated parts replaced by current ones."""
    text = replace_part(replace_part(text, "topics", topics_table()), "examples", examples())
    for file in ("examples/consumer.py", "examples/Verdicts.java"):
        code = (ROOT / file).read_text(encoding="utf-8")
        text, found = re.subn(
            rf"(<!-- {re.escape(file)} -->\n```\w+\n).*?(```)",
            lambda place, code=code: f"{place[1]}{code}{place[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
        if found != 1:
            raise SystemExit(f"{PAGE}: there is no section for {file}")
    return text


def wanted() -> dict[Path, str]:
    """Return every file that must exist, with its content."""
    contents = {FOLDER / name: text for name, text in files(REGISTRY.readers).items()}
    contents[PAGE] = page(PAGE.read_text(encoding="utf-8"))
    contents[README] = replace_part(README.read_text(encoding="utf-8"), "inputs", inputs_table())
    return contents


def stale() -> list[str]:
    """Return the files that are out of date or must not exist."""
    contents = wanted()
    problems = []
    for file, text in contents.items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            problems.append(str(file.relative_to(ROOT)))
    problems += [
        f"{file.relative_to(ROOT)} (no such topic)" for file in (FOLDER / "schemas").glob("*") if file not in contents
    ]
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["write", "check"])
    if parser.parse_args().what == "write":
        for file, text in wanted().items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        return 0
    problems = stale()
    for problem in problems:
        print(f"{problem} is not current; run: python tools/contracts.py write", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
