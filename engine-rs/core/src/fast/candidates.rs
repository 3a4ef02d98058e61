//! Candidate minutes: at which an order that is placed may be filled by the next candle.

use super::Run;
use super::averages;
use super::coin::Candidates;
use super::masks::{self, Minutes, loosened_down, loosened_up};
use super::prepared::Extremes;
use super::trailing::Arming;
use super::waiting::Waiting;
use crate::grid::SideIndex;
use crate::planner::{self, Long, Short, Situation, Trigger, Triggers};
use crate::types::{Bands, Position, Trailing, lower};

impl Run<'_> {
    /// The first candidate minute in `from .. until` of the span at hand.
    pub(super) fn next_candidate(&mut self, from: usize, until: usize) -> Option<usize> {
        let start = self.span.start;
        let mask = self.candidates(from) & (u64::MAX << (from - start));
        // The last candle is no step (§8): what is placed in the one before it never fills.
        let until = until.min(self.account.market.panel.bars() - 2);
        (mask != 0).then(|| start + mask.trailing_zeros() as usize).filter(|&k| k < until)
    }

    /// Candidate minutes of the span at hand, from `from` on; the same until the account changes.
    fn candidates(&mut self, from: usize) -> u64 {
        self.refresh();
        if let Some(mask) = self.mask {
            return mask;
        }
        self.find_entering(from);
        let mask = self.side_candidates::<Long>(from) | self.side_candidates::<Short>(from);
        self.mask = Some(mask);
        mask
    }

    /// Forget what does not hold any more, if the account changed.
    pub(super) fn refresh(&mut self) {
        if self.stale {
            self.stale = false;
            self.mask = None;
            let balance = self.account.balance.usd_total_rounded;
            for s in 0..2 {
                let before = self.allowance[s];
                self.allowance[s] = self.sides[s].allowance(&self.account);
                let unstuck_switched = (before > 0.0) != (self.allowance[s] > 0.0);
                for &i in &self.account.held[s] {
                    let side = &mut self.coins[i].sides[s];
                    if side.waiting.is_none_or(|waiting| !waiting.hold_at(balance)) {
                        side.waiting = None;
                        side.held = None;
                    } else if unstuck_switched {
                        side.held = None;
                    }
                }
            }
        }
    }

    fn side_candidates<S: SideIndex>(&mut self, from: usize) -> u64 {
        if !self.sides[S::INDEX].enabled {
            return 0;
        }
        let mut mask = 0;
        let start = self.span.start;
        for n in 0..self.account.held[S::INDEX].len() {
            let i = self.account.held[S::INDEX][n];
            if self.coins[i].tradeable(start) {
                mask |= self.held_candidates::<S>(i, from).any();
            }
        }
        self.scratch.entering[S::INDEX].iter().fold(mask, |mask, entering| mask | entering.minutes)
    }

    /// Have the averages of each minute of the span.
    pub(super) fn walk_averages(&mut self, i: usize) {
        self.begin_coin(i);
        if !self.coins[i].averages.is_walked() {
            let (isa, columns) = (self.isa, self.columns());
            let coin = &mut self.coins[i];
            let moving = (&mut coin.averages, &mut self.walks[i], columns(i, &coin.candles));
            averages::walk(isa, std::iter::once(moving));
        }
    }

    /// The span's candles of a coin, as orders meet them.
    pub(super) fn minutes(&self, i: usize) -> Minutes<'_> {
        let (start, end) = (self.span.start, self.span.end);
        let c = &self.coins[i].candles;
        Minutes {
            length: end - start,
            close: &c.close[start..],
            next_low: &c.low[start + 1..],
            next_high: &c.high[start + 1..],
        }
    }

    /// Minutes at which an order of the position may fill, from `from` on.
    fn held_candidates<S: SideIndex>(&mut self, i: usize, from: usize) -> Candidates {
        self.begin_coin(i);
        if let Some(candidates) = self.coins[i].sides[S::INDEX].held {
            return candidates;
        }
        let position = self.account.positions[i][S::INDEX].unwrap_or_default();
        let extremes = self.coins[i].extremes;
        if self.coins[i].sides[S::INDEX].waiting.is_none() {
            self.wait::<S>(i, &position);
        }
        let Some(Waiting { triggers, most, .. }) = &self.coins[i].sides[S::INDEX].waiting else {
            return Candidates::default();
        };
        let (Triggers { entry, close, partial_below, stuck }, most) = (*triggers, *most);
        let mut found = Candidates { searched: self.span.end, ..Candidates::default() };
        if stuck && self.allowance[S::INDEX] > 0.0 {
            found.unstuck = self.unstuck_candidates::<S>(i, &extremes);
        }
        if self.partial_entry_possible::<S>(i, &position, &extremes, partial_below, most) {
            found.entry = self.first_entry_candidates::<S>(i);
        }
        found.entry |= self.crossed_candidates::<S>(i, &extremes, position.price, entry, true);
        found.close = self.crossed_candidates::<S>(i, &extremes, position.price, close, false);
        if let Trigger::Trailing { threshold, retracement, price } = entry {
            let arming = Arming::new(S::LONG, position.price, threshold, retracement, price);
            let entry = self.trailing_candidates::<S>(i, &extremes, &arming, from, &mut found);
            found.armed = entry;
            found.entry |= entry;
        }
        if let Trigger::Trailing { threshold, retracement, price } = close {
            let arming = Arming::new(!S::LONG, position.price, threshold, retracement, price);
            found.close = self.trailing_candidates::<S>(i, &extremes, &arming, from, &mut found);
        }
        self.coins[i].sides[S::INDEX].held = Some(found);
        found
    }

    /// Find out what the orders of a position wait for.
    pub(super) fn wait<S: SideIndex>(&mut self, i: usize, position: &Position) {
        let situation = self.bare_situation::<S>(i);
        let alone = self.account.held[0].len() + self.account.held[1].len() == 1;
        let waiting = if alone {
            Waiting::here::<S>(&situation, position)
        } else {
            Waiting::around::<S>(&situation, position, self.coins.len() > 1)
        };
        self.coins[i].sides[S::INDEX].waiting = Some(waiting);
    }

    /// A situation without book, bands and extremes.
    pub(super) fn bare_situation<S: SideIndex>(&self, i: usize) -> Situation<'_> {
        let coin = &self.coins[i];
        let side = &coin.sides[S::INDEX];
        Situation {
            rules: &self.account.market.rules[i],
            params: &side.params,
            wallet_exposure_limit: side.wallet_exposure_limit,
            balance: self.account.balance.usd_total_rounded,
            bid: 0.0,
            ask: 0.0,
            bands: Bands::default(),
            log_range: coin.averages.hourly().value[S::INDEX],
            trailing: Trailing::RESET,
        }
    }

    /// True if the first-entry price may get so low in this span that the position counts as partly filled, with no
    /// more than a balance.
    fn partial_entry_possible<S: SideIndex>(
        &self,
        i: usize,
        position: &Position,
        extremes: &Extremes,
        below: f64,
        balance: f64,
    ) -> bool {
        let lowest_close = extremes.close.0;
        let lowest = if S::LONG {
            let coin = &self.coins[i];
            let least = lower(coin.averages.least(S::INDEX), lowest_close);
            let factor = S::against(coin.sides[S::INDEX].params.entry_initial_ema_dist);
            lower(lowest_close, least * factor - self.account.market.rules[i].price_step)
        } else {
            lowest_close
        };
        let lowest = loosened_down(lowest);
        let situation = || Situation { balance, ..self.bare_situation::<S>(i) };
        lowest < below && planner::partial_entry_possible(&situation(), position, lowest)
    }

    /// Minutes at which an order of this trigger may fill, unless it trails. Entries of a long position and closes of a
    /// short one are filled by lows, the others by highs.
    #[inline(always)]
    fn crossed_candidates<S: SideIndex>(
        &self,
        i: usize,
        extremes: &Extremes,
        pprice: f64,
        trigger: Trigger,
        entry: bool,
    ) -> u64 {
        let by_low = S::LONG == entry;
        let price = match trigger {
            Trigger::Never | Trigger::Full | Trigger::Trailing { .. } => return 0,
            Trigger::Crossed(price) | Trigger::GridClose(price) => price,
            Trigger::GridEntry { by_exposure } => {
                planner::grid_entry_price::<S>(&self.bare_situation::<S>(i), pprice, by_exposure)
            }
            Trigger::AtBook => beyond(by_low),
        };
        if extremes.meet(by_low, price) { self.crossings(i, by_low, price) } else { 0 }
    }

    /// Minutes whose next candle crosses a price and the close before it.
    pub(super) fn crossings(&self, i: usize, by_low: bool, price: f64) -> u64 {
        if by_low {
            masks::falls_below(self.isa, self.minutes(i), price)
        } else {
            masks::rises_above(self.isa, self.minutes(i), price)
        }
    }

    /// Minutes at which an unstuck close (§16.2) may fill: the close has come back to the band, and the next candle
    /// crosses it. Depends on candles and averages alone.
    fn unstuck_candidates<S: SideIndex>(&mut self, i: usize, extremes: &Extremes) -> u64 {
        if let Some(minutes) = self.coins[i].sides[S::INDEX].unstuck {
            return minutes;
        }
        let coin = &self.coins[i];
        let factor = S::in_favour(coin.sides[S::INDEX].params.unstuck_ema_dist);
        let bounds = coin.averages.bounds(S::INDEX, extremes.close);
        let possible = if S::LONG {
            let (least, most) = bounds.upper;
            extremes.close.1 >= loosened_down((least * factor).min(most * factor))
        } else {
            let (least, most) = bounds.lower;
            extremes.close.0 <= loosened_up((least * factor).max(most * factor))
        };
        let minutes = if !possible {
            0
        } else {
            self.walk_averages(i);
            let walk = &self.walks[i];
            if S::LONG {
                masks::rises_from_band(self.isa, self.minutes(i), walk.upper(), factor)
            } else {
                masks::falls_from_band(self.isa, self.minutes(i), walk.lower(), factor)
            }
        };
        self.coins[i].sides[S::INDEX].unstuck = Some(minutes);
        minutes
    }
}

/// A price that every candle crosses.
pub(super) fn beyond(by_low: bool) -> f64 {
    if by_low { f64::INFINITY } else { f64::NEG_INFINITY }
}
