//! Trailing extremes (§10), and the minutes at which they arm an order.
//!
//! An order that is filled by lows waits for the lowest low and the rebound from it, one that is filled by highs for the
//! opposite: each follows only its half.

use super::Run;
use super::candidates::beyond;
use super::coin::Candidates;
use super::masks;
use super::prepared::{Extremes, Prepared, Swing, Turns};
use crate::candles::CoinCandles;
use crate::grid::SideIndex;
use crate::isa::Isa;
use crate::types::{Trailing, higher, lower};

/// Half of the trailing extremes: the furthest price, and how far prices came back from it since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) far: f64,
    pub(super) back: f64,
}

impl Reach {
    fn reset(by_low: bool) -> Self {
        let t = Trailing::RESET;
        if by_low {
            Self { far: t.min_since_open, back: t.max_since_min }
        } else {
            Self { far: t.max_since_open, back: t.min_since_max }
        }
    }

    /// Half of `Trailing::update`.
    #[inline(always)]
    fn update(&mut self, by_low: bool, high: f64, low: f64, close: f64) {
        if by_low {
            self.back = if low < self.far { close } else { higher(self.back, high) };
            self.far = lower(self.far, low);
        } else {
            self.back = if high > self.far { close } else { lower(self.back, low) };
            self.far = higher(self.far, high);
        }
    }

    /// What an update with each candle of a stretch would give.
    pub(super) fn swing(&mut self, by_low: bool, swing: &Swing) {
        if by_low {
            self.update(true, swing.high, swing.low, swing.max_after_low);
        } else {
            self.update(false, swing.high, swing.low, swing.min_after_high);
        }
    }

    /// What an update with each candle in turn would give: what matters begins with the first of the furthest prices.
    #[inline(always)]
    fn follow(&mut self, isa: Isa, by_low: bool, high: &[f64], low: &[f64], close: &[f64]) {
        let (out, back) = if by_low { (low, high) } else { (high, low) };
        let extreme = |values: &[f64], lowest: bool| {
            if lowest { masks::lowest(isa, values) } else { masks::highest(isa, values) }
        };
        let far = extreme(out, by_low);
        let mut rest = 0;
        if if by_low { far < self.far } else { far > self.far } {
            let first = out.iter().position(|price| *price == far).unwrap_or_default();
            (self.far, self.back, rest) = (far, close[first], first + 1);
        }
        let back = extreme(&back[rest..], !by_low);
        self.back = if by_low { higher(self.back, back) } else { lower(self.back, back) };
    }

    /// Beyond every threshold, and back from it by any retracement.
    pub(super) fn armed(by_low: bool) -> Self {
        let (far, back) = (f64::NEG_INFINITY, f64::INFINITY);
        if by_low { Self { far, back } } else { Self { far: back, back: far } }
    }

    /// As the planner takes it, which looks at this half alone.
    pub(super) fn trailing(&self, by_low: bool) -> Trailing {
        let Self { far, back } = *self;
        if by_low {
            Trailing { min_since_open: far, max_since_min: back, ..Trailing::RESET }
        } else {
            Trailing { max_since_open: far, min_since_max: back, ..Trailing::RESET }
        }
    }
}

/// Half of the trailing extremes of a position, brought up to date only when somebody asks.
pub(super) struct Followed {
    by_low: bool,
    used: bool,
    now: Reach,
    /// The last minute that it has seen, or at which it was reset.
    pub(super) until: usize,
    /// A block that is not after the minute which follows.
    block: usize,
}

impl Followed {
    pub(super) fn new(used: bool, by_low: bool) -> Self {
        Self { by_low, used, now: Reach::reset(by_low), until: 0, block: 0 }
    }

    /// A fill at minute `k`, in block `block` or the one after it.
    pub(super) fn reset(&mut self, k: usize, block: usize) {
        *self = Self { until: k, block, ..Self::new(self.used, self.by_low) };
    }

