//! Blocks in which nothing can happen, told by their extremes alone.
//!
//! As long as the account is what it is, each order waits for a candle beyond some price, and a trailing order that is
//! not armed for prices that leave some range. Bounds of all of them together are made once and compared with the
//! extremes of one block after the other. Outside the bounds something may happen or not: the block is walked through.

use super::Run;
use super::masks::loosened_up;
use super::prepared::Extremes;
use super::trailing::{Arming, Reach};
use crate::grid::SideIndex;
use crate::planner::{self, Long, Short, Situation, Trigger};
use crate::types::{higher, lower};

/// Bounds of the extremes of a block in which nothing happens.
pub(super) struct Calm {
    /// Of the lows and highs of the candles that orders meet.
    next: (f64, f64),
    /// Of all prices of the block's own candles.
    seen: (f64, f64),
    /// Of its closes, from below.
    close: f64,
}

impl Calm {
    const ANY: Self = Self {
        next: (f64::NEG_INFINITY, f64::INFINITY),
        seen: (f64::NEG_INFINITY, f64::INFINITY),
        close: f64::NEG_INFINITY,
    };

    /// True if nothing happens in a block of these extremes.
    #[inline(always)]
    pub(super) fn holds(&self, e: &Extremes) -> bool {
        let (low, high) = self.seen;
        let met = (e.next_low < self.next.0) | (e.next_high > self.next.1);
        let seen = (e.swing.low < low) | (e.swing.high > high) | (e.close.0 < low) | (e.close.1 > high);
        !(met | seen | (e.close.0 < self.close))
    }

    /// No candle that orders meet crosses a price.
    fn uncrossed(&mut self, by_low: bool, price: f64) {
        if by_low {
            self.next.0 = higher(self.next.0, price)
        } else {
            self.next.1 = lower(self.next.1, price)
        }
    }

    /// Nothing is below a price.
    fn above(&mut self, price: f64) {
        self.seen.0 = higher(self.seen.0, price);
    }

    /// Nothing is above a price.
    fn below(&mut self, price: f64) {
        self.seen.1 = lower(self.seen.1, price);
    }

    /// A trailing order is not armed, or not met, given its extremes and the last close.
    fn unarmed(&mut self, order: &Arming, reach: &Reach, close: f64) -> Option<()> {
        let Arming { by_low, turn, price, .. } = *order;
        let further = |a: f64, b: f64| if by_low { lower(a, b) } else { higher(a, b) };
        let beyond = |a: f64, b: f64| if by_low { a < b } else { a > b };
        if let Some(price) = order.reached.filter(|_| !order.passed(reach.far)) {
            if by_low {
                self.above(price)
            } else {
                self.below(price)
            }
            return Some(());
        }
        // A new extreme tightens the other bound: leave half of the room to either side of the last close.
        let room = close * (1.5 - 0.5 * turn);
        if let Some(price) = price.filter(|price| !beyond(room, *price)) {
            self.uncrossed(by_low, price);
            return Some(());
        }
        for far in [further(room, reach.far), reach.far] {
            if !beyond(far * turn, reach.back) {
                let back = far * turn;
                self.above(if by_low { far } else { back });
                self.below(if by_low { back } else { far });
                return Some(());
            }
        }
        self.uncrossed(by_low, price?);
        Some(())
    }
}

impl Run<'_> {
    /// Bounds within which nothing happens in this block and the following ones, given those of the averages of hourly log
    /// ranges by side; None where they would depend on price averages: a first entry is possible, or an unstuck close.
    pub(super) fn calm(&mut self, block: usize, log_ranges: [(f64, f64); 2]) -> Option<Calm> {
        self.refresh();
        let mut calm = Calm::ANY;
        self.calm_side::<Long>(block, log_ranges, &mut calm)?;
        self.calm_side::<Short>(block, log_ranges, &mut calm)?;
        Some(calm)
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
                    calm.unarmed(&order, &reach, coin.candles.close[before])?;
                }
            }
        }
        Some(())
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
