"""What is stored of alerts about lines keeps its bytes: another release must read it.

`stored_lines.tsv` has a line for each record: its key, and its bytes as an earlier release wrote them.
"""

from pathlib import Path

from tests.support.line_alert_stories import ALL, book, obligation, participation, take
from tests.support.notify_stories import T0, S
from vigil.app.notify.known_statuses import FLOOR
from vigil.app.notify.outbox import KEY_PREFIXES, Outbox

STORED = dict(line.split("\t") for line in (Path(__file__).parent / "stored_lines.tsv").read_text().splitlines())


def written() -> dict[str, str]:
    """An obligation singly, two in a digest, a participation, and what was dropped before."""
    lines, outbox = book(ALL + "singly = 1", most_known=4), Outbox()
    said = [obligation(ref="r-0", at=1), obligation(), obligation(ref="r-2"), obligation(ref="r-3")]
    for one in (*said, participation("refused", at=30, reason="closed")):
        for change, when in take(lines, one, T0 + 9 * S):
            outbox.add(change, when, T0 + 9 * S)
    records = [*lines.changed(), *outbox.changed()]
    return {key: value.decode() for key, value in records if value is not None}


def test_records_keep_their_bytes_and_are_read_back() -> None:
    assert written() == STORED
    records = {key: value.encode() for key, value in STORED.items()}
    lines, outbox = book(ALL, most_known=4), Outbox()
    pending = {key: value for key, value in records.items() if key.startswith(KEY_PREFIXES)}
    assert outbox.load(pending) == {}
    assert lines.load({key: value for key, value in records.items() if key not in pending}) == {}
    assert (len(lines), len(lines.open), len(outbox), f"t:{FLOOR}" in records) == (4, 1, 2, True)
    assert [change.line.count for change, _ in lines.tick(T0 + 700 * S)] == [3]
