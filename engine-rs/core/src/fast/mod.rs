//! The fast path: the same fills, found by asking "can it fill?" before "what is it?".
//!
//! Time goes by in blocks of a clock hour. In each block every coin and side has *candidate minutes*: those at which an
//! order that is placed may be filled by the next candle, judged by triggers that are cheaper than the orders
//! themselves. Only at candidate minutes are orders built, by the very planner that the plain path calls; everything
//! between is walked over. Nothing is approximated: triggers may only err towards asking too often.
//!
//! What the plain path ([`crate::grid`]) does each minute is found here so: fills, orders, coin selection and
//! unstucking (§12, §14, §16.2) in `events`, candidate minutes in `candidates`, averages (§6) in `averages`, trailing
//! extremes (§10) in `coin`, slots (§11) and the walk itself here, equity (§15) in `keep`.
//!
//! The fast path covers regular candles and spans of at least 1; everything else takes the plain path.

mod averages;
mod candidates;
mod coin;
mod events;
mod keep;
mod prepared;

pub use prepared::{Blocks, CoinTables, CoinView, Prepared};

use coin::Coin;
pub(crate) use keep::Everything;
use keep::{Days, Keep};
use prepared::Extremes;

use crate::analysis::DayFigures;
use crate::grid::{Account, Market, SideWide, Warmup, longest_span, side_wide};
use crate::params::BotParams;

/// True if the fast path covers a run of these parameters; else the plain path has to do it.
pub fn covers(params: &[BotParams]) -> bool {
    params.iter().all(|bot| averages::fits(&bot.long) && averages::fits(&bot.short))
}

/// A run with everything kept.
pub(crate) fn run_everything(
    market: Market<'_>,
    prepared: &Prepared<'_>,
    params: &[BotParams],
    warmup: &Warmup,
) -> Everything {
    let run = Run::new(market, prepared, params, warmup);
    let mut keep = Everything::new(market.panel.minutes() - 1, &run.account);
    run.run(&mut keep);
    keep
}

/// A run of which only daily figures are kept.
pub(crate) fn run_days(
    market: Market<'_>,
    prepared: &Prepared<'_>,
    params: &[BotParams],
    warmup: &Warmup,
) -> DayFigures {
    let run = Run::new(market, prepared, params, warmup);
    let mut keep = Days::new(market.panel.minutes() - 1, &run.account);
    run.run(&mut keep);
    keep.figures
}

/// State of a run.
struct Run<'a> {
    account: Account<'a>,
    prepared: &'a Prepared<'a>,
    coins: Vec<Coin<'a>>,
    sides: [SideWide; 2],
    first_order_minute: usize,
    /// Minutes at which something begins that the panel's blocks do not know, ascending.
    splits: Vec<usize>,
    /// The stretch of minutes at hand: a block, or a part of one.
    span: Span,
    /// Loss that each side may still realise by unstucking.
    allowance: [f64; 2],
    /// Minutes before this one are kept.
    kept: usize,
    /// The account changed: what follows from balance and positions must be made anew.
    stale: bool,
    scratch: events::Scratch,
}

/// Minutes `start .. end`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    /// Index of the block of which this is all.
    whole: Option<usize>,
    block: usize,
}

impl<'a> Run<'a> {
    fn new(market: Market<'a>, prepared: &'a Prepared<'a>, params: &[BotParams], warmup: &Warmup) -> Self {
        let panel = market.panel;
        let count = panel.coins().len();
        let coins: Vec<_> = (0..count).map(|i| Coin::new(panel, i, &params[i], warmup.coins[i])).collect();
        let global = if warmup.global > 0 { warmup.global } else { longest_span(params) };
        let requested = (market.requested_start_ms - panel.first_ms()).max(0);
        let minute = crate::candles::MINUTE_MS;
        let first_order_minute =
            (global.max(1) + 1).max(usize::try_from((requested + minute - 1) / minute).unwrap_or(usize::MAX));
        let mut splits: Vec<usize> = coins.iter().map(|coin| coin.start).collect();
        splits.push(first_order_minute);
        splits.sort_unstable();
        splits.dedup();
        Self {
            account: Account::new(market),
            prepared,
            sides: [
                side_wide(&params[0].long, params.iter().map(|bot| &bot.long), count),
                side_wide(&params[0].short, params.iter().map(|bot| &bot.short), count),
            ],
            coins,
            first_order_minute,
            splits,
            span: Span { start: 1, end: 1, whole: None, block: 0 },
            allowance: [0.0; 2],
            kept: 1,
            stale: true,
            scratch: events::Scratch::default(),
        }
    }

