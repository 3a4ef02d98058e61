"""Faults of the process: restarts, a second bot, the stream, signals, disk; numbers as in docs/live.md."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from passivbot.errors import LiveError, ResourceError
from passivbot.exchanges import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.live.journal import Journal
from passivbot.live.lock import lock_account
from passivbot.live.run import Restarts, run, supervise
from passivbot.live.watch import Watch
from tests.live.rig import ACCOUNT, BOTH, Rig, VenueClock, counts, rig

both = pytest.mark.parametrize("name", BOTH)


async def holding(r: Rig, most: int = 60) -> None:
    """Start, and trade until something is held."""
    await r.start()
    await r.settle()
    for _ in range(most):
        if r.core.positions:
            return
        await r.minutes(1)
    raise AssertionError("nothing was entered")


@both
@pytest.mark.parametrize("journal", ["kept", "lost"])
async def test_fault_18_restart_adopts_what_is_there(name: str, journal: str, tmp_path: Path) -> None:
    """No order is sent, with the journal or without."""
    async with rig(name, tmp_path) as r:
        await holding(r)
        orders = {order.id for order in r.core.open_orders}
        writes = sum(1 for seen in r.venue.log if seen.operation in ("create", "cancel"))
        await r.end()
        if journal == "lost":
            for path in tmp_path.glob("journal.sqlite*"):
                path.unlink()
        await r.start()
        await r.settle()
        assert {order.id for order in r.core.open_orders} == orders
        assert sum(1 for seen in r.venue.log if seen.operation in ("create", "cancel")) == writes
        r.check()
        await r.minutes(2)
        r.check()


@both
async def test_fault_19_a_second_bot_elsewhere_stops(name: str, tmp_path: Path) -> None:
    """Another machine, so no lock: the bot that finds orders it did not place stops and leaves all alone."""
    async with rig(name, tmp_path) as r:
        (tmp_path / "elsewhere").mkdir()
        second = Rig(r.venue, name, r.key, tmp_path / "elsewhere", r.config)
        await r.start()
        await r.settle()
        await second.start()
        await second.settle()
        try:
            with pytest.raises(LiveError, match="another bot trades this account"):
                await both_trade(r, second)
        finally:
            await second.end()


async def both_trade(r: Rig, second: Rig) -> None:
    """Let two bots trade one account."""
    for _ in range(30):
        await second.minutes(1)
        await r.settle()


def test_fault_19_a_second_bot_here_is_refused(tmp_path: Path) -> None:
    lock = lock_account(tmp_path, ACCOUNT)
    with pytest.raises(LiveError, match=f"account {ACCOUNT} is traded already by pid"):
        lock_account(tmp_path, ACCOUNT)
    lock.close()
    lock_account(tmp_path, ACCOUNT).close()


class Paced(VenueClock):
    """Market time that moves when the bot waits, as long as there are minutes left."""

    def __init__(self, r: Rig, minutes: int, stop: asyncio.Event) -> None:
        super().__init__(r.venue)
        self.left, self.stop = minutes, stop

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        await asyncio.sleep(0.02)
        if seconds < 5.0:
            return
        if self.left == 0:
            self.stop.set()
            return
        self.left -= 1
        self._venue.advance()


@both
async def test_fault_15_the_stream_breaks_falls_silent_and_expires(name: str, tmp_path: Path) -> None:
    """REST goes on; a stream that says nothing of a fill is opened anew."""
    async with rig(name, tmp_path) as r:
        bot = await r.start()
        stop = asyncio.Event()
        bot.parts.clock = Paced(r, 12, stop)
        task = asyncio.create_task(run(bot, stop))
        while bot.parts.clock.left > 10:
            await asyncio.sleep(0.02)
        await r.venue.drop_websockets()
        r.venue.silence_websockets()
        order = next(o for o in r.core.open_orders if not o.closes)
        r.core.fill(order.id)
        async with asyncio.timeout(60):
            await task
        assert "websocket" in counts(r.told)
        assert len(r.journal.fills()) == len(r.core.executions)
        r.check_books()
        r.venue.silence_websockets(False)
        r.cycles += 30  # those that the loop ran
        await r.settle()
        r.check()


@both
async def test_fault_30_sigterm_in_a_batch(name: str, tmp_path: Path) -> None:
    """What is being sent is taken note of, no further batch is sent, the next start goes on."""
    async with rig(name, tmp_path) as r:
        r.config = r.config.from_dict(
            r.config.to_dict() | {"live": r.config.to_dict()["live"] | {"max_n_creations_per_batch": 4}}
        )
        bot = await r.start()
        r.venue.faults.add("create", "late", seconds=0.5)
        stop = asyncio.Event()
        task = asyncio.create_task(run(bot, stop, follow=False))
        while not r.core.open_orders:
            await asyncio.sleep(0.01)
        stop.set()
        async with asyncio.timeout(20):
            await task
        assert 0 < len(r.core.open_orders) <= 4
        assert {intent.state for intent in r.journal.live()} == {"open"}
        r.check_books()
        await r.start()
        await r.settle(40)
        r.check()


@both
async def test_fault_30_full_disk_sends_nothing_that_is_not_written(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await r.start()
        await r.settle()
        # SQLite refuses to grow the file, as it does on a full disk.
        pages = r.journal._db.execute("PRAGMA page_count").fetchone()[0]
        r.journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        r.journal._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ResourceError, match="full"):
            await r.minutes(200)
        mine = {intent.id for intent in r.journal.live()}
        assert {o.client_id[-28:] for o in r.core.open_orders} <= mine
        assert all(r.journal.order(o.client_id[-28:]) for o in r.core.orders.values())
        r.journal._db.execute("PRAGMA max_page_count = 1000000")
        await r.start()
        await r.settle()
        r.check()


@both
async def test_fault_30_corrupt_cache_is_made_anew(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await holding(r)
        orders = r.resting()
        await r.end()
        path = tmp_path / "candles.sqlite"
        for wal in tmp_path.glob("candles.sqlite-*"):
            wal.unlink()
        path.write_bytes(b"not a database" * 1000)
        await r.start()
        await r.settle()
        assert (tmp_path / "candles.sqlite.damaged").exists()
        assert counts(r.told)["candles"] == 1
        assert len(r.resting()) == len(orders)
        r.check()


def test_fault_30_corrupt_journal_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(LiveError, match="damaged, or not a journal"):
        Journal(path, ACCOUNT)


def test_the_journal_of_another_account_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.sqlite", ACCOUNT).close()
    with pytest.raises(LiveError, match=f"journal of account {ACCOUNT}"):
        Journal(tmp_path / "journal.sqlite", "other_01")


async def test_the_restart_budget_is_spent_and_kept(tmp_path: Path) -> None:
    """Restarts of the service count too: the times are in the journal."""

    class Now:
        ms = 1_000_000

        def now_ms(self) -> int:
            return self.ms

        async def wait(self, seconds: float, wake: asyncio.Event) -> None:
            waited.append(seconds)

    waited: list[float] = []
    journal, clock, stop = Journal(tmp_path / "journal.sqlite", ACCOUNT), Now(), asyncio.Event()
    lives = 0

    async def life() -> None:
        nonlocal lives
        lives += 1
        raise ValueError("broken")

    for expected in (4, 5):
        with pytest.raises(LiveError, match="max_n_restarts_per_day = 3"):
            await supervise(life, Restarts(journal, 3), Watch(journal), clock, stop)
        assert lives == expected
    assert waited == [5.0, 10.0, 20.0]
    assert len(json.loads(journal.fact("restarts") or "")) == 5
    clock.ms += 86_400_000
    with pytest.raises(LiveError, match="4 times"):
        await supervise(life, Restarts(journal, 3), Watch(journal), clock, stop)
    journal.close()


async def test_whatever_breaks_is_made_anew_but_what_a_person_has_to_mend(tmp_path: Path) -> None:
    class Now:
        def now_ms(self) -> int:
            return 1_000_000

        async def wait(self, seconds: float, wake: asyncio.Event) -> None:
            pass

    breaks: list[Exception] = [ZeroDivisionError(), AttributeError("x"), sqlite3.OperationalError("y")]
    journal = Journal(tmp_path / "journal.sqlite", ACCOUNT)

    async def life() -> None:
        if breaks:
            raise breaks.pop()

    budget = Restarts(journal, 10)
    await supervise(life, budget, Watch(journal), Now(), asyncio.Event())
    assert not breaks
    breaks = [ValueError("never come to"), ResourceError("the disk is full")]
    with pytest.raises(ResourceError):
        await supervise(life, budget, Watch(journal), Now(), asyncio.Event())
    assert len(breaks) == 1
    journal.close()


async def test_an_outage_of_hours_costs_no_restart(tmp_path: Path) -> None:
    class Now:
        ms = 1_000_000

        def now_ms(self) -> int:
            return self.ms

        async def wait(self, seconds: float, wake: asyncio.Event) -> None:
            self.ms += int(seconds * 1000)

    journal, clock, tries = Journal(tmp_path / "journal.sqlite", ACCOUNT), Now(), 0

    async def life() -> None:
        nonlocal tries
        tries += 1
        if clock.ms < 1_000_000 + 4 * 3_600_000:
            raise ExchangeFault(Failure.MAINTENANCE, "system upgrading")

    watch = Watch(journal)
    await supervise(life, Restarts(journal, 3), watch, clock, asyncio.Event())
    assert 30 < tries < 60, "every five minutes"
    assert journal.fact("restarts") is None
    assert {guard for _, guard, _ in journal.trips()} == {"outage"}
    assert len(journal.trips()) > 30, "it is told again and again"
    journal.close()


@both
@pytest.mark.parametrize("operation", ["permissions", "markets"])
async def test_what_is_read_now_and_then_may_fail_meanwhile(
    name: str, operation: str, tmp_path: Path
) -> None:
    async with rig(name, tmp_path) as r:
        bot = await r.start()
        await r.settle()
        r.venue.faults.add(operation, "status", status=503, body={}, times=1000)
        bot._due_ms[operation] = 0
        fills = len(r.core.executions)
        for _ in range(60):
            await r.minutes(1)
            if len(r.core.executions) > fills:
                break
        assert counts(r.told)[operation] >= 1
        assert len(r.core.executions) > fills, "trading goes on"
        assert not r.failed
        r.venue.faults.clear()
        r.check()


@both
async def test_cycles_that_fail_are_waited_out(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await r.start()
        r.venue.faults.add("balance", "status", status=502, body={}, times=3)
        for _ in range(3):
            await r.look()
        assert len(r.failed) == 3
        await r.settle()
        r.check()


def test_the_journal_survives_being_read_by_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", ACCOUNT)
    journal.tripped("balance", "a text", 5)
    with sqlite3.connect(f"file:{tmp_path}/journal.sqlite?mode=ro", uri=True) as other:
        assert other.execute("SELECT guard FROM guards").fetchall() == [("balance",)]
    assert (tmp_path / "journal.sqlite").stat().st_mode & 0o077 == 0
    journal.close()
