//! The fast path: the same fills, found by asking "can it fill?" before "what is it?".
//!
//! Time goes by in blocks of a clock hour. In each block every coin and side has *candidate minutes*: those at which an
//! order that is placed may be filled by the next candle, judged by triggers that are cheaper than the orders
//! themselves. Only at candidate minutes are orders built, by the very planner that the plain path calls; everything
//! between is walked over. Nothing is approximated: triggers may only err towards asking too often.
//!
//! What the plain path ([`crate::grid`]) does each minute is found here so: orders, unstucking and fills (§12, §14.3,
//! §16.2) in `events`, candidate minutes in `candidates` with the comparisons in `masks` and what is waited for in
//! `waiting`, those of flat coins in `entering`, coin selection (§14.2) in `selection` with bounds in `apart`, trailing
//! extremes (§10) in `trailing`, slots (§11) and the walk itself here, equity (§15) in `keep`. Averages (§6) of one coin
//! are in `averages`; of several runs side by side they go on in `abreast` over several coins and in `beside` over one,
//! and those of a lone run over one coin in `ahead`. Runs over a single coin walk in `lone`, past what `calm` tells to be
//! quiet.
//!
//! What is called a minute here is a bar of the panel, and an hour has as many of them as fit. The fast path covers
//! regular candles and price averages of at least one bar; everything else takes the plain path.

mod abreast;
mod ahead;
mod apart;
mod averages;
mod beside;
mod calm;
mod candidates;
mod coin;
mod entering;
mod events;
mod keep;
mod lone;
mod masks;
mod prefetch;
mod prepared;
mod selection;
mod trailing;
mod waiting;

pub use prepared::{Blocks, CoinTables, CoinView, Prepared};

use std::cell::RefCell;

use abreast::Abreast;
use averages::{Columns, Moving, Walk};
use coin::Coin;
pub(crate) use keep::Everything;
use keep::{Days, Keep, Quiet};
use prefetch::prefetch;
use prepared::{Block, Extremes};
use selection::Selection;

use crate::analysis::{DayFigures, Watch};
use crate::candles::CoinCandles;
use crate::grid::{Account, Market, SideWide, Warmup, side_wide};
use crate::interval::Interval;
use crate::isa::Isa;
use crate::params::BotParams;

/// True if the fast path covers a run of these parameters; else the plain path has to do it.
pub fn covers(params: &[BotParams], interval: Interval) -> bool {
    params.iter().all(|bot| averages::fits(&bot.long, interval) && averages::fits(&bot.short, interval))
}

/// A run with everything kept.
pub(crate) fn run_everything(
    isa: Isa,
    market: Market<'_>,
    prepared: &Prepared<'_>,
    params: &[BotParams],
    warmup: &Warmup,
    watch: Option<Watch>,
) -> Everything {
    let mut run = Run::new(isa, market, prepared, params, warmup);
    run.walks = vec![Walk::new(); market.panel.coins().len()];
    let keep = Everything::new(market.panel.bars() - 1, &run.account, watch);
    let mut runs = [(run, keep)];
    run_together(isa, prepared, &mut runs);
    let [(_, keep)] = runs;
    keep
}

/// Runs of which only daily figures are kept, over the same candles side by side.
pub(crate) fn run_days<'c>(
    isa: Isa,
    market: Market<'_>,
    prepared: &Prepared<'_>,
    candidates: impl Iterator<Item = (&'c [BotParams], &'c Warmup, Option<Watch>)>,
) -> Vec<DayFigures> {
    let mut runs: Vec<_> = candidates
        .map(|(params, warmup, watch)| {
            let run = Run::new(isa, market, prepared, params, warmup);
            let keep = Days::new(isa, market.panel.bars() - 1, &run.account, watch);
            (run, keep)
        })
        .collect();
    let abreast = RefCell::default();
    let (wanted, coins): (Vec<_>, _) =
        (runs.iter().map(|(run, _)| run.wanted()).collect(), market.panel.coins());
    if coins.len() > 1 && wanted.len() > 1 && wanted.as_flattened().contains(&true) {
        let averages = |run: usize, coin: usize| &runs[run].0.coins[coin].averages;
        abreast.replace(Abreast::new(&wanted, coins.len(), averages));
        for (n, (run, _)) in runs.iter_mut().enumerate() {
            run.abreast = Some((&abreast, n));
        }
    } else {
        runs.iter_mut().for_each(|(run, _)| run.walks = vec![Walk::new(); coins.len()]);
    }
    run_together(isa, prepared, &mut runs);
    runs.into_iter().map(|(_, keep)| keep.figures).collect()
}

