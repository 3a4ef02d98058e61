//! Candidate minutes: at which an order that is placed may be filled by the next candle.

use super::Run;
use super::averages;
use super::coin::Candidates;
use super::masks::{self, Minutes, loosened_down, loosened_up};
use super::prepared::Extremes;
use super::waiting::Waiting;
use crate::grid::SideIndex;
use crate::planner::{self, Long, Short, Side, Situation, Trigger, Triggers};
use crate::types::{Bands, Position, Trailing, higher, lower};

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
        if let Some(mask) = self.mask {
            return mask;
        }
        self.find_entering(from);
        let mask = self.side_candidates::<Long>(from) | self.side_candidates::<Short>(from);
        self.mask = Some(mask);
        mask
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
        if !self.coins[i].averages.is_walked() {
            let (isa, columns) = (self.isa, self.columns());
            let coin = &mut self.coins[i];
            averages::walk(isa, std::iter::once((&mut coin.averages, columns(i, &coin.candles))));
        }
    }

    /// The span's candles of a coin, as orders meet them.
    pub(super) fn minutes(&self, i: usize) -> Minutes<'_> {
        let (start, end) = (self.span.start, self.span.end);
        let c = &self.coins[i].candles;
        Minutes {
            close: &c.close[start..end],
            next_low: &c.low[start + 1..=end],
            next_high: &c.high[start + 1..=end],
        }
    }

    /// Minutes at which an order of the position may fill, from `from` on.
    fn held_candidates<S: SideIndex>(&mut self, i: usize, from: usize) -> Candidates {
        if let Some(candidates) = self.coins[i].sides[S::INDEX].held {
            return candidates;
        }
        let position = self.account.positions[i][S::INDEX].unwrap_or_default();
        let extremes = self.extremes(i);
        let waiting = self.waiting::<S>(i, &position);
        let Triggers { entry, close, partial_below, stuck } = waiting.triggers;
        let mut found = Candidates {
            entry: self.trigger_candidates::<S>(i, &extremes, position.price, entry, true, from),
            close: self.trigger_candidates::<S>(i, &extremes, position.price, close, false, from),
            unstuck: 0,
        };
        if self.partial_entry_possible::<S>(i, &position, &extremes, partial_below, waiting.most) {
            found.entry |= self.first_entry_candidates::<S>(i);
        }
        if stuck && self.allowance[S::INDEX] > 0.0 {
            found.unstuck = self.unstuck_candidates::<S>(i, &extremes);
        }
        self.coins[i].sides[S::INDEX].held = Some(found);
        found
    }

    /// What the orders of a position wait for, also at balances close to this one.
    fn waiting<S: SideIndex>(&mut self, i: usize, position: &Position) -> Waiting {
        if let Some(waiting) = self.coins[i].sides[S::INDEX].waiting {
            return waiting;
        }
        let situation = self.bare_situation::<S>(i);
        let alone = self.account.held[0].len() + self.account.held[1].len() == 1;
        let make = if alone { Waiting::here::<S> } else { Waiting::around::<S> };
        let waiting = make(&situation, position);
        self.coins[i].sides[S::INDEX].waiting = Some(waiting);
        waiting
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
            log_range: coin.averages.hourly_value[S::INDEX],
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
            let (least, most) = coin.averages.bounds(S::INDEX, (lowest_close, lowest_close)).lower;
            let factor = S::against(coin.sides[S::INDEX].params.entry_initial_ema_dist);
            let step = self.account.market.rules[i].price_step;
            lowest_close.min((least * factor).min(most * factor) - step)
        } else {
            lowest_close
        };
        let lowest = loosened_down(lowest);
        let situation = || Situation { balance, ..self.bare_situation::<S>(i) };
        lowest < below && planner::partial_entry_possible(&situation(), position, lowest)
    }

    /// Minutes from `from` on at which an order of this trigger may fill. Entries of a long position and closes of a
    /// short one are filled by lows, the others by highs.
    fn trigger_candidates<S: SideIndex>(
        &mut self,
        i: usize,
        extremes: &Extremes,
        pprice: f64,
        trigger: Trigger,
        entry: bool,
        from: usize,
    ) -> u64 {
        let by_low = S::LONG == entry;
        let crosses =
            |price: f64| if by_low { extremes.next_low < price } else { extremes.next_high > price };
        let crossings =
            |run: &Self, price: f64| if crosses(price) { run.crossings(i, by_low, price) } else { 0 };
        match trigger {
            Trigger::Never => 0,
            Trigger::Crossed(price) => crossings(self, price),
            Trigger::Spaced { by_exposure } => {
                let price = planner::spaced_price::<S>(&self.bare_situation::<S>(i), pprice, by_exposure);
                crossings(self, price)
            }
            Trigger::AtBook => self.crossings(i, by_low, beyond(by_low)),
            Trigger::Trailing { price: Some(price), .. } if !crosses(price) => 0,
            Trigger::Trailing { threshold, retracement, price } => {
                let armed = move |t: &Trailing| {
                    if entry {
                        planner::entry_armed::<S>(t, pprice, threshold, retracement)
                    } else {
                        planner::close_armed::<S>(t, pprice, threshold, retracement)
                    }
                };
                let distance = if by_low { 1.0 - threshold } else { 1.0 + threshold };
                let reached = (threshold > 0.0).then_some(pprice * distance);
                self.trailing_candidates::<S>(i, by_low, reached, price, from, armed)
            }
        }
    }

    /// Minutes whose next candle crosses a price and the close before it.
    fn crossings(&self, i: usize, by_low: bool, price: f64) -> u64 {
        if by_low {
            masks::falls_below(self.isa, self.minutes(i), price)
        } else {
            masks::rises_above(self.isa, self.minutes(i), price)
        }
    }

    /// The first minute from `from` on at which the extremes are armed and the candle crosses, and all later ones that
    /// cross: they matter only if nothing fills before. `reached` is the price beyond which the threshold is passed.
    fn trailing_candidates<S: Side + SideIndex>(
        &mut self,
        i: usize,
        by_low: bool,
        reached: Option<f64>,
        price: Option<f64>,
        from: usize,
        armed: impl Fn(&Trailing) -> bool,
    ) -> u64 {
        let span = self.span;
        let prepared = self.prepared;
        let coin = &mut self.coins[i];
        let side = &mut coin.sides[S::INDEX];
        // The extremes as they were before `from`; a fill at `from` itself leaves them reset.
        let mut t = side.trailing_at(&coin.candles, prepared, i, span.block, from - 1);
        // The widest that the extremes can get in this block arms whenever they do.
        let swing = prepared.extremes(i, span.block).swing;
        let widest = Trailing {
            min_since_open: lower(t.min_since_open, swing.low),
            max_since_min: higher(t.max_since_min, swing.high),
            max_since_open: higher(t.max_since_open, swing.high),
            min_since_max: lower(t.min_since_max, swing.low),
        };
        if !armed(&widest) {
            return 0;
        }
        let first = side.trailing_until() + 1;
        let (start, mut n) = (span.start, from - span.start);
        let mut crossings = self.crossings(i, by_low, price.unwrap_or(beyond(by_low))) & (u64::MAX << n);
        let c = &self.coins[i].candles;
        let passed = |price: f64| if by_low { t.min_since_open < price } else { t.max_since_open > price };
        if let Some(price) = reached.filter(|price| !passed(*price)) {
            // Nothing is armed before the first candle that passes the threshold; it begins a new extreme, so that what
            // was before it does not matter.
            let minutes = if by_low {
                masks::below(self.isa, &c.low[start..span.end], price)
            } else {
                masks::above(self.isa, &c.high[start..span.end], price)
            };
            let minutes = minutes & (u64::MAX << n.max(first - start));
            if minutes == 0 {
                return 0;
            }
            n = minutes.trailing_zeros() as usize;
            crossings &= u64::MAX << n;
        }
        let (begin, end) = (start + n, start + 64 - crossings.leading_zeros() as usize);
        if begin >= end {
            return 0;
        }
        let minutes = c.high[begin..end].iter().zip(&c.low[begin..end]).zip(&c.close[begin..end]);
        for (k, ((&high, &low), &close)) in (begin..end).zip(minutes) {
            if k >= first {
                t.update(high, low, close);
            }
            if (crossings >> (k - start)) & 1 != 0 && armed(&t) {
                return crossings & (u64::MAX << (k - start));
            }
        }
        0
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
            let averages = &self.coins[i].averages;
            if S::LONG {
                masks::rises_from_band(self.isa, self.minutes(i), averages.upper(), factor)
            } else {
                masks::falls_from_band(self.isa, self.minutes(i), averages.lower(), factor)
            }
        };
        self.coins[i].sides[S::INDEX].unstuck = Some(minutes);
        minutes
    }
}

/// A price that every candle crosses.
fn beyond(by_low: bool) -> f64 {
    if by_low { f64::INFINITY } else { f64::NEG_INFINITY }
}