    /// Walk through all blocks.
    fn run<K: Keep>(mut self, keep: &mut K) {
        let prepared = self.prepared;
        let mut split = 0;
        for (index, block) in prepared.blocks().iter().enumerate() {
            if let Some(hour) = block.hour {
                self.absorb_hour(hour);
            }
            let mut start = block.start;
            while start < block.end {
                while self.splits.get(split).is_some_and(|&minute| minute <= start) {
                    split += 1;
                }
                let end = self.splits.get(split).copied().unwrap_or(usize::MAX).min(block.end);
                let whole = (start == block.start && end == block.end).then_some(index);
                self.span = Span { start, end, whole, block: index };
                self.walk_span(keep);
                start = end;
            }
        }
    }

    /// One span: events first, then everything up to its end.
    fn walk_span<K: Keep>(&mut self, keep: &mut K) {
        let Span { start, end, .. } = self.span;
        for coin in &mut self.coins {
            coin.forget_candidates();
        }
        let trades = start >= self.first_order_minute;
        if trades {
            self.update_slots(start);
        }
        let mut from = start;
        while from < end {
            self.revalue(from);
            let until = self.next_move(from + 1);
            let candidate = if trades { self.next_candidate(from, until) } else { None };
            from = match candidate {
                Some(k) => {
                    self.event(k, keep);
                    k + 1
                }
                None => until,
            };
        }
        self.keep_until(end, keep);
        for (i, coin) in self.coins.iter_mut().enumerate() {
            if coin.valid(start) {
                let log_ranges = self.prepared.log_ranges(i);
                for (side, wide) in coin.sides.iter_mut().zip(&self.sides) {
                    if wide.enabled {
                        side.averages.finish(&coin.candles, log_ranges, start, end);
                    }
                }
            }
        }
    }

    /// §13.2 at minute `k`: what orders see of a balance in BTC.
    fn revalue(&mut self, k: usize) {
        let Some(prices) = self.account.market.panel.btc_usd() else { return };
        if self.account.balance.moves(prices[k]) {
            self.account.balance.revalue(prices[k]);
            self.stale = true;
        }
    }

    /// The first minute from `from` on at which orders may see another balance; the end of the span if none.
    fn next_move(&self, from: usize) -> usize {
        let end = self.span.end;
        let Some(prices) = self.account.market.panel.btc_usd() else { return end };
        let balance = &self.account.balance;
        (from..end).find(|&k| balance.moves(prices[k])).unwrap_or(end)
    }

    /// Hand over the minutes up to `end`, in which the account is as it is now.
    fn keep_until<K: Keep>(&mut self, end: usize, keep: &mut K) {
        let from = self.kept;
        if from < end {
            let (prepared, span) = (self.prepared, self.span);
            let whole = span.whole.filter(|_| from == span.start && end == span.end);
            let extremes = |i: usize| whole.map(|block| prepared.extremes(i, block));
            keep.quiet(&self.account, from, end, &extremes);
            self.kept = end;
        }
    }

    fn absorb_hour(&mut self, hour: usize) {
        for (i, coin) in self.coins.iter_mut().enumerate() {
            let range = self.prepared.hour_range(i, hour);
            for side in &mut coin.sides {
                side.averages.absorb_hour(range);
                // Only the grid's spacing depends on it.
                if side.params.entry_grid_spacing_log_weight != 0.0 {
                    side.triggers = None;
                }
            }
        }
    }

    /// §11: who trades changes only where spans begin.
    fn update_slots(&mut self, k: usize) {
        let tradeable = self.coins.iter().filter(|coin| coin.tradeable(k)).count();
        if tradeable == 0 {
            return;
        }
        for (s, side) in self.sides.iter_mut().enumerate() {
            let dynamic = side.limit_slots(tradeable);
            for coin in self.coins.iter_mut().filter(|coin| coin.tradeable(k)) {
                let state = &mut coin.sides[s];
                if state.params.wallet_exposure_limit < 0.0 && state.wallet_exposure_limit != dynamic {
                    state.wallet_exposure_limit = dynamic;
                    state.triggers = None;
                    self.stale = true;
                }
            }
        }
    }

    /// Extremes of a coin in the span at hand.
    fn extremes(&self, i: usize) -> Extremes {
        match self.span.whole {
            Some(block) => self.prepared.extremes(i, block),
            None => Extremes::of(&self.coins[i].candles, self.span.start, self.span.end),
        }
    }
}
