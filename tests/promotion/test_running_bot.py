"""A running bot and promotion: the real commands, real ccxt over TLS, a loopback venue."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from passivbot.cli.main import main
from passivbot.errors import LiveError
from passivbot.live.policy import Policy
from passivbot.live.start import Order, open_source, trade
from passivbot.ops import permissions
from passivbot.ops.run import Settings
from passivbot.ops.status import bots
from passivbot.promotion import promote as module
from tests.ops.test_alerts import webhook
from tests.promotion.at_venue import AtVenue, at_venue
from tests.promotion.conftest import ACCOUNT, Made


@pytest.fixture
def venue(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtVenue]:
    with at_venue(made.candles) as running:
        for name, value in running.environment(ACCOUNT).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PASSIVBOT_KEYS_FILE", str(tmp_path / "keys.enc"))
        monkeypatch.setattr(permissions, "connect", running.connect)
        monkeypatch.setattr(module, "WallClock", lambda: running)
        monkeypatch.chdir(tmp_path)
        yield running


async def until(holds: Callable[[], bool], bot: asyncio.Task[None], seconds: float = 60.0) -> None:
    """Wait in a thread, as ``holds`` may ask the bot's own endpoint."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        if bot.done():
            bot.result()
        assert time.monotonic() < deadline, f"it did not come within {seconds} s: {holds}"
        await asyncio.sleep(0.05)


