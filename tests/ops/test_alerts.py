"""Alerts: real webhooks on loopback, up, slow, failing, gone."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from passivbot.errors import LiveError
from passivbot.ops import alerts as module
from passivbot.ops.alerts import FAILURES, MOST_AN_HOUR, SAME_MATTER_SECONDS, Alert, Alerts
from passivbot.ops.metrics import Metrics
from passivbot.ops.redact import MASK, register


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def webhook(
    statuses: list[int] | None = None, wait: float = 0.0
) -> AsyncIterator[tuple[str, list[Any]]]:
    taken: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        await asyncio.sleep(wait)
        status = statuses.pop(0) if statuses else 204
        if status < 300:
            taken.append(await request.json())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", taken
    finally:
        await runner.cleanup()


def outcomes(metrics: Metrics) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for family in metrics.alerts.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_a_message_says_who_what_and_how_often() -> None:
    async def run() -> list[Any]:
        clock = Clock()
        async with webhook() as (url, taken):
            alerts = Alerts(url, "bybit_01", "main", clock=clock)
            async with alerts.delivering():
                alerts.send("guard", "exposure cap", matter="exposure", coin="BTC", exposure=2.5)
                alerts.send("guard", "exposure cap", matter="exposure", coin="ETH")
                alerts.send("guard", "exposure cap", matter="exposure", coin="SOL")
                alerts.send("guard", "stale data", matter="stale")
                clock.now += SAME_MATTER_SECONDS
                alerts.send("guard", "exposure cap", matter="exposure", coin="XRP")
            return taken

    first, second, third = asyncio.run(run())
    assert first == {
        "account": "bybit_01",
        "facts": {"coin": "BTC", "exposure": 2.5},
        "held_back": 0,
        "kind": "guard",
        "name": "main",
        "text": "passivbot bybit_01/main: exposure cap",
    }
    assert second["text"].endswith("stale data")
    assert (third["held_back"], third["facts"]) == (2, {"coin": "XRP"})
    assert third["text"].endswith("exposure cap (2 more like it since the last message)")


def test_not_more_than_thirty_an_hour() -> None:
    async def run() -> tuple[int, int]:
        clock = Clock()
        async with webhook() as (url, taken):
            alerts = Alerts(url, "a", "n", clock=clock)
            async with alerts.delivering():
                for number in range(100):
                    alerts.send("guard", "x", matter=str(number))
            before = len(taken)
            async with alerts.delivering():
                alerts.send("stopped", "x", matter="stopped")
            assert len(taken) == before + 1, "that it stopped is always told"
            clock.now += 3600
            async with alerts.delivering():
                alerts.send("guard", "x", matter="later")
            return before, len(taken)

    assert asyncio.run(run()) == (MOST_AN_HOUR, MOST_AN_HOUR + 2)


def test_a_webhook_that_fails_is_tried_again_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSES", (0.01, 0.01, 0.01))

    async def run() -> tuple[int, dict[str, float]]:
        metrics = Metrics("a", "n")
        async with webhook([500, 429, 204, 404, 500, 500, 500, 500]) as (url, taken):
            alerts = Alerts(url, "a", "n", metrics)
            async with alerts.delivering():
                alerts.send("guard", "twice refused, then taken", matter="1")
                alerts.send("guard", "not found: given up at once", matter="2")
                alerts.send("guard", "never taken", matter="3")
                alerts.send("guard", "taken", matter="4")
                alerts.send("guard", "held back", matter="4")
            return len(taken), outcomes(metrics)

    assert asyncio.run(run()) == (2, {"sent": 2.0, "failed": 2.0, "held back": 1.0})


def test_the_loop_never_waits_for_a_webhook() -> None:
    async def run() -> int:
        async with webhook(wait=3.0) as (url, _):
            alerts = Alerts(url, "a", "n")
            async with alerts.delivering():
                for number in range(20):
                    alerts.send("guard", "x", matter=str(number))
                    await asyncio.sleep(0)
                undelivered = alerts._queue.qsize()
                # The end of the block gives up the rest: a bot has to end too.
                for _ in range(19):
                    alerts._queue.get_nowait()
                    alerts._queue.task_done()
            return undelivered

    assert asyncio.run(run()) >= 19


def test_the_fifth_failure_in_a_row_is_told_and_the_end_of_it() -> None:
    async def run() -> list[Any]:
        async with webhook() as (url, taken):
            alerts = Alerts(url, "a", "n")
            async with alerts.delivering():
                for _ in range(FAILURES - 1):
                    alerts.failed("snapshot", "timeout")
                alerts.succeeded("snapshot")
                for _ in range(FAILURES):
                    alerts.failed("snapshot", RuntimeError("timeout"))
                alerts.succeeded("snapshot")
                alerts.succeeded("snapshot")
            return taken

    failing, recovered = asyncio.run(run())
    assert failing["text"].endswith("snapshot failed 5 times in a row: timeout")
    assert (failing["kind"], recovered["kind"]) == ("failing", "recovered")
    assert recovered["text"].endswith("works again after 5 failures")


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("https://hooks.slack.com/services/T/B/x", {"text": "passivbot a/n: hello"}),
        ("https://discord.com/api/webhooks/1/x", {"content": "passivbot a/n: hello"}),
    ],
)
def test_slack_and_discord_get_what_they_take(url: str, body: dict[str, str]) -> None:
    assert Alerts(url, "a", "n")._body(Alert("guard", "hello", {"coin": "BTC"})) == body


def test_no_secret_leaves_in_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    register(["very-secret-value"])

    async def run() -> list[Any]:
        async with webhook() as (url, taken):
            alerts = Alerts(url, "a", "n")
            async with alerts.delivering():
                alerts.send("failing", "key very-secret-value", url=url, key="very-secret-value")
            return taken

    (body,) = asyncio.run(run())
    assert body["text"].endswith(f"key {MASK}")
    assert body["facts"] == {"url": MASK, "key": MASK}


def test_without_a_webhook_alerts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        alerts = Alerts(None, "a", "n")
        async with alerts.delivering():
            alerts.send("guard", "too much", coin="BTC")

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert "too much" in caplog.text


@pytest.mark.parametrize(
    "url",
    ["example.org/x", "ftp://x/y", "https:///path", "http://[::1/x", "https://a..b/x", f"https://{'a' * 64}"],
)
def test_an_address_that_is_none_is_an_error_and_is_not_shown(url: str) -> None:
    with pytest.raises(LiveError, match=r"allowed is https://HOST/PATH") as caught:
        Alerts(url, "a", "n")
    assert url not in str(caught.value)