/// How many runs to put side by side: each lane of a vector has an average of a run, and the candles are read once for all.
pub(crate) const TOGETHER: usize = 8;

/// Walk through all blocks, in each through all runs that are not stopped.
fn run_together<K: Keep>(isa: Isa, prepared: &Prepared<'_>, runs: &mut [(Run<'_>, K)]) {
    if prepared.coins().len() == 1 {
        return lone::run_lone(isa, prepared, runs);
    }
    // Runs whose averages lie side by side use these in turn: nobody looks back into an earlier block.
    let mut walks = vec![Walk::new(); prepared.coins().len()];
    for (index, block) in prepared.blocks().iter().enumerate() {
        if let (Some(next), Some((run, _))) = (prepared.blocks().get(index + 1), runs.first()) {
            run.foresee(index + 1, next);
        }
        if let Some((Run { account, abreast: Some((abreast, _)), .. }, _)) = runs.first() {
            let mut abreast = abreast.borrow_mut();
            if let Some(hour) = block.hour {
                abreast.absorb_hour(isa, prepared, hour);
            }
            abreast.advance(isa, account.market.panel, prepared, block);
        }
        let mut going = false;
        for (run, keep) in runs.iter_mut().filter(|(_, keep)| !keep.stopped()) {
            if let (Some(hour), None) = (block.hour, run.abreast) {
                run.absorb_hour(hour);
            }
            if run.abreast.is_some() {
                std::mem::swap(&mut run.walks, &mut walks);
            }
            run.walk_block(index, block, keep);
            if run.abreast.is_some() {
                std::mem::swap(&mut run.walks, &mut walks);
            }
            keep.block_ends(block.end);
            going = true;
        }
        if !going {
            return;
        }
        if let Some((Run { abreast: Some((abreast, _)), .. }, _)) = runs.first() {
            abreast.borrow_mut().arrive();
        }
        runs.iter_mut().filter(|(run, _)| run.looks_ahead()).for_each(|(run, _)| run.arrive());
    }
}

/// State of a run.
struct Run<'a> {
    account: Account<'a>,
    prepared: &'a Prepared<'a>,
    isa: Isa,
    coins: Vec<Coin<'a>>,
    /// Averages of each minute of the span, by coin, as far as somebody asked.
    walks: Vec<Walk>,
    /// Averages of runs side by side, and which of them this one is.
    abreast: Option<(&'a RefCell<Abreast>, usize)>,
    sides: [SideWide; 2],
    first_order_minute: usize,
    /// Minutes at which something begins that the panel's blocks do not know, ascending.
    splits: Vec<usize>,
    next_split: usize,
    /// The stretch of minutes at hand: a block, or a part of one.
    span: Span,
    /// Loss that each side may still realise by unstucking.
    allowance: [f64; 2],
    /// Minutes before this one are kept.
    kept: usize,
    /// The account changed: what follows from balance and positions must be made anew.
    stale: bool,
    /// Candidate minutes of the span, once they are known.
    mask: Option<u64>,
    /// It is known which flat coins enter in the span, by side: the same until a position is opened or closed.
    entering_known: [bool; 2],
    /// Some minute may have fewer slots than coins.
    ranked: bool,
    selection: [Selection; 2],
    scratch: events::Scratch,
}

