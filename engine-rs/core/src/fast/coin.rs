//! State of one coin in the fast path.

use super::averages::Averages;
use super::prepared::Extremes;
use super::trailing::Followed;
use super::waiting::Waiting;
use crate::candles::{CoinCandles, Panel};
use crate::grid::{finite_or_zero, uses_trailing};
use crate::params::{BotParams, SideParams};
use crate::types::Order;

/// Candidate minutes of a span, one bit a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Candidates {
    pub(super) entry: u64,
    pub(super) close: u64,
    pub(super) unstuck: u64,
    /// Minutes at which a trailing entry is armed.
    pub(super) armed: u64,
    /// From this minute on trailing orders have not been looked for.
    pub(super) searched: usize,
}

/// What is known of the first entry (§9.2) in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstEntry {
    Unknown,
    /// It may fill, as far as bounds can tell.
    Possible,
    /// Minutes at which it may fill, one bit a minute.
    At(u64),
}

impl Candidates {
    pub(super) fn any(&self) -> u64 {
        self.entry | self.close | self.unstuck
    }
}

/// One side of one coin.
pub(super) struct CoinSide {
    pub(super) params: SideParams,
    pub(super) wallet_exposure_limit: f64,
    /// Trailing extremes for orders that are filled by lows, and by highs.
    trailing: [Followed; 2],
    /// What the orders of the position wait for, at balances around the one at hand.
    pub(super) waiting: Option<Waiting>,
    /// Candidates of the position in this span, from the minute on at which it was last touched.
    pub(super) held: Option<Candidates>,
    pub(super) first_entry: FirstEntry,
    /// Once that is known: first entries stand at the book in each minute of the span, whatever the band.
    pub(super) at_book: bool,
    /// Minutes of this span at which an unstuck close may fill.
    pub(super) unstuck: Option<u64>,
    pub(super) entries: Vec<Order>,
    pub(super) closes: Vec<Order>,
}

/// One coin.
pub(super) struct Coin<'a> {
    pub(super) candles: CoinCandles<'a>,
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) start: usize,
    /// Extremes of the span at hand.
    pub(super) extremes: Extremes,
    pub(super) averages: Averages,
    /// Extremes, averages and what the sides know are those of the span that begins at this minute.
    pub(super) begun: usize,
    pub(super) sides: [CoinSide; 2],
}

impl<'a> Coin<'a> {
    pub(super) fn new(panel: &Panel<'a>, i: usize, bot: &BotParams, warmup: usize) -> Self {
        let candles = panel.coins()[i];
        let (first, last) = panel.life(i);
        let close = finite_or_zero(candles.close[first]);
        let volume = finite_or_zero(candles.volume[first]).max(0.0);
        let side = |params: &SideParams| CoinSide {
            params: *params,
            wallet_exposure_limit: params.wallet_exposure_limit,
            trailing: [true, false].map(|by_low| Followed::new(uses_trailing(params), by_low)),
            waiting: None,
            held: None,
            first_entry: FirstEntry::Unknown,
            at_book: false,
            unstuck: None,
            entries: Vec::new(),
            closes: Vec::new(),
        };
        Self {
            candles,
            first,
            last,
            start: first.saturating_add(panel.interval().bars(warmup)).min(last),
            extremes: Extremes::of(&candles, first, first),
            averages: Averages::new([&bot.long, &bot.short], close, volume, panel.interval()),
            begun: 0,
            sides: [side(&bot.long), side(&bot.short)],
        }
    }

    pub(super) fn valid(&self, k: usize) -> bool {
        self.first <= k && k <= self.last
    }

    pub(super) fn tradeable(&self, k: usize) -> bool {
        self.start <= k && k <= self.last
    }

    /// A span begins at minute `start`.
    #[inline(always)]
    pub(super) fn begin_span(&mut self, start: usize, extremes: Extremes) {
        self.begun = start;
        self.extremes = extremes;
        for side in &mut self.sides {
            side.held = None;
            side.first_entry = FirstEntry::Unknown;
            side.unstuck = None;
        }
    }
}

impl CoinSide {
    /// Trailing extremes for orders that are filled by lows, or by highs.
    pub(super) fn followed(&mut self, by_low: bool) -> &mut Followed {
        &mut self.trailing[usize::from(!by_low)]
    }

    /// A fill at minute `k`, in block `block` or the one after it: trailing starts over after it.
    pub(super) fn touched(&mut self, k: usize, block: usize) {
        self.trailing.iter_mut().for_each(|followed| followed.reset(k, block));
        self.waiting = None;
        self.held = None;
    }
}
