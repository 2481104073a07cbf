"""What workers say of themselves: whether those that can be asked judge, and why not."""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urljoin

import aiohttp
import msgspec

from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.worker_health import RECOVERING

TIMEOUT_S: Final = 2
"""How long a worker may take to answer."""


class _NotReady(msgspec.Struct):
    why: str


async def check_workers(metrics: Sequence[str]) -> list[Check]:
    """Ask workers whether they are ready; those that do not answer are left out.

    `metrics`: addresses of their metrics.
    """
    answers = await asyncio.gather(*map(_why_not_ready, metrics))
    return [_check(url, why) for url, why in zip(metrics, answers, strict=True) if why is not None]


def _check(url: str, why: str) -> Check:
    if why == RECOVERING:
        return Check("workers", "warn", f"{url}: {why}", "look again in a few seconds")
    return Check("workers", "fail", f"{url}: this worker judges nothing: {why}", "see its log, and docs/runbook.md")


async def _why_not_ready(url: str) -> str | None:
    """Why a worker is not ready; None where it is, or where no worker answers."""
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        address = urljoin(url, "/health/ready")
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(address) as response:
            if response.status != 503:
                return None
            return msgspec.json.decode(await response.read(), type=_NotReady).why
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None