    /// Extremes after minute `k` of block `block`; minutes must not go back.
    pub(super) fn at(
        &mut self,
        isa: Isa,
        c: &CoinCandles<'_>,
        prepared: &Prepared<'_>,
        i: usize,
        block: usize,
        k: usize,
    ) -> Reach {
        if !self.used {
            return self.now;
        }
        let blocks = prepared.blocks();
        let mut next = self.until + 1;
        if next < blocks[block].start {
            let mut b = self.block;
            while blocks[b].end <= next {
                b += 1;
            }
            if next > blocks[b].start {
                self.follow(isa, c, next, blocks[b].end);
                b += 1;
            }
            while b < block {
                self.now.swing(self.by_low, &prepared.extremes(i, b).swing);
                b += 1;
            }
            next = blocks[block].start;
        }
        self.block = block;
        self.follow(isa, c, next, k + 1);
        self.until = self.until.max(k);
        self.now
    }

    /// Take over the extremes after minute `until` of block `block`.
    pub(super) fn take(&mut self, now: Reach, until: usize, block: usize) {
        (self.now, self.until, self.block) = (now, until, block);
    }

    fn follow(&mut self, isa: Isa, c: &CoinCandles<'_>, from: usize, to: usize) {
        if from < to {
            let (high, low, close) = (&c.high[from..to], &c.low[from..to], &c.close[from..to]);
            if self.by_low {
                self.now.follow(isa, true, high, low, close);
            } else {
                self.now.follow(isa, false, high, low, close);
            }
        }
    }
}

/// What a trailing order waits for.
#[derive(Clone, Copy)]
pub(super) struct Arming {
    /// The order is filled by lows.
    pub(super) by_low: bool,
    /// The extreme has to be beyond this price; one that all are beyond if there is no threshold.
    reached: f64,
    /// Prices have to come back beyond the extreme times this.
    turn: f64,
    /// Price of the order; one that every candle crosses if it is at the book.
    price: f64,
}

/// Relative room for rounding of a turn.
const ROOM: f64 = 1e-9;

impl Arming {
    pub(super) const NONE: Self = Self { by_low: true, reached: 0.0, turn: 0.0, price: 0.0 };

    /// Of an order of some threshold and retracement.
    pub(super) fn new(
        by_low: bool,
        pprice: f64,
        threshold: f64,
        retracement: f64,
        price: Option<f64>,
    ) -> Self {
        let factor = |x: f64, up: bool| if up { 1.0 + x } else { 1.0 - x };
        let beyond = beyond(by_low);
        let reached = if threshold > 0.0 { pprice * factor(threshold, !by_low) } else { beyond };
        Self { by_low, reached, turn: factor(retracement, by_low), price: price.unwrap_or(beyond) }
    }

    /// The extreme is beyond the price that it has to reach.
    #[inline(always)]
    fn passed(&self, far: f64) -> bool {
        if self.by_low { far < self.reached } else { far > self.reached }
    }

    #[inline(always)]
    fn armed(&self, reach: &Reach) -> bool {
        let turn = reach.far * self.turn;
        self.passed(reach.far) & if self.by_low { reach.back > turn } else { reach.back < turn }
    }

    /// True unless the order is certain to wait for more than a block's candles, or a part of them, given the extremes
    /// before these.
    #[inline(always)]
    pub(super) fn may_fill(&self, reach: &Reach, extremes: &Extremes, turns: &Turns) -> bool {
        let (mut widest, swing) = (*reach, &extremes.swing);
        // Extremes of the candles themselves matter only if prices turn back from one far enough.
        if self.by_low {
            if turns.rise > self.turn * (1.0 - ROOM) {
                widest.far = lower(widest.far, swing.low);
            }
            widest.back = higher(widest.back, swing.high);
        } else {
            if turns.fall < self.turn * (1.0 + ROOM) {
                widest.far = higher(widest.far, swing.high);
            }
            widest.back = lower(widest.back, swing.low);
        }
        extremes.meet(self.by_low, self.price) & self.armed(&widest)
    }
}

