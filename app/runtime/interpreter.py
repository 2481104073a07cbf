"""How the interpreter runs a process that keeps many objects for long, with few reference cycles among them."""

import gc


def tune_collector() -> None:
    """Let the garbage collector look at states rarely: it would scan them again and again without effect."""
    gc.freeze()  # what is imported stays
    gc.set_threshold(100_000, 50, 100)