/// Minutes `start .. end`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    /// It is all of its block.
    whole: bool,
    /// Index of the block.
    block: usize,
}

impl Span {
    /// Its minutes, one bit each.
    fn minutes(&self) -> u64 {
        u64::MAX >> (u64::BITS as usize - (self.end - self.start))
    }
}

impl<'a> Run<'a> {
    fn new(
        isa: Isa,
        market: Market<'a>,
        prepared: &'a Prepared<'a>,
        params: &[BotParams],
        warmup: &Warmup,
    ) -> Self {
        let panel = market.panel;
        let count = panel.coins().len();
        let coins: Vec<_> = (0..count).map(|i| Coin::new(panel, i, &params[i], warmup.coins[i])).collect();
        let interval = panel.interval();
        let requested = market.requested_start_ms.saturating_sub(panel.first_ms()).max(0);
        let requested = usize::try_from(requested).unwrap_or(usize::MAX).div_ceil(interval.ms() as usize);
        let first_order_minute = warmup.first_order_bar(params, interval).max(requested);
        let mut splits: Vec<usize> = coins.iter().flat_map(|coin| [coin.start, coin.last + 1]).collect();
        splits.push(first_order_minute);
        splits.sort_unstable();
        splits.dedup();
        let sides = [
            side_wide(&params[0].long, params.iter().map(|bot| &bot.long), count),
            side_wide(&params[0].short, params.iter().map(|bot| &bot.short), count),
        ];
        let always = |coin: &Coin<'_>| coin.start <= first_order_minute && coin.last + 1 == panel.bars();
        let ranked = count > 1
            && (!coins.iter().all(always) || sides.iter().any(|side| side.enabled && side.slots < count));
        let selection = [Selection::of(&coins, 0), Selection::of(&coins, 1)];
        Self {
            account: Account::new(market),
            prepared,
            isa,
            sides,
            coins,
            walks: Vec::new(),
            abreast: None,
            first_order_minute,
            splits,
            next_split: 0,
            span: Span { start: 1, end: 1, whole: false, block: 0 },
            allowance: [0.0; 2],
            kept: 1,
            stale: true,
            mask: None,
            entering_known: [false; 2],
            ranked,
            selection,
            scratch: events::Scratch::default(),
        }
    }

    /// Which averages of a coin are asked for: not those of a side that does not trade, nor those that rank coins where there
    /// is nothing to choose.
    fn wanted(&self) -> [bool; averages::COUNT] {
        std::array::from_fn(|number| {
            self.sides[number % 2].enabled && (self.ranked || averages::PRICES.contains(&number))
        })
    }

    /// Have the candles of the next block come from memory while this one is walked through: of several coins these are
    /// more streams than a processor foresees by itself.
    fn foresee(&self, index: usize, next: &Block) {
        let minutes = next.start..next.end;
        for (i, coin) in self.coins.iter().enumerate().filter(|(_, coin)| coin.valid(next.start)) {
            // Runs side by side read these columns one after another, as a processor foresees.
            if self.abreast.is_none() {
                prefetch(coin.candles.close, minutes.clone());
                if self.ranked {
                    prefetch(coin.candles.volume, minutes.clone());
                    prefetch(self.prepared.log_ranges(i), minutes.clone());
                }
            }
            self.prepared.foresee(i, index);
        }
        for i in self.account.held.iter().flatten() {
            prefetch(self.coins[*i].candles.low, minutes.start + 1..minutes.end + 1);
            prefetch(self.coins[*i].candles.high, minutes.start + 1..minutes.end + 1);
        }
    }

