//! Events: orders of a candidate minute, and their fills in the next candle.

use super::Run;
use super::coin::Candidates;
use super::entering::Entering;
use super::keep::Keep;
use super::trailing::Reach;
use crate::grid::SideIndex;
use crate::planner::{self, Long, Short, Situation, StuckPosition, Trigger, Triggers};
use crate::types::{Bands, Order, Trailing};

/// Lists that live as long as the run, to save allocations.
#[derive(Default)]
pub(super) struct Scratch {
    /// Coins with orders at this minute, by side.
    touched: [Vec<usize>; 2],
    stuck: Vec<StuckPosition>,
    /// Coins of which the averages of each minute are asked.
    pub(super) asked: Vec<bool>,
    /// Flat coins that enter in the span, by side.
    pub(super) entering: [Vec<Entering>; 2],
}

impl Run<'_> {
    /// Place orders at minute `k` where they may fill (§14), and fill them in the next candle (§12).
    pub(super) fn event<K: Keep>(&mut self, k: usize, keep: &mut K) {
        let mut unstuck_matters = false;
        self.place_side::<Long>(k, &mut unstuck_matters);
        self.place_side::<Short>(k, &mut unstuck_matters);
        if unstuck_matters {
            self.place_unstuck(k);
        }
        self.fill_side::<Long>(k + 1, keep);
        self.fill_side::<Short>(k + 1, keep);
    }

    /// §14.1: positions first, then free coins as far as there are slots.
    fn place_side<S: SideIndex>(&mut self, k: usize, unstuck_matters: &mut bool) {
        self.scratch.touched[S::INDEX].clear();
        let side = self.sides[S::INDEX];
        if !side.enabled {
            return;
        }
        let bit = 1 << (k - self.span.start);
        for n in 0..self.account.held[S::INDEX].len() {
            let i = self.account.held[S::INDEX][n];
            let candidates = self.coins[i].sides[S::INDEX].held.unwrap_or_default();
            if self.coins[i].tradeable(k) && candidates.any() & bit != 0 {
                if candidates.searched <= k + 1 {
                    // Should nothing fill now, what may fill later is not known.
                    self.coins[i].sides[S::INDEX].held = None;
                    self.mask = None;
                }
                self.place_held::<S>(k, i, candidates, bit);
                *unstuck_matters |= (candidates.close | candidates.unstuck) & bit != 0;
            }
        }
        for n in 0..self.scratch.entering[S::INDEX].len() {
            let Entering { coin, minutes, .. } = self.scratch.entering[S::INDEX][n];
            if minutes & bit != 0 {
                self.place_entries::<S>(k, coin, false);
            }
        }
        self.scratch.touched[S::INDEX].sort_unstable();
        self.scratch.touched[S::INDEX].dedup();
    }

    /// §14.3 for a position: only the kinds of order that may fill.
    fn place_held<S: SideIndex>(&mut self, k: usize, i: usize, candidates: Candidates, bit: u64) {
        if candidates.entry & bit != 0 {
            self.place_entries::<S>(k, i, candidates.armed & bit != 0);
        }
        if candidates.close & bit != 0 {
            let mut closes = std::mem::take(&mut self.coins[i].sides[S::INDEX].closes);
            let position = self.account.positions[i][S::INDEX].unwrap_or_default();
            let (high, low) = self.candle(k + 1, i);
            let situation = self.situation::<S>(k, i, !S::LONG, true, |triggers| triggers.close);
            let first = planner::next_close::<S>(&situation, &position);
            if first.crossed_by(high, low) {
                planner::close_ladder_from::<S>(&situation, &position, first, &mut closes);
            }
            self.coins[i].sides[S::INDEX].closes = closes;
            self.scratch.touched[S::INDEX].push(i);
        }
    }

    fn place_entries<S: SideIndex>(&mut self, k: usize, i: usize, armed: bool) {
        let mut entries = std::mem::take(&mut self.coins[i].sides[S::INDEX].entries);
        let position = self.account.positions[i][S::INDEX].unwrap_or_default();
        let (high, low) = self.candle(k + 1, i);
        let bands = self.entry_bands::<S>(k, i);
        let situation =
            Situation { bands, ..self.situation::<S>(k, i, S::LONG, armed, |triggers| triggers.entry) };
        let meets = |price: f64| if S::LONG { low < price } else { high > price };
        planner::entry_ladder_while::<S>(&situation, &position, &mut entries, meets);
        self.coins[i].sides[S::INDEX].entries = entries;
        self.scratch.touched[S::INDEX].push(i);
    }

    /// High and low of a candle; NaN after a coin's last minute, so that nothing fills there.
    fn candle(&self, j: usize, i: usize) -> (f64, f64) {
        let c = &self.coins[i].candles;
        (c.high[j], c.low[j])
    }

    /// What the planner needs to know of coin `i` at minute `k` but the bands; the book is the close. Trailing extremes
    /// decide on the first order of a ladder alone, and only if it waits for them; `armed`: they are known to arm it.
    fn situation<S: SideIndex>(
        &mut self,
        k: usize,
        i: usize,
        by_low: bool,
        armed: bool,
        first: impl Fn(&Triggers) -> Trigger,
    ) -> Situation<'_> {
        let (isa, prepared, block) = (self.isa, self.prepared, self.span.block);
        let coin = &mut self.coins[i];
        let side = &mut coin.sides[S::INDEX];
        let waits = side.waiting.as_ref().map(|waiting| first(&waiting.triggers));
        let trailing = match waits {
            Some(Trigger::Trailing { .. }) if armed => Reach::armed(by_low).trailing(by_low),
            Some(Trigger::Trailing { .. }) => {
                side.followed(by_low).at(isa, &coin.candles, prepared, i, block, k).trailing(by_low)
            }
            _ => Trailing::RESET,
        };
        let close = coin.candles.close[k];
        Situation { bid: close, ask: close, trailing, ..self.bare_situation::<S>(i) }
    }

    /// Bands at minute `k`.
    pub(super) fn bands<S: SideIndex>(&mut self, k: usize, i: usize) -> Bands {
        self.walk_averages(i);
        self.walks[i].bands::<S>(k - self.span.start)
    }

    /// §16.2: at most one unstuck close, which takes the place of the coin's closes.
    fn place_unstuck(&mut self, k: usize) {
        self.scratch.stuck.clear();
        self.collect_stuck::<Long>(k);
        self.collect_stuck::<Short>(k);
        self.scratch.stuck.sort_by(StuckPosition::by_turn);
        for n in 0..self.scratch.stuck.len() {
            let StuckPosition { coin, long, .. } = self.scratch.stuck[n];
            let order =
                if long { self.unstuck_order::<Long>(k, coin) } else { self.unstuck_order::<Short>(k, coin) };
            if !order.is_none() {
                let s = usize::from(!long);
                let closes = &mut self.coins[coin].sides[s].closes;
                closes.clear();
                closes.push(order);
                if let Err(place) = self.scratch.touched[s].binary_search(&coin) {
                    self.scratch.touched[s].insert(place, coin);
                }
                return;
            }
        }
    }

    fn collect_stuck<S: SideIndex>(&mut self, k: usize) {
        if self.allowance[S::INDEX] <= 0.0 {
            return;
        }
        for n in 0..self.account.held[S::INDEX].len() {
            let i = self.account.held[S::INDEX][n];
            let coin = &self.coins[i];
            let stuck = coin.sides[S::INDEX].waiting.is_some_and(|waiting| waiting.triggers.stuck);
            if !stuck || !coin.tradeable(k) {
                continue;
            }
            let close = coin.candles.close[k];
            let position = self.account.positions[i][S::INDEX].unwrap_or_default();
            let bands = self.bands::<S>(k, i);
            let situation = Situation { bands, ..self.bare_situation::<S>(i) };
            if planner::band_allows_unstuck::<S>(&situation, close) {
                let distance = S::pprice_diff(position.price, close);
                self.scratch.stuck.push(StuckPosition { distance, coin: i, long: S::LONG });
            }
        }
    }

    fn unstuck_order<S: SideIndex>(&mut self, k: usize, i: usize) -> Order {
        let position = self.account.positions[i][S::INDEX].unwrap_or_default();
        let (close, allowance) = (self.coins[i].candles.close[k], self.allowance[S::INDEX]);
        planner::unstuck_close::<S>(&self.bare_situation::<S>(i), &position, close, allowance)
    }

    /// §12.2 for one side, in candle `j`.
    fn fill_side<S: SideIndex>(&mut self, j: usize, keep: &mut impl Keep) {
        let block = self.span.block;
        for n in 0..self.scratch.touched[S::INDEX].len() {
            let i = self.scratch.touched[S::INDEX][n];
            let (high, low) = self.candle(j, i);
            let side = &mut self.coins[i].sides[S::INDEX];
            let (mut closes, mut entries) =
                (std::mem::take(&mut side.closes), std::mem::take(&mut side.entries));
            let mut filled = false;
            let held = self.account.positions[i][S::INDEX].is_some();
            for order in closes.drain(..).filter(|order| order.crossed_by(high, low)) {
                self.keep_until(j, keep);
                if let Some(booked) = self.account.fill_close::<S>(j, i, order) {
                    keep.fill(&self.account, j, i, &booked);
                    filled = true;
                }
            }
            for order in entries.drain(..).filter(|order| order.crossed_by(high, low)) {
                self.keep_until(j, keep);
                let booked = self.account.fill_entry::<S>(j, i, order);
                keep.fill(&self.account, j, i, &booked);
                filled = true;
            }
            let side = &mut self.coins[i].sides[S::INDEX];
            (side.closes, side.entries) = (closes, entries);
            if filled {
                side.touched(j, block);
                self.stale = true;
            }
            if held != self.account.positions[i][S::INDEX].is_some() {
                self.entering_known[S::INDEX] = false;
            }
        }
    }
}
