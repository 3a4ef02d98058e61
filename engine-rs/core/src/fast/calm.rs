//! Blocks in which nothing can happen, told by their extremes alone.
//!
//! As long as the account is what it is, each order waits for a candle beyond some price, and a trailing order for prices
//! that turn back far enough from an extreme. Bounds of all of them together are made once and compared with one block
//! after the other. Outside the bounds something may happen or not: the block is walked through.

use std::ops::Range;

use super::Run;
use super::masks::loosened_up;
use super::prepared::{Extremes, Turns};
use super::trailing::{Arming, Reach};
use crate::grid::SideIndex;
use crate::planner::{self, Long, Short, Situation, Trigger};
use crate::types::{higher, lower};

/// Bounds of the extremes of a block in which nothing happens.
pub(super) struct Calm {
    /// Of the lows and highs of the candles that orders meet.
    next: (f64, f64),
    /// Of the closes, from below.
    close: f64,
    /// So many trailing orders, with the extremes that they follow: one of each side that is filled by lows, one by highs.
    count: usize,
    trailing: [Waits; 4],
}

/// A trailing order, and its extremes before the next block.
#[derive(Clone, Copy)]
struct Waits {
    side: usize,
    order: Arming,
    reach: Reach,
}

impl Calm {
    pub(super) const ANY: Self = Self {
        next: (f64::NEG_INFINITY, f64::INFINITY),
        close: f64::NEG_INFINITY,
        count: 0,
        trailing: [Waits { side: 0, order: Arming::NONE, reach: Reach { far: 0.0, back: 0.0 } }; 4],
    };

    /// True if nothing happens in the next block, which has these extremes: then what follows them has seen it.
    #[inline(always)]
    pub(super) fn pass(&mut self, extremes: &Extremes, turns: &Turns) -> bool {
        let met = (extremes.next_low < self.next.0) | (extremes.next_high > self.next.1);
        if met | (extremes.close.0 < self.close) {
            return false;
        }
        let trailing = &mut self.trailing[..self.count.min(4)];
        if trailing.iter().any(|Waits { order, reach, .. }| order.may_fill(reach, extremes, turns)) {
            return false;
        }
        for Waits { order, reach, .. } in trailing {
            reach.swing(order.by_low, &extremes.swing);
        }
        true
    }

    /// No candle that orders meet crosses a price.
    fn uncrossed(&mut self, by_low: bool, price: f64) {
        if by_low {
            self.next.0 = higher(self.next.0, price)
        } else {
            self.next.1 = lower(self.next.1, price)
        }
    }
}

impl Run<'_> {
    /// Find bounds within which nothing happens in this block and the following ones, given those of the averages of hourly
    /// log ranges by side; None where they would depend on price averages: a first entry is possible, or an unstuck close.
    pub(super) fn calm(&mut self, calm: &mut Calm, block: usize, log_ranges: [(f64, f64); 2]) -> Option<()> {
        self.refresh();
        (calm.next, calm.close, calm.count) = (Calm::ANY.next, Calm::ANY.close, 0);
        self.calm_side::<Long>(block, log_ranges, calm)?;
        self.calm_side::<Short>(block, log_ranges, calm)
    }

    fn calm_side<S: SideIndex>(
        &mut self,
        block: usize,
        log_ranges: [(f64, f64); 2],
        calm: &mut Calm,
    ) -> Option<()> {
        if !self.sides[S::INDEX].enabled {
            return Some(());
        }
        let Some(position) = self.account.positions[0][S::INDEX] else {
            return (!self.could_open::<S>(0)).then_some(());
        };
        if self.coins[0].sides[S::INDEX].waiting.is_none() {
            self.wait::<S>(0, &position);
        }
        let triggers = self.coins[0].sides[S::INDEX].waiting.as_ref()?.triggers;
        if triggers.stuck && self.allowance[S::INDEX] > 0.0 {
            return None;
        }
        self.complete::<S>(triggers.partial_below, calm)?;
        for (trigger, entry) in [(triggers.entry, true), (triggers.close, false)] {
            let by_low = S::LONG == entry;
            match trigger {
                Trigger::Never | Trigger::Full => {}
                Trigger::Crossed(price) | Trigger::GridClose(price) => calm.uncrossed(by_low, price),
                Trigger::GridEntry { by_exposure } => {
                    let (least, most) = log_ranges[S::INDEX];
                    let at = |log_range: f64| {
                        let situation = Situation { log_range, ..self.bare_situation::<S>(0) };
                        planner::grid_entry_price::<S>(&situation, position.price, by_exposure)
                    };
                    calm.uncrossed(by_low, at(least));
                    calm.uncrossed(by_low, at(most));
                }
                Trigger::AtBook => return None,
                Trigger::Trailing { threshold, retracement, price } => {
                    let order = Arming::new(by_low, position.price, threshold, retracement, price);
                    let (prepared, coin) = (self.prepared, &mut self.coins[0]);
                    let before = prepared.blocks()[block].start - 1;
                    let followed = coin.sides[S::INDEX].followed(by_low);
                    let reach = followed.at(self.isa, &coin.candles, prepared, 0, block, before);
                    calm.trailing[calm.count] = Waits { side: S::INDEX, order, reach };
                    calm.count += 1;
                }
            }
        }
        Some(())
    }

    /// Some blocks were passed.
    pub(super) fn passed(&mut self, calm: &Calm, blocks: Range<usize>) {
        let last = blocks.end - 1;
        let (begin, until) =
            (self.prepared.blocks()[blocks.start].start, self.prepared.blocks()[last].end - 1);
        for Waits { side, order, reach } in &calm.trailing[..calm.count] {
            let followed = self.coins[0].sides[*side].followed(order.by_low);
            // After a fill in the first candle that one has to be left out: `reach` is wider.
            if followed.until < begin {
                followed.take(*reach, until, last);
            }
        }
    }

    /// The position does not count as partly filled.
    fn complete<S: SideIndex>(&self, partial_below: f64, calm: &mut Calm) -> Option<()> {
        // Twice: once for the bound, once for what averages lose by rounding.
        let least = loosened_up(loosened_up(partial_below));
        if !S::LONG {
            calm.close = higher(calm.close, least);
            return least.is_finite().then_some(());
        }
        let coin = &self.coins[0];
        let factor = S::against(coin.sides[S::INDEX].params.entry_initial_ema_dist);
        let banded = loosened_up((least + self.account.market.rules[0].price_step) / factor);
        let band = coin.averages.least(S::INDEX);
        calm.close = higher(calm.close, higher(least, banded));
        (factor > 0.0 && least.is_finite() && band >= banded).then_some(())
    }
}