    /// Walk through a block; its last span is left to be finished.
    fn walk_block<K: Keep>(&mut self, index: usize, block: &Block, keep: &mut K) {
        let mut start = block.start;
        loop {
            let split = self.next_split;
            while self.splits.get(self.next_split).is_some_and(|&minute| minute <= start) {
                self.next_split += 1;
            }
            let changes = self.next_split > split;
            let end = self.splits.get(self.next_split).copied().unwrap_or(usize::MAX).min(block.end);
            let whole = start == block.start && end == block.end;
            self.span = Span { start, end, whole, block: index };
            self.walk_span(changes, keep);
            if end == block.end {
                return;
            }
            if !self.looks_ahead() {
                (0..self.coins.len()).for_each(|i| self.begin_coin(i));
                averages::look_ahead(self.isa, self.moving());
            }
            self.arrive();
            start = end;
        }
    }

    /// One span: events first, then everything up to its end. `changes`: who trades may have changed.
    fn walk_span<K: Keep>(&mut self, changes: bool, keep: &mut K) {
        let Span { start, end, .. } = self.span;
        if self.abreast.is_none() {
            // Of all coins at once, so that the memory is waited for once.
            (0..self.coins.len()).for_each(|i| self.begin_coin_anew(i));
        }
        if self.looks_ahead() {
            self.coins.iter_mut().filter(|c| !c.valid(start)).for_each(|coin| coin.averages.stand());
            averages::look_ahead(self.isa, self.moving());
        }
        for selection in &mut self.selection {
            selection.forget();
        }
        self.mask = None;
        self.entering_known = [false; 2];
        let trades = start >= self.first_order_minute;
        if trades && changes {
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
    }

    /// Have what the span at hand begins with for a coin: most are not asked in most spans.
    #[inline]
    fn begin_coin(&mut self, i: usize) {
        if self.coins[i].begun != self.span.start {
            self.begin_coin_anew(i);
        }
    }

    fn begin_coin_anew(&mut self, i: usize) {
        let Span { start, end, whole, block } = self.span;
        let coin = &mut self.coins[i];
        let extremes =
            if whole { self.prepared.extremes(i, block) } else { Extremes::of(&coin.candles, start, end) };
        coin.begin_span(start, extremes);
        // Inside a block the averages went on by themselves.
        if let Some((abreast, run)) = self.abreast
            && (start == self.prepared.blocks()[block].start || !coin.valid(start))
        {
            let abreast = abreast.borrow();
            coin.averages.begin(&abreast.at_start(run, i), abreast.hourly(run, i));
        }
    }

    /// A run by itself over several coins knows how averages end before it goes through a span.
    fn looks_ahead(&self) -> bool {
        self.abreast.is_none() && self.coins.len() > 1
    }

    /// The span is over, and its end known.
    fn arrive(&mut self) {
        let start = self.span.start;
        self.coins.iter_mut().filter(|c| c.valid(start)).for_each(|coin| coin.averages.arrive());
    }

    /// Averages of the coins that live in the span, which have yet to go on to the next one.
    fn moving(&mut self) -> impl Iterator<Item = Moving<'_>> {
        let (start, columns) = (self.span.start, self.columns());
        let coins = self.coins.iter_mut().zip(&mut self.walks).enumerate();
        let living = coins.filter(move |(_, (coin, _))| coin.valid(start));
        living.map(move |(i, (coin, walk))| (&mut coin.averages, walk, columns(i, &coin.candles)))
    }

    /// What a coin's averages see of the span.
    fn columns(&self) -> impl Fn(usize, &CoinCandles<'a>) -> Columns<'a> + use<'a> {
        let (Span { start, end, .. }, prepared, ranked) = (self.span, self.prepared, self.ranked);
        move |i, candles| Columns::new(candles, prepared.log_ranges(i), ranked, start, end)
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
            let span = self.span;
            let quiet = Quiet { from, to: end, whole: from == span.start && end == span.end };
            keep.quiet(&self.account, quiet, |i| self.coins[i].extremes.close);
            self.kept = end;
        }
    }

    fn absorb_hour(&mut self, hour: usize) {
        for (i, coin) in self.coins.iter_mut().enumerate() {
            let range = self.prepared.hour_range(i, hour);
            coin.averages.absorb_hour(range);
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
                    state.waiting = None;
                    self.stale = true;
                }
            }
        }
    }
}
