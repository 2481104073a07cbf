"""HTTP requests to targets, and what their answers mean.

    2xx ─▶ Sent
    408, 425, 429, 5xx, no answer ─▶ RetryLater, after the time in Retry-After
    anything else, redirects included ─▶ DeliveryRejected

Redirects are never followed: a target could send a signed message on to an address inside the operator's network.
"""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from vigil.app.notify import words
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.senders.outcome import DeliveryRejected, RetryLater, SendOutcome, Sent

MAX_ANSWER_BYTES: Final = 2048
"""Bytes of an error answer that are read. They are only shown to people, and an answer may be of any length."""


class HttpPoster:
    """Posts to targets over one session."""

    def __init__(self, session: aiohttp.ClientSession, secrets: Secrets) -> None:
        self._session = session
        self._secrets = secrets

    async def post(self, url: str, data: bytes, headers: dict[str, str], timeout_s: float) -> SendOutcome:
        """Post `data` and return what came of it; no text of the outcome contains a secret."""
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.post(url, data=data, headers=headers, allow_redirects=False) as answer:
                    status, text = answer.status, ""
                    if status >= 300:
                        text = (await answer.content.read(MAX_ANSWER_BYTES)).decode(errors="replace")
                    after_s = retry_after_s(answer.headers.get("Retry-After"))
                    answer.close()  # drops the rest of the answer unread
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            why = self._secrets.redact(f"no answer: {str(error) or type(error).__name__}")[:500]
            return RetryLater(why, untaken=isinstance(error, aiohttp.ClientConnectorError))
        if 200 <= status < 300:
            return Sent()
        why = self._secrets.redact(f"HTTP {status}: {words.escape_control_chars(text, 300)}".rstrip(": "))
        if 300 <= status < 400:
            return DeliveryRejected(f"{why} (redirects are not followed: name the address itself)", status)
        if status in (408, 425, 429) or status >= 500:
            return RetryLater(why, after_s, untaken=status in (429, 503))
        return DeliveryRejected(why, status)


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or a date; None where it has neither."""
    if not header:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
