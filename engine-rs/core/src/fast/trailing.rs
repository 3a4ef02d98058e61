//! Trailing extremes (§10), and the minutes at which they arm an order.

use super::Run;
use super::coin::Candidates;
use super::masks;
use super::prepared::{Extremes, Prepared};
use crate::candles::CoinCandles;
use crate::grid::SideIndex;
use crate::types::{Trailing, higher, lower};

/// Trailing extremes of a position, brought up to date only when somebody asks.
pub(super) struct Followed {
    used: bool,
    now: Trailing,
    /// The last minute that they have seen, or at which they were reset.
    until: usize,
    /// A block that is not after the minute which follows.
    block: usize,
    /// What they are at a later minute of that block, if nothing fills before.
    ahead: Option<(usize, Trailing)>,
}

impl Followed {
    pub(super) fn new(used: bool) -> Self {
        Self { used, now: Trailing::RESET, until: 0, block: 0, ahead: None }
    }

    /// A fill at minute `k`, in block `block` or the one after it.
    pub(super) fn reset(&mut self, k: usize, block: usize) {
        *self = Self { used: self.used, now: Trailing::RESET, until: k, block, ahead: None };
    }

    /// Extremes after minute `k` of block `block`; minutes must not go back.
    pub(super) fn at(
        &mut self,
        c: &CoinCandles<'_>,
        prepared: &Prepared<'_>,
        i: usize,
        block: usize,
        k: usize,
    ) -> Trailing {
        if !self.used {
            return self.now;
        }
        if let Some((at, trailing)) = self.ahead.filter(|(at, _)| *at <= k) {
            (self.now, self.until, self.ahead) = (trailing, at, None);
        }
        let blocks = prepared.blocks();
        let mut next = self.until + 1;
        if next < blocks[block].start {
            let mut b = self.block;
            while blocks[b].end <= next {
                b += 1;
            }
            if next > blocks[b].start {
                self.follow(c, next, blocks[b].end);
                b += 1;
            }
            while b < block {
                prepared.extremes(i, b).swing.apply(&mut self.now);
                b += 1;
            }
            next = blocks[block].start;
        }
        self.block = block;
        self.follow(c, next, k + 1);
        self.until = self.until.max(k);
        self.now
    }

    fn follow(&mut self, c: &CoinCandles<'_>, from: usize, to: usize) {
        for k in from..to {
            self.now.update(c.high[k], c.low[k], c.close[k]);
        }
    }
}

/// What a trailing order waits for.
pub(super) struct Arming {
    /// The order is filled by lows.
    pub(super) by_low: bool,
    pub(super) pprice: f64,
    pub(super) threshold: f64,
    /// Price of the order; None: at the book.
    pub(super) price: Option<f64>,
    /// The first minute that matters.
    pub(super) from: usize,
}

impl Run<'_> {
    /// The first minute at which the extremes are armed and the next candle crosses the price, if it is not after the
    /// first that is a candidate anyway. How far was searched is noted: what comes later matters only if nothing fills.
    pub(super) fn trailing_candidates<S: SideIndex>(
        &mut self,
        i: usize,
        extremes: &Extremes,
        order: &Arming,
        known: &mut Candidates,
        armed: impl Fn(&Trailing) -> bool,
    ) -> u64 {
        let Arming { by_low, pprice, threshold, price, from } = *order;
        if price.is_some_and(|price| !extremes.meet(by_low, price)) {
            return 0;
        }
        let (span, prepared) = (self.span, self.prepared);
        let coin = &mut self.coins[i];
        let side = &mut coin.sides[S::INDEX];
        // The extremes as they were before `from`; a fill at `from` itself leaves them reset.
        let mut t = side.trailing.at(&coin.candles, prepared, i, span.block, from - 1);
        // The widest that the extremes can get in this span arms whenever they do.
        let swing = &extremes.swing;
        let widest = Trailing {
            min_since_open: lower(t.min_since_open, swing.low),
            max_since_min: higher(t.max_since_min, swing.high),
            max_since_open: higher(t.max_since_open, swing.high),
            min_since_max: lower(t.min_since_max, swing.low),
        };
        if !armed(&widest) {
            return 0;
        }
        let first = side.trailing.until + 1;
        let start = span.start;
        let mut n = from - start;
        let mut end = span.end;
        let anyway = known.any() & (u64::MAX << n);
        if anyway != 0 {
            end = start + anyway.trailing_zeros() as usize + 1;
        }
        let c = self.coins[i].candles;
        let passed = |price: f64| if by_low { t.min_since_open < price } else { t.max_since_open > price };
        let distance = if by_low { 1.0 - threshold } else { 1.0 + threshold };
        let reached = (threshold > 0.0).then_some(pprice * distance);
        let mut whole = true;
        if let Some(price) = reached.filter(|price| !passed(*price)) {
            // Nothing is armed before the first candle that passes the threshold; it begins a new extreme, so that what
            // was before it does not matter.
            let minutes = if by_low {
                masks::below(self.isa, &c.low[start..span.end], price)
            } else {
                masks::above(self.isa, &c.high[start..span.end], price)
            };
            let next = n.max(first - start);
            let minutes = minutes & (u64::MAX << next);
            if minutes == 0 {
                return 0;
            }
            whole = minutes.trailing_zeros() as usize == next;
            n = minutes.trailing_zeros() as usize;
        }
        let begin = start + n;
        if begin >= end {
            known.searched = end;
            return 0;
        }
        let price = price.unwrap_or(super::candidates::beyond(by_low));
        let (high, low, close) = (&c.high[begin..=end], &c.low[begin..=end], &c.close[begin..end]);
        let crosses = |n: usize| {
            if by_low {
                low[n + 1] < close[n] && low[n + 1] < price
            } else {
                high[n + 1] > close[n] && high[n + 1] > price
            }
        };
        let skipped = first.saturating_sub(begin);
        let arms = |&n: &usize| {
            if n >= skipped {
                t.update(high[n], low[n], close[n]);
            }
            // Armed is the rarer, and the one that a processor foresees.
            armed(&t) && crosses(n)
        };
        let found = (0..close.len()).find(arms).map(|n| begin + n);
        let seen = found.unwrap_or(end - 1);
        known.searched = seen + 1;
        if whole && seen >= first {
            self.coins[i].sides[S::INDEX].trailing.ahead = Some((seen, t));
        }
        found.map_or(0, |k| 1 << (k - start))
    }
}
