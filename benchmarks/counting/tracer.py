"""Count what the interpreter does: calls of Python functions, calls of functions in C, and bytecode instructions.

The counts depend on the code, its input and the minor version of Python, and not on the machine: they are the same on a
busy one. Instructions are counted as compiled, whatever the interpreter specialises.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

_NOT_COUNTED: Final = str(Path(__file__).parent)
"""The code of the count itself."""


class Cost(NamedTuple):
    """What was counted, of one function or of all."""

    calls: float = 0
    """Entries into Python functions; a generator that is resumed is entered again."""
    c_calls: float = 0
    """Functions in C that Python code called."""
    instructions: float = 0


class Costs:
    """The costs of a piece of work, by function."""

    def __init__(self) -> None:
        self.by_code: dict[CodeType, Cost] = {}

    def total(self) -> Cost:
        """The sum over all functions."""
        calls, c_calls, instructions = zip(Cost(), *self.by_code.values(), strict=True)
        return Cost(sum(calls), sum(c_calls), sum(instructions))

    def over(self, number: float) -> "Costs":
        """Divide by a number of events."""
        divided = Costs()
        divided.add(self, 1 / number)
        return divided

    def add(self, other: "Costs", times: float = 1) -> None:
        """Add other costs, `times` times: -1 to take off what is not part of the work."""
        for code, (calls, c_calls, instructions) in other.by_code.items():
            mine = self.by_code.get(code, _NOTHING)
            self.by_code[code] = Cost(
                mine.calls + times * calls, mine.c_calls + times * c_calls, mine.instructions + times * instructions
            )

    def calls_of(self, name: str) -> int:
        """How often functions of this name were called."""
        return round(sum(cost.calls for code, cost in self.by_code.items() if code.co_name == name))


_NOTHING: Final = Cost()


def counted(work: Callable[..., Any], *arguments: object) -> Costs:
    """Do a piece of work and return what it costs. Debuggers and coverage do not see it."""
    calls: dict[CodeType, int] = {}
    c_calls: dict[CodeType, int] = {}
    instructions: dict[CodeType, int] = {}

    def enter(frame: FrameType, _event: str, _: object) -> Callable[..., Any] | None:
        code = frame.f_code
        if code.co_filename.startswith(_NOT_COUNTED):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        calls[code] = calls.get(code, 0) + 1
        instructions.setdefault(code, 0)
        return within

    def within(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        if event == "opcode":
            instructions[frame.f_code] += 1
        return within

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "c_call":
            c_calls[frame.f_code] = c_calls.get(frame.f_code, 0) + 1

    before = sys.gettrace(), sys.getprofile()
    sys.setprofile(profile)
    sys.settrace(enter)
    try:
        work(*arguments)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    costs = Costs()
    for code, number in calls.items():
        costs.by_code[code] = Cost(number, c_calls.get(code, 0), instructions[code])
    return costs
