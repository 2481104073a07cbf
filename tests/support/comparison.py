"""Compares what consumers of the topics have with a replay of the same input, by what each subject declares."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import orjson

from vigil.app.domain.registry import DEAD_LETTER, REGISTRY, Registry
from vigil.app.domain.subject import OutputTopic
from vigil.app.runtime.replay import Outputs

Keyed = tuple[bytes | None, Any]
"""Key and decoded value of a message."""

Consumed = dict[str, list[Keyed]]
"""By topic: every message, partition by partition in order."""

PUBLISHED_AT: Final = "published_at"
"""The one field that may differ between repeats of a message."""


def differences(
    expected: Outputs, consumed: Consumed, *, live: bool = False, registry: Registry = REGISTRY
) -> list[str]:
    """What consumers have that differs from the replay; empty where all is the same.

    `live`: the workers' clock went on after the input had ended; what shows that is left out.
    """
    replayed = {topic: [_plain(output.body) for output in outputs] for topic, outputs in expected.by_topic.items()}
    found: list[str] = []
    for output in registry.replayed:
        scope = output.at_the_end if live else None
        if scope == "nothing":
            continue
        messages = consumed[output.topic]
        if scope == "up to the end":
            messages = [(key, value) for key, value in messages if value["at"] <= expected.until]
        ignored = {"at"} if scope == "all but the time" else set()
        if output.kind == "state":
            states = [(one.key, _plain(one.body)) for one in expected.by_topic[output.topic]]
            found += compare_states(output, states, messages, ignored)
        else:
            found += compare_events(output, replayed[output.topic], messages, ignored)
    return found + _dead_letters(replayed[DEAD_LETTER], consumed[DEAD_LETTER])


def compare_events(
    output: OutputTopic, expected: list[Any], messages: list[Keyed], ignored: Iterable[str] = ()
) -> list[str]:
    """Events by identity, of a revised one the last revision: how often one is revised on the way depends on order."""
    found = []
    seen: dict[tuple[Any, Any], Any] = {}
    for _, value in messages:
        value = _without(value, {PUBLISHED_AT})
        identity = value[output.identity], value[output.revision] if output.revision else 0
        if seen.setdefault(identity, value) != value:
            found.append(f"{output.topic}: two contents under one identity: {value} and {seen[identity]}")
    return found + _differ(output.topic, _last(output, expected, ignored), _last(output, seen.values(), ignored))


def compare_states(
    output: OutputTopic, expected: list[Keyed], messages: list[Keyed], ignored: Iterable[str] = ()
) -> list[str]:
    """States by the last message of each key: a key may consist of several fields."""

    def last(of: list[Keyed]) -> dict[str, Any]:
        return {
            (key or b"").decode(): _without(value, {PUBLISHED_AT, *ignored, *output.order_dependent(value)})
            for key, value in dict(of).items()
            if value is not None
        }

    return _differ(output.topic, last(expected), last(messages))


def identities(consumed: Consumed, registry: Registry = REGISTRY) -> Counter[tuple[object, ...]]:
    """How often each event and dead letter was published."""
    fields = {
        output.topic: (output.identity, *([output.revision] if output.revision else ()))
        for output in registry.replayed
        if output.kind == "event"
    }
    fields[DEAD_LETTER] = ("topic", "partition", "offset")
    return Counter(
        (topic, *(value[name] for name in names)) for topic, names in fields.items() for _, value in consumed[topic]
    )


def _last(output: OutputTopic, values: Iterable[Any], ignored: Iterable[str]) -> dict[str, Any]:
    """The messages that are valid at the end, by identity, without what may differ."""
    revision = output.revision
    last: dict[str, Any] = {}
    for value in sorted(values, key=lambda value: value[revision]) if revision else values:
        left_out = {PUBLISHED_AT, *ignored, *output.order_dependent(value)} | ({revision} if revision else set())
        last[value[output.identity]] = _without(value, left_out)
    return last


def _dead_letters(expected: list[Any], messages: list[tuple[bytes | None, Any]]) -> list[str]:
    """Dead letters by content: a replay knows no partitions and offsets."""
    before = Counter(_content(letter) for letter in expected)
    places = {(value["topic"], value["partition"], value["offset"]): value for _, value in messages}
    after = Counter(_content(letter) for letter in places.values())
    found = [f"{DEAD_LETTER}: missing {letter}"[:300] for letter in before - after]
    return found + [f"{DEAD_LETTER}: too many {letter}"[:300] for letter in after - before]


def _content(letter: Mapping[str, Any]) -> tuple[Any, ...]:
    return letter["topic"], letter["reason"], letter["key"], letter["value"]


def _differ(topic: str, then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = [f"{topic}: missing {then[name]}"[:400] for name in sorted(then.keys() - now.keys())]
    found += [f"{topic}: not expected {now[name]}"[:400] for name in sorted(now.keys() - then.keys())]
    for name in sorted(then.keys() & now.keys()):
        if then[name] != now[name]:
            fields = {
                field: (then[name].get(field), now[name].get(field))
                for field in {**then[name], **now[name]}
                if then[name].get(field) != now[name].get(field)
            }
            found.append(f"{topic}: {name} differs (replay, topic): {fields}"[:600])
    return found


def _without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    left_out = set(names)
    kept = {name: content for name, content in value.items() if name not in left_out}
    for name in left_out:
        outer, _, inner = name.partition(".")
        if inner and isinstance(kept.get(outer), dict):
            kept[outer] = _without(kept[outer], {inner})
    return kept


def _plain(body: Any) -> Any:
    """As JSON has it: tuples are lists."""
    return orjson.loads(orjson.dumps(msgspec.to_builtins(body)))