impl Run<'_> {
    /// The first minute from `from` on at which the extremes are armed and the next candle crosses the price, if it is
    /// not after the first that is a candidate anyway. How far was searched is noted: what comes later matters only if
    /// nothing fills.
    #[inline(always)]
    pub(super) fn trailing_candidates<S: SideIndex>(
        &mut self,
        i: usize,
        extremes: &Extremes,
        order: &Arming,
        from: usize,
        known: &mut Candidates,
    ) -> u64 {
        let Arming { by_low, reached, price, .. } = *order;
        if !extremes.meet(by_low, price) {
            return 0;
        }
        let (span, prepared) = (self.span, self.prepared);
        let coin = &mut self.coins[i];
        let followed = coin.sides[S::INDEX].followed(by_low);
        let (start, mut end) = (span.start, span.end);
        let anyway = known.any() & (u64::MAX << (from - start));
        if anyway != 0 {
            // Reset extremes have to see a candle first.
            end = start + anyway.trailing_zeros() as usize + 1;
            if followed.until + 1 >= end {
                known.searched = end;
                return 0;
            }
        }
        let turns = prepared.turns(i, span.block);
        let mut reach = Reach::reset(by_low);
        // The extremes as they were before the span, then as they were before `from`; a fill at `from` itself leaves them
        // reset.
        for before in [start, from] {
            reach = followed.at(self.isa, &coin.candles, prepared, i, span.block, before - 1);
            if !order.may_fill(&reach, extremes, &turns) {
                return 0;
            }
        }
        let first = followed.until + 1;
        let c = coin.candles;
        // Extremes that were reset have to see a candle before they arm.
        let mut begin = from.max(first);
        if !order.passed(reach.far) {
            // Nothing is armed before the first candle that passes the threshold; it begins a new extreme, so that what
            // was before it does not matter.
            let minutes = if by_low {
                masks::below(self.isa, &c.low[start..], span.end - start, reached)
            } else {
                masks::above(self.isa, &c.high[start..], span.end - start, reached)
            };
            let minutes = minutes & (u64::MAX << (begin - start));
            if minutes == 0 {
                return 0;
            }
            begin = start + minutes.trailing_zeros() as usize;
        }
        if begin >= end {
            known.searched = end;
            return 0;
        }
        let (high, low, close) = (&c.high[begin..=end], &c.low[begin..=end], &c.close[begin..end]);
        let found = if by_low {
            first_armed::<true>(order, &reach, (low, high, close), price)
        } else {
            first_armed::<false>(order, &reach, (high, low, close), price)
        };
        let found = found.map(|n| begin + n);
        known.searched = found.unwrap_or(end - 1) + 1;
        found.map_or(0, |k| 1 << (k - start))
    }
}

/// The first candle after which the order is armed and which is followed by one that crosses its price, given the
/// extremes before. From the first candle on the threshold is passed.
fn first_armed<const BY_LOW: bool>(
    order: &Arming,
    before: &Reach,
    (out, back, close): (&[f64], &[f64], &[f64]),
    price: f64,
) -> Option<usize> {
    let further = |a: f64, b: f64| if BY_LOW { a < b } else { a > b };
    let length = close.len();
    let (out, next, back) = (&out[..length], &out[1..=length], &back[..length]);
    let (mut far, mut armed, factor) = (before.far, order.armed(before), order.turn);
    for n in 0..length {
        // How far prices came back need not be kept: either it arms or it does not matter. No branches, since nobody
        // foresees new extremes.
        let new = further(out[n], far);
        far = if BY_LOW { lower(far, out[n]) } else { higher(far, out[n]) };
        let turn = far * factor;
        armed = (new & further(turn, close[n])) | (!new & (armed | further(turn, back[n])));
        if armed && further(next[n], close[n]) && further(next[n], price) {
            return Some(n);
        }
    }
    None
}
