//! Flat coins: which of them open a position in a span, and at which minutes.
//!
//! Slots are few and first entries often near the price, so that most coins want to enter and few may: which coins may
//! have a slot (§14.2) is asked before what their entries (§9.2) would be.

use super::Run;
use super::averages;
use super::candidates::beyond;
use super::coin::FirstEntry;
use super::masks::{self, loosened_down, loosened_up};
use crate::grid::SideIndex;
use crate::planner::{Long, Short};
use crate::types::Bands;

/// A flat coin that enters in the span at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entering {
    pub(super) coin: usize,
    /// Minutes at which its first entry may fill, one bit a minute.
    pub(super) minutes: u64,
    /// The averages of each minute were asked.
    known: bool,
    /// Minutes at which it has a slot for sure; at others that depends on the order of equal coins.
    pub(super) certain: u64,
}

impl Run<'_> {
    /// Find the flat coins that enter in the span, and the minutes from `from` on at which they do.
    pub(super) fn find_entering(&mut self, from: usize) {
        let asking = [self.may_enter::<Long>(from), self.may_enter::<Short>(from)];
        if asking.contains(&true) {
            let asked = &mut self.scratch.asked;
            asked.clear();
            asked.resize(self.coins.len(), false);
            for s in [Long::INDEX, Short::INDEX] {
                for &Entering { coin, .. } in &self.scratch.entering[s] {
                    asked[coin] |= !self.coins[coin].sides[s].at_book;
                }
            }
            let (isa, columns, asked) = (self.isa, self.columns(), &self.scratch.asked);
            let coins = self.coins.iter_mut().zip(&mut self.walks).enumerate();
            let wanted = coins.filter(|(i, _)| asked[*i]);
            let moving = wanted.map(|(i, (c, walk))| (&mut c.averages, walk, columns(i, &c.candles)));
            averages::walk(isa, moving);
            if asking[Long::INDEX] {
                self.enter::<Long>();
            }
            if asking[Short::INDEX] {
                self.enter::<Short>();
            }
        }
    }

    /// Find the coins that may have a slot and may enter; true if more can be told by the averages of each minute.
    fn may_enter<S: SideIndex>(&mut self, from: usize) -> bool {
        if !self.has_room::<S>() {
            self.scratch.entering[S::INDEX].clear();
            self.entering_known[S::INDEX] = false;
            return false;
        }
        if self.entering_known[S::INDEX] {
            return false;
        }
        self.entering_known[S::INDEX] = true;
        self.scratch.entering[S::INDEX].clear();
        let later = self.span.minutes() & (u64::MAX << (from - self.span.start));
        // Where entries are far from prices that is told sooner than who has a slot.
        let foreseen = self.chooses::<S>() && self.foresees::<S>() && self.selection[S::INDEX].asked;
        if foreseen {
            self.find_flat::<S>();
        }
        for coin in 0..self.coins.len() {
            let may_have_slot = !foreseen || self.may_have_slot::<S>(coin) & later != 0;
            if may_have_slot && self.is_free::<S>(coin) {
                let (minutes, known) = match self.first_entry::<S>(coin) {
                    FirstEntry::At(minutes) => (minutes & later, true),
                    _ => (later, false),
                };
                if minutes != 0 {
                    let entering = Entering { coin, minutes, known, certain: u64::MAX };
                    self.scratch.entering[S::INDEX].push(entering);
                }
            }
        }
        self.selection[S::INDEX].asked = !self.scratch.entering[S::INDEX].is_empty();
        self.select::<S>(foreseen);
        if self.scratch.entering[S::INDEX].iter().any(|entering| !entering.known) {
            return true;
        }
        self.settle::<S>();
        false
    }

    /// Keep of the minutes at which coins may have a slot those at which they enter.
    fn enter<S: SideIndex>(&mut self) {
        let mut entering = std::mem::take(&mut self.scratch.entering[S::INDEX]);
        for entering in entering.iter_mut().filter(|entering| !entering.known) {
            entering.minutes &= self.first_entry_candidates::<S>(entering.coin);
        }
        self.scratch.entering[S::INDEX] = entering;
        self.settle::<S>();
    }

    /// True if the coin could open a position.
    fn is_free<S: SideIndex>(&self, i: usize) -> bool {
        let coin = &self.coins[i];
        self.account.positions[i][S::INDEX].is_none()
            && coin.tradeable(self.span.start)
            && coin.sides[S::INDEX].wallet_exposure_limit != 0.0
    }

    /// True if a position could be opened.
    pub(super) fn could_open<S: SideIndex>(&self, i: usize) -> bool {
        self.has_room::<S>() && self.coins[i].sides[S::INDEX].wallet_exposure_limit != 0.0
    }

    /// True if the side could open a position.
    fn has_room<S: SideIndex>(&self) -> bool {
        let side = self.sides[S::INDEX];
        side.enabled
            && self.account.held[S::INDEX].len() < side.effective_slots
            && self.account.balance.usd_total_rounded > 0.0
    }

    /// What bounds tell of the first entry's price (§9.2), which depends on candles and averages alone.
    fn first_entry<S: SideIndex>(&mut self, i: usize) -> FirstEntry {
        self.begin_coin(i);
        let known = self.coins[i].sides[S::INDEX].first_entry;
        if known != FirstEntry::Unknown {
            return known;
        }
        let extremes = self.coins[i].extremes;
        let coin = &self.coins[i];
        let factor = S::against(coin.sides[S::INDEX].params.entry_initial_ema_dist);
        let bounds = coin.averages.bounds(S::INDEX, extremes.close);
        let step = self.account.market.rules[i].price_step;
        let (possible, at_book) = if S::LONG {
            let (least, most) = bounds.lower;
            let (a, b) = (least * factor, most * factor);
            let at_book = loosened_down(a.min(b)) - step > extremes.close.1;
            (extremes.next_low < loosened_up(a.max(b)), at_book)
        } else {
            let (least, most) = bounds.upper;
            let (a, b) = (least * factor, most * factor);
            let at_book = loosened_up(a.max(b)) + step < extremes.close.0;
            (extremes.next_high > loosened_down(a.min(b)), at_book)
        };
        let known = if possible { FirstEntry::Possible } else { FirstEntry::At(0) };
        let side = &mut self.coins[i].sides[S::INDEX];
        (side.first_entry, side.at_book) = (known, at_book);
        known
    }

    /// Bands at minute `k`, or some that give first entries the same price: that of the book where it is certain that they
    /// are beyond it.
    pub(super) fn entry_bands<S: SideIndex>(&mut self, k: usize, i: usize) -> Bands {
        self.first_entry::<S>(i);
        let coin = &self.coins[i];
        if !coin.sides[S::INDEX].at_book {
            return self.bands::<S>(k, i);
        }
        let factor = S::against(coin.sides[S::INDEX].params.entry_initial_ema_dist);
        let bounds = coin.averages.bounds(S::INDEX, coin.extremes.close);
        let nearest = |(least, most): (f64, f64)| {
            if (least * factor < most * factor) == S::LONG { least } else { most }
        };
        Bands { lower: nearest(bounds.lower), upper: nearest(bounds.upper) }
    }

    /// Minutes at which the first entry may fill.
    pub(super) fn first_entry_candidates<S: SideIndex>(&mut self, i: usize) -> u64 {
        if let FirstEntry::At(minutes) = self.first_entry::<S>(i) {
            return minutes;
        }
        if self.coins[i].sides[S::INDEX].at_book {
            let minutes = self.crossings(i, S::LONG, beyond(S::LONG));
            self.coins[i].sides[S::INDEX].first_entry = FirstEntry::At(minutes);
            return minutes;
        }
        self.walk_averages(i);
        let coin = &self.coins[i];
        let factor = S::against(coin.sides[S::INDEX].params.entry_initial_ema_dist);
        let minutes = if S::LONG {
            masks::falls_below_band(self.isa, self.minutes(i), self.walks[i].lower(), factor)
        } else {
            masks::rises_above_band(self.isa, self.minutes(i), self.walks[i].upper(), factor)
        };
        self.coins[i].sides[S::INDEX].first_entry = FirstEntry::At(minutes);
        minutes
    }
}
