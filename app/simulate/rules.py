"""The limits of the announcement of July 2022, which faults are planned by.

They repeat the rulebook on purpose: the manifest says what the rules *should* find, so it must not change with the
rulebook that it checks. A test compares the two.
"""

from typing import Final

IN_FORCE_MS: Final = 1_658_214_000_000
"""2022-07-19, midnight in Los Angeles: no room rule is in force before it."""

MAX_FRAME_GAP_S: Final = 15
GREET_WITHIN_S: Final = 10
GREET_EARLY_S: Final = 1
"""A reception so long before an entry counts, too."""
MISSES_IN_A_ROW: Final = 3
AGAIN_S: Final = 3600
"""The same label in comments of one room, and repeated comments, count once in this time."""
REPEATS: Final = 5
REPEATS_WITHIN_S: Final = 60

LASTS_S: Final = {
    "absence": 300,
    "black-screen": 120,
    "av-desync": 300,
    "dead-air": 300,
    "sleeping": 10,
    "no-content": 300,
    "theme-mismatch": 10,
    "layout": 10,
    "illegal-background": 3,
    "rights": 3,
    "minor": 3,
    "prohibited-goods": 3,
}
"""How long a condition must last to violate each rule, in s."""

LONGEST_STEP_MS: Final = 5_200
"""The largest distance of two successive frames of one look: a condition that is longer than its rule by more than this
is a violation with certainty."""