def order_of(venue: AtVenue, root: Path, url: str | None, sessions: list[aiohttp.ClientSession]) -> Order:
    def session(trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        made = venue.venue.session(trace_configs=[trace])
        venue.venue._sessions.remove(made)  # it belongs to this loop
        sessions.append(made)
        return made

    return Order(
        account=ACCOUNT,
        source=open_source("main", root),
        settings=Settings(root=root, webhook=url, console=None),
        policy=Policy(unknown_seconds=0.0, requests_per_minute=10**9),
        session=session,
        clock=venue,
        follow=False,
        rate_limit_ms=1,
    )


def with_bot(
    venue: AtVenue, root: Path, during: Callable[[asyncio.Task[None]], Awaitable[None]]
) -> list[Any]:
    """Run the bot as ``passivbot live main`` does, do something meanwhile, end it by SIGTERM."""

    async def run() -> list[Any]:
        sessions: list[aiohttp.ClientSession] = []
        async with webhook() as (url, alerts):
            bot = asyncio.create_task(trade(order_of(venue, root, url, sessions)))
            try:
                await during(bot)
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.wait_for(bot, 60)
            finally:
                bot.cancel()
                for session in sessions:
                    await session.close()
        return alerts

    return asyncio.run(run())


def promote(made: Made, candidate: int, *more: str) -> int:
    target = ["--candidate", str(candidate), "--to", "main", "--confirm", ACCOUNT]
    return main(["promote", str(made.folder), *target, *more])


def resting(venue: AtVenue) -> list[str]:
    """The venue's orders in the words of the dry plan."""
    lines = []
    for order in venue.core.open_orders:
        qty = order.left if order.side == "buy" else -order.left
        lines.append(f"{order.coin} {qty:.10g} at {order.price:.10g}")
    return sorted(lines)


def without_type(lines: list[str]) -> list[str]:
    return sorted(f"{coin} {rest}" for coin, _, rest in (line.split(" ", 2) for line in lines))


def planned(root: Path, version: int) -> tuple[list[str], list[str]]:
    document = json.loads((root / "main" / "history" / f"{version:06d}.json").read_text())
    return without_type(document["plan"]["cancels"]), without_type(document["plan"]["creates"])


def test_study_to_promotion_to_running_bot_to_rollback(venue: AtVenue, made: Made, tmp_path: Path) -> None:
    root = tmp_path / "live"
    assert promote(made, made.good[1]) == 0
    orders: dict[int, list[str]] = {}

    async def during(bot: asyncio.Task[None]) -> None:
        async def settled(version: int) -> None:
            def holds() -> bool:
                for now in bots(root):
                    label = str(now.document.get("configuration", ""))
                    cycle = now.document.get("last_cycle", {})
                    still = cycle.get("placed") == 0 == cycle.get("cancelled")
                    return f"version {version} " in label and still
                return False

            await until(holds, bot)
            orders[version] = resting(venue)

        await settled(1)
        writes = len(venue.writes())
        assert await asyncio.to_thread(promote, made, made.good[2]) == 0
        await settled(2)
        assert len(venue.writes()) > writes
        back = ["promote", "rollback", "main", "--confirm", ACCOUNT]
        assert await asyncio.to_thread(main, back) == 0
        await settled(3)

    alerts = with_bot(venue, root, during)
    # What was shown before the confirmation is what the bot then did, order for order.
    assert planned(root, 1) == ([], orders[1])
    assert orders[1] != []
    for version in (2, 3):
        cancels, creates = planned(root, version)
        assert creates != []
        assert cancels != []
        before = list(orders[version - 1])
        for line in cancels:
            before.remove(line)
        assert sorted(before + creates) == orders[version]
    assert orders[3] == orders[1]
    # It says so: in its log and by an alert.
    said = [alert["text"] for alert in alerts if alert["kind"] == "version"]
    assert [text.split("version ")[1][0] for text in said] == ["1", "2", "3"]
    log = [json.loads(line) for line in (root / "bots" / ACCOUNT / "bot.log").read_text().splitlines()]
    taken = [line["message"] for line in log if "taken over" in line["message"]]
    assert len(taken) == 3
    assert "main version 3 (candidate" in taken[2]
    (ended,) = bots(root)
    assert (ended.state, ended.well) == ("ended", True)
    assert ended.document["max_exposure"] == 2.0
    # And no key is anywhere.
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert venue.key.secret.encode() not in content, path
            assert venue.key.key.encode() not in content, path


def test_a_damaged_version_leaves_the_bot_with_what_it_has(
    venue: AtVenue, made: Made, tmp_path: Path
) -> None:
    root = tmp_path / "live"
    assert promote(made, made.good[1]) == 0

    async def during(bot: asyncio.Task[None]) -> None:
        def told() -> str:
            return json.dumps([b.document for b in bots(root)], default=str)

        await until(lambda: "last_cycle" in told(), bot)
        pointer = root / "main" / "current"
        old = pointer.read_text()
        part = root / "main" / "part"
        part.write_text('{"sha256": "0", "version": 1}\n')
        part.replace(pointer)
        await until(lambda: "was changed after it was promoted" in told(), bot)
        assert not bot.done()
        part.write_text(old)
        part.replace(pointer)

    alerts = with_bot(venue, root, during)
    assert [a["facts"]["guard"] for a in alerts if a["kind"] == "guard"] == ["configuration"]


def test_another_account_is_refused(venue: AtVenue, made: Made, tmp_path: Path) -> None:
    root = tmp_path / "live"
    assert promote(made, made.good[1]) == 0
    assert main(["live", "main", "--account", "other_01", "--dry-run", "--cycles", "1"]) == 2
    order = order_of(venue, root, None, [])
    with pytest.raises(LiveError, match=f"allowed is {ACCOUNT}, for which main version 1"):
        asyncio.run(trade(Order("other_01", order.source, order.settings)))
    assert not (root / "bots" / "other_01").exists()


def test_a_second_bot_leaves_the_first_ones_status_alone(venue: AtVenue, made: Made, tmp_path: Path) -> None:
    root = tmp_path / "live"
    assert promote(made, made.good[1]) == 0

    async def during(bot: asyncio.Task[None]) -> None:
        await until(lambda: bool(bots(root)), bot)
        with pytest.raises(LiveError, match="is traded already by pid"):
            await trade(order_of(venue, root, None, []))
        (first,) = await asyncio.to_thread(bots, root)
        assert first.running
        assert first.document["port"]

    with_bot(venue, root, during)
