"""What the fills say: when a position last changed, what was realised, and whether both fit the position."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from passivbot.exchanges.types import Fill, Position
from passivbot.live.ids import order_type
from passivbot.live.snapshot import Key

_RELATIVE = 1e-9


@dataclass(frozen=True)
class Realised:
    """Realised profit before fees over the known fills, and its peak, at least 0."""

    sum: float = 0.0
    peak: float = 0.0


class Ledger:
    """The account's fills.

    Fills come in any order and more than once; everything is computed from the set of them, in order of time.

    Parameters
    ----------
    fills
        Those known from before.
    c_mult
        Contract multiplier of a coin.

    Notes
    -----
    Where an exchange does not tell a fill's profit, or not yet, it is computed from the average price of the
    fills before it; that is possible from the first time on that the position was flat.
    """

    def __init__(self, fills: Iterable[Fill] = (), c_mult: Callable[[str], float] = lambda coin: 1.0) -> None:
        self._c_mult = c_mult
        self._fills: dict[str, Fill] = {}
        self._changed: dict[Key, int] = {}
        self._size: dict[Key, float] = {}
        self._traded: dict[Key, float] = {}
        self._own: set[Key] = set()
        self._realised = Realised()
        self.complete = True
        """Every closing fill's profit is told or could be computed."""
        self.add(fills)

    def add(self, fills: Iterable[Fill]) -> None:
        """Take in fills."""
        before = len(self._fills)
        late = False
        for fill in fills:
            known = self._fills.get(fill.id)
            late |= known is not None and known.pnl != fill.pnl
            self._fills[fill.id] = fill
        if len(self._fills) != before or late:
            self._compute()

    def drop(self, before_ms: int) -> None:
        """Forget older fills."""
        kept = {name: fill for name, fill in self._fills.items() if fill.time_ms >= before_ms}
        if len(kept) != len(self._fills):
            own, changed = self._own, self._changed
            self._fills = kept
            self._compute()
            # A position older than the history is still the bot's, and changed when it did.
            self._own |= own
            self._changed = {**changed, **self._changed}

    def _compute(self) -> None:
        self._changed, self._size, self._traded, self._own = {}, {}, {}, set()
        total = peak = 0.0
        self.complete = True
        average: dict[Key, float] = {}
        for fill in sorted(self._fills.values(), key=lambda fill: (fill.time_ms, len(fill.id), fill.id)):
            key = (fill.coin, self.side_of(fill))
            self._changed[key] = fill.time_ms
            before = self._size.get(key, 0.0)
            self._size[key] = before + fill.qty
            self._traded[key] = self._traded.get(key, 0.0) + abs(fill.qty)
            if order_type(fill.client_id) is not None:
                self._own.add(key)
            closes = (fill.qty < 0) == (key[1] == "long")
            if closes:
                pnl = fill.pnl
                if pnl is None and abs(before) >= abs(fill.qty) * (1.0 - _RELATIVE):
                    gain = fill.price - average[key] if key[1] == "long" else average[key] - fill.price
                    pnl = abs(fill.qty) * self._c_mult(fill.coin) * gain
                self.complete &= pnl is not None
                total += pnl or 0.0
                peak = max(peak, total)
            else:
                held, more = abs(before), abs(fill.qty)
                average[key] = (held * average.get(key, 0.0) + more * fill.price) / (held + more)
        self._realised = Realised(total, peak)

    def side_of(self, fill: Fill) -> str:
        """Return the side of a fill; where the exchange tells none, that of the position it belongs to."""
        if fill.position_side is not None:
            return fill.position_side
        kind = order_type(fill.client_id)
        if kind is not None:
            return "long" if kind.endswith("long") else "short"
        if self._size.get((fill.coin, "long"), 0.0) > 0.0:
            return "long"
        if self._size.get((fill.coin, "short"), 0.0) < 0.0:
            return "short"
        return "long" if fill.qty > 0 else "short"

    def __len__(self) -> int:
        return len(self._fills)

    @property
    def realised(self) -> Realised:
        """Realised profit, ignoring what is not told yet."""
        return self._realised

    @property
    def last_ms(self) -> int | None:
        """Time of the latest fill."""
        return max((fill.time_ms for fill in self._fills.values()), default=None)

    def changed_ms(self, key: Key) -> int | None:
        """Return when a position last changed; None: not known."""
        return self._changed.get(key)

    def is_own(self, key: Key) -> bool:
        """Return whether the bot has traded this coin and side."""
        return key in self._own

    def drift(self, positions: Mapping[Key, Position], known: Mapping[Key, float]) -> list[Key]:
        """Return the positions that changed otherwise than the fills say.

        Parameters
        ----------
        positions
            As the exchange tells them.
        known
            Size of each position less its fills when it was first seen: what came before the history.
        """
        keys = set(positions) | set(known) | set(self._size)
        return sorted(key for key in keys if not self._fits(key, positions, known))

    def _fits(self, key: Key, positions: Mapping[Key, Position], known: Mapping[Key, float]) -> bool:
        size = positions[key].size if key in positions else 0.0
        expected = known.get(key, 0.0) + self._size.get(key, 0.0)
        # Sums of many fills carry rounding of their own, also where they end at nothing.
        scale = max(abs(size), abs(known.get(key, 0.0)), self._traded.get(key, 0.0))
        return abs(size - expected) <= scale * _RELATIVE

    def of_orders(self, names: Collection[str]) -> list[Fill]:
        """Return the fills of orders, given by client order id or by the exchange's."""
        return [fill for fill in self._fills.values() if fill.client_id in names or fill.order_id in names]

    def size(self, key: Key) -> float:
        """Return the sum of all known fills of a position."""
        return self._size.get(key, 0.0)
