"""Doctor asks workers whether they judge, and says why they do not."""

import json

import pytest
from aiohttp import web

from vigil.app.runtime.doctor.workers import check_workers
from vigil.app.runtime.worker_health import RECOVERING, WorkerHealth

HELD = WorkerHealth()
HELD.ready, HELD.held = True, "this machine's clock is 3600.0 s ahead of the broker's: nothing is judged"


@pytest.mark.parametrize(
    ("status", "text", "level"),
    [
        (200, json.dumps({"status": "ok"}), None),
        (503, json.dumps({"status": "no", "why": HELD.not_ready()}), "fail"),
        (503, json.dumps({"status": "no", "why": WorkerHealth().not_ready()}), "warn"),
        (503, "another program's error page", None),
        (503, json.dumps(["why"]), None),
        (404, json.dumps({"why": "no such page"}), None),
    ],
)
async def test_a_worker_that_judges_nothing_fails_with_its_reason(status: int, text: str, level: str | None) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_get("/health/ready", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    try:
        checks = await check_workers(["http://127.0.0.1:1/metrics", url, "nonsense"])
    finally:
        await runner.cleanup()
    assert [check.level for check in checks] == ([] if level is None else [level])
    if level is not None:
        assert checks[0].words.startswith(url) and checks[0].remedy
        assert (HELD.held if level == "fail" else RECOVERING) in checks[0].words
