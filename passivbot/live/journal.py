"""The journal: what the bot is about to do, before it does it; its fills; what its guards did.

One SQLite file. An order is written down with its id before it is sent, so after a crash each order that may
rest at the exchange is known by name. States of an order::

    intended   written, perhaps sent            open      the exchange has it
    unknown    sent, answer lost                refused   the exchange did not take it
    ended      filled, cancelled, or it never arrived

``intended``, ``unknown`` and ``open`` are *live*: an order just like it gets the same id and no other.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from passivbot.errors import LiveError
from passivbot.exchanges.types import Fill
from passivbot.live.ids import client_id, exact
from passivbot.ops.redact import redacted
from passivbot.planner import PlannedOrder
from passivbot.sqlite import sqlite_errors

FILE = "journal.sqlite"
VERSION = 1
State = Literal["intended", "unknown", "open", "refused", "ended"]
LIVE: tuple[State, ...] = ("intended", "unknown", "open")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, coin TEXT NOT NULL, side TEXT NOT NULL, type TEXT NOT NULL,
    qty REAL NOT NULL, price REAL, number INTEGER NOT NULL, state TEXT NOT NULL,
    exchange_id TEXT NOT NULL DEFAULT '', made_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL,
    why TEXT NOT NULL DEFAULT '', cancelling INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS live_orders ON orders (state) WHERE state IN ('intended', 'unknown', 'open');
CREATE INDEX IF NOT EXISTS alike ON orders (coin, side, type, qty, price);
CREATE TABLE IF NOT EXISTS fills (
    id TEXT PRIMARY KEY, coin TEXT NOT NULL, side TEXT, client_id TEXT NOT NULL, order_id TEXT NOT NULL,
    qty REAL NOT NULL, price REAL NOT NULL, fee REAL NOT NULL, pnl REAL, time_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fills_by_time ON fills (time_ms);
CREATE TABLE IF NOT EXISTS guards (at_ms INTEGER NOT NULL, guard TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Intent:
    """An order as the journal knows it; ``price`` None is a market order."""

    id: str
    coin: str
    side: str
    type: str
    qty: float
    price: float | None
    state: State
    exchange_id: str
    made_ms: int
    changed_ms: int
    cancelling: bool


_COLUMNS = "id, coin, side, type, qty, price, state, exchange_id, made_ms, changed_ms, cancelling"


class Journal:
    """An account's journal.

    Parameters
    ----------
    path
        Its file; made if missing.
    account
        Part of the ids.

    Raises
    ------
    LiveError
        The file is damaged, of another account or version, or can't be written.
    ResourceError
        The disk is full.
    """

    def __init__(self, path: Path, account: str) -> None:
        self.path, self.account = path, account
        with self._errors():
            # Readable by its owner alone: it tells what the account holds.
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            # An intent has to survive a power cut, not only the process.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA wal_autocheckpoint = 1000")
            self._db.executescript(_SCHEMA)
            known = self.fact("account"), self.fact("version")
            if known == (None, None):
                self.note("account", account)
                self.note("version", str(VERSION))
        if known not in ((None, None), (account, str(VERSION))):
            self._db.close()
            raise LiveError(
                f"{path}: is the journal of account {known[0]}, version {known[1]}; "
                f"allowed is account {account}, version {VERSION}"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ---- orders

    def intend(self, orders: Sequence[tuple[PlannedOrder, float | None]], now_ms: int) -> list[Intent]:
        """Write down orders that are about to be sent; in one transaction, on the disk when it returns.

        An order just like a live one gets that one's id.

        Parameters
        ----------
        orders
            Each with the price that is sent: None for a market order.
        now_ms
            Market time.
        """
        made = []
        with self._errors(), self._transaction():
            for order, price in orders:
                made.append(self._intend(order, price, now_ms))
        return made

    def _intend(self, order: PlannedOrder, price: float | None, now_ms: int) -> Intent:
        qty, price = exact(order.qty), None if price is None else exact(price)
        alike = (order.coin, order.side, order.type, qty, price)
        row = self._db.execute(
            "SELECT state, number, id FROM orders WHERE coin = ? AND side = ? AND type = ? AND qty = ? "
            "AND price IS ? ORDER BY number DESC LIMIT 1",
            alike,
        ).fetchone()
        if row is not None and row[0] != "ended":
            if row[0] == "refused":  # the exchange never knew the id
                self._db.execute(
                    "UPDATE orders SET state = 'intended', made_ms = ?, changed_ms = ? WHERE id = ?",
                    (now_ms, now_ms, row[2]),
                )
            return self.order(row[2]) or _unreachable()
        number = 0 if row is None else row[1] + 1
        name = client_id(self.account, order.coin, order.side, order.type, price, qty, number)
        intent = Intent(
            name, order.coin, order.side, order.type, qty, price, "intended", "", now_ms, now_ms, False
        )
        self._db.execute(
            "INSERT INTO orders (id, coin, side, type, qty, price, number, state, made_ms, changed_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 'intended', ?, ?)",
            (name, *alike, number, now_ms, now_ms),
        )
        return intent

    def adopt(self, intent: Intent) -> None:
        """Take over an order of an earlier run that is not in this file; after it, others get other ids."""
        with self._errors():
            self._db.execute(
                "INSERT OR IGNORE INTO orders (id, coin, side, type, qty, price, number, state, exchange_id, "
                "made_ms, changed_ms) VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?, ?, ?)",
                (
                    intent.id,
                    intent.coin,
                    intent.side,
                    intent.type,
                    exact(intent.qty),
                    None if intent.price is None else exact(intent.price),
                    self._number_of(intent),
                    intent.exchange_id,
                    intent.made_ms,
                    intent.changed_ms,
                ),
            )

    def _number_of(self, intent: Intent) -> int:
        number = 0
        made = (self.account, intent.coin, intent.side, intent.type, intent.price, intent.qty)
        while client_id(*made, number) != intent.id:
            number += 1
        return number

    def settle(
        self,
        changes: Iterable[tuple[str, State, str, str]],
        now_ms: int,
    ) -> None:
        """Note what became of orders: (id, state, the exchange's id or nothing, why)."""
        rows = [(state, other, other, redacted(why), now_ms, name) for name, state, other, why in changes]
        if rows:
            with self._errors(), self._transaction():
                self._db.executemany(
                    "UPDATE orders SET state = ?, exchange_id = CASE ? WHEN '' THEN exchange_id ELSE ? END, "
                    "why = ?, changed_ms = ?, cancelling = 0 WHERE id = ?",
                    rows,
                )

    def cancelling(self, names: Iterable[str], now_ms: int) -> None:
        """Write down that orders are about to be cancelled."""
        with self._errors(), self._transaction():
            self._db.executemany(
                "UPDATE orders SET cancelling = 1, changed_ms = ? WHERE id = ?",
                [(now_ms, name) for name in names],
            )

    def order(self, name: str) -> Intent | None:
        """Return an order by its id."""
        found = self._orders("id = ?", (name,))
        return found[0] if found else None

    def live(self) -> list[Intent]:
        """Return the orders that may rest at the exchange."""
        return self._orders("state IN ('intended', 'unknown', 'open')", ())

    def traded(self) -> set[tuple[str, str]]:
        """Return the coins and sides that the exchange took an order of."""
        with self._errors():
            rows = self._db.execute("SELECT DISTINCT coin, side FROM orders WHERE state != 'refused'")
            return {(coin, side) for coin, side in rows}

    def _orders(self, where: str, values: Sequence[object]) -> list[Intent]:
        with self._errors():
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM orders WHERE {where}", values).fetchall()
        return [_intent(row) for row in rows]

    def forget(self, before_ms: int) -> None:
        """Remove what is over and older, so that the file does not grow for ever.

        The ids of such orders may be given again.
        """
        with self._errors(), self._transaction():
            self._db.execute("DELETE FROM guards WHERE at_ms < ?", (before_ms,))
            self._db.execute("DELETE FROM fills WHERE time_ms < ?", (before_ms,))
            self._db.execute(
                "DELETE FROM orders WHERE state IN ('ended', 'refused') AND changed_ms < ?", (before_ms,)
            )

    # ---- fills

    def add_fills(self, fills: Iterable[Fill]) -> list[Fill]:
        """Keep fills; return those that are new, or whose profit is known now and was not before."""
        new = []
        with self._errors(), self._transaction():
            for fill in fills:
                known = self._db.execute("SELECT pnl FROM fills WHERE id = ?", (fill.id,)).fetchone()
                if known is not None and (known[0] is not None or fill.pnl is None):
                    continue
                self._db.execute(
                    "INSERT OR REPLACE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        fill.id,
                        fill.coin,
                        fill.position_side,
                        fill.client_id,
                        fill.order_id,
                        fill.qty,
                        fill.price,
                        fill.fee,
                        fill.pnl,
                        fill.time_ms,
                    ),
                )
                new.append(fill)
        return new

    def fills(self, since_ms: int = 0) -> list[Fill]:
        """Return kept fills from a time on, in order."""
        with self._errors():
            rows = self._db.execute(
                "SELECT id, order_id, client_id, coin, side, qty, price, fee, pnl, time_ms FROM fills "
                "WHERE time_ms >= ? ORDER BY time_ms, length(id), id",
                (since_ms,),
            ).fetchall()
        return [Fill(*row) for row in rows]

    # ---- the rest

    def tripped(self, guard: str, text: str, now_ms: int) -> None:
        """Note what a guard did."""
        with self._errors():
            self._db.execute("INSERT INTO guards VALUES (?, ?, ?)", (now_ms, guard, redacted(text)))

    def trips(self) -> list[tuple[int, str, str]]:
        """Return what guards did: (time, guard, text), in order."""
        with self._errors():
            return self._db.execute("SELECT at_ms, guard, text FROM guards ORDER BY rowid").fetchall()

    def note(self, name: str, value: str) -> None:
        """Keep a fact under a name."""
        with self._errors():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def fact(self, name: str) -> str | None:
        """Return a kept fact."""
        with self._errors():
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def drop_facts(self, names: Iterable[str]) -> None:
        """Forget facts."""
        with self._errors():
            self._db.executemany("DELETE FROM facts WHERE name = ?", [(name,) for name in names])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # The transaction is gone already if the disk is full.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with sqlite_errors(self.path, LiveError, "a journal"):
                yield
        except OSError as error:
            raise LiveError(f"{self.path}: can't be written ({error.strerror})") from error


def _intent(row: Sequence[Any]) -> Intent:
    name, coin, side, kind, qty, price, state, exchange_id, made_ms, changed_ms, cancelling = row
    return Intent(
        name, coin, side, kind, qty, price, state, exchange_id, made_ms, changed_ms, bool(cancelling)
    )


def _unreachable() -> Intent:
    raise AssertionError("an order that was just found is gone")
