//! What a run leaves behind: everything, or only the daily figures that most metrics are made of.

use super::averages::BLOCK;
use super::masks;
use super::prepared::Block;
use crate::analysis::{BtcFigures, Daily, DayFigures, EveryMinute, Exposure, FillFacts, Watch, spare};
use crate::grid::{Account, Booked, Fill};
use crate::interval::Interval;
use crate::isa::Isa;
use crate::types::{higher, lower};

/// Receives a run as it unfolds.
pub(super) trait Keep {
    /// Minutes in which the account is as it is now, given the lowest and highest close of each coin in their span.
    fn quiet(&mut self, account: &Account<'_>, minutes: Quiet, closes: impl Fn(usize) -> (f64, f64));

    /// Blocks in which the account, which knows one coin, is as it is now, given the lowest and highest close of each.
    /// Returns how many there were before the run was stopped.
    fn pass(
        &mut self,
        account: &Account<'_>,
        blocks: &[Block],
        closes: impl Fn(usize) -> (f64, f64),
    ) -> usize {
        for (n, block) in blocks.iter().enumerate() {
            let minutes = Quiet { from: block.start, to: block.end, whole: true };
            self.quiet(account, minutes, |_| closes(n));
            self.block_ends(block.end);
            if self.stopped() {
                return n + 1;
            }
        }
        blocks.len()
    }

    /// A fill, after it was booked.
    fn fill(&mut self, account: &Account<'_>, minute: usize, coin: usize, booked: &Booked);

    /// A block ended with minute `end` − 1: stop there if the run is lost, and forget the fills of later minutes.
    fn block_ends(&mut self, end: usize);

    /// True if the run was stopped early.
    fn stopped(&self) -> bool;
}

/// Minutes `from .. to` of one span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    pub(super) from: usize,
    pub(super) to: usize,
    /// They are all of it.
    pub(super) whole: bool,
}

/// Keeps fills, equity and exposure of every minute.
pub(crate) struct Everything {
    pub(crate) fills: Vec<Fill>,
    pub(crate) usd: Vec<f64>,
    pub(crate) btc: Vec<f64>,
    pub(crate) exposure: Exposure,
    /// Last minute of a run that was stopped early.
    pub(crate) stopped: Option<usize>,
    interval: Interval,
    watch: Option<Watch>,
}

impl Everything {
    pub(super) fn new(samples: usize, account: &Account<'_>, watch: Option<Watch>) -> Self {
        let mut keep = Self {
            fills: Vec::new(),
            usd: Vec::with_capacity(samples),
            btc: Vec::with_capacity(samples),
            exposure: Exposure::default(),
            stopped: None,
            interval: account.market.panel.interval(),
            watch,
        };
        keep.usd.push(account.market.starting_balance);
        keep.btc.push(account.balance.btc);
        keep
    }
}

impl Keep for Everything {
    fn quiet(&mut self, account: &Account<'_>, minutes: Quiet, _: impl Fn(usize) -> (f64, f64)) {
        let Quiet { from, to, .. } = minutes;
        let Some(prices) = account.market.panel.btc_usd() else {
            self.exposure.push(account.total_exposure(), to - from);
            self.usd.resize(to, account.balance.usd_total);
            self.btc.resize(to, 0.0);
            add_unrealised(account, from, &mut self.usd[from..], &mut self.btc[from..]);
            return;
        };
        for &price in &prices[from..to] {
            let balance = account.balance.usd_total_at(price);
            self.exposure.push(account.total_exposure_at(balance), 1);
        }
        self.usd.resize(to, 0.0);
        self.btc.resize(to, 0.0);
        equity_at(prices, account, from, &mut self.usd[from..], &mut self.btc[from..]);
    }

    fn fill(&mut self, account: &Account<'_>, minute: usize, coin: usize, booked: &Booked) {
        self.fills.push(account.record(minute, coin, booked));
    }

    fn block_ends(&mut self, end: usize) {
        let run =
            EveryMinute { fills: &self.fills, usd: &self.usd, btc: &self.btc, exposure: &self.exposure };
        if self.watch.as_mut().is_some_and(|watch| watch.stops(&run, end)) {
            let minutes = end * self.interval.minutes();
            self.fills.truncate(self.fills.partition_point(|fill| fill.minute < minutes));
            self.stopped = Some(minutes - 1);
        }
    }

    fn stopped(&self) -> bool {
        self.stopped.is_some()
    }
}

/// Keeps the last and the lowest equity of each day, and what metrics need of the fills.
pub(super) struct Days {
    isa: Isa,
    pub(super) figures: DayFigures,
    watch: Option<Watch>,
    interval: Interval,
    /// Bars of a day.
    day: usize,
}

impl Days {
    pub(super) fn new(isa: Isa, samples: usize, account: &Account<'_>, watch: Option<Watch>) -> Self {
        let interval = account.market.panel.interval();
        let day = interval.day();
        let days = samples.div_ceil(day);
        let daily = |first: f64| {
            let mut lowest = vec![f64::INFINITY; days];
            lowest[0] = first;
            Daily { last: vec![0.0; days], lowest }
        };
        let collateral = account.market.panel.btc_usd().is_some();
        let figures = DayFigures {
            samples,
            stopped: None,
            fills: spare::take(),
            usd: daily(account.market.starting_balance),
            btc: collateral.then(|| BtcFigures { daily: daily(account.balance.btc), fills: Vec::new() }),
        };
        Self { isa, figures, watch, interval, day }
    }

    /// Minutes with a balance in BTC, which changes in each.
    fn quiet_btc(&mut self, prices: &[f64], account: &Account<'_>, from: usize, to: usize) {
        let (mut usd, mut btc) = ([0.0; BLOCK], [0.0; BLOCK]);
        let (usd, btc) = (&mut usd[..to - from], &mut btc[..to - from]);
        equity_at(prices, account, from, usd, btc);
        let day = from / self.day;
        let ends = to.is_multiple_of(self.day) || to == self.figures.samples;
        let sets =
            [(Some(&mut self.figures.usd), usd), (self.figures.btc.as_mut().map(|b| &mut b.daily), btc)];
        for (daily, values) in sets {
            if let Some(daily) = daily {
                daily.lowest[day] = values.iter().copied().fold(daily.lowest[day], lower);
                if ends {
                    daily.last[day] = values[values.len() - 1];
                }
            }
        }
    }
}

impl Keep for Days {
    fn quiet(&mut self, account: &Account<'_>, minutes: Quiet, closes: impl Fn(usize) -> (f64, f64)) {
        let Quiet { from, to, whole } = minutes;
        if let Some(prices) = account.market.panel.btc_usd() {
            return self.quiet_btc(prices, account, from, to);
        }
        let day = from / self.day;
        let lowest = &mut self.figures.usd.lowest[day];
        let balance = account.balance.usd_total;
        let positions = account.held[0].len() + account.held[1].len();
        if positions == 0 {
            *lowest = lowest.min(balance);
        } else {
            // As cheap as a bound.
            let alone = to == from + 1;
            let bound = if alone { equity(account, from) } else { bound(account, from, closes) };
            if bound < *lowest {
                // With one position the worst close of the span is a minute of it.
                let known = alone || whole && positions == 1;
                let least = if known { bound } else { lowest_of(self.isa, account, from, to) };
                *lowest = lowest.min(least);
            }
        }
        if to.is_multiple_of(self.day) || to == self.figures.samples {
            self.figures.usd.last[day] = account.sample(to - 1).usd;
        }
    }

    fn pass(
        &mut self,
        account: &Account<'_>,
        blocks: &[Block],
        closes: impl Fn(usize) -> (f64, f64),
    ) -> usize {
        let profits = [0, 1].map(|s| account.positions[0][s].map(|_| Unrealised::of(account, s, 0)));
        let balance = account.balance.usd_total;
        let mut from = 0;
        while from < blocks.len() {
            let day = blocks[from].start / self.day;
            let ends = |block: &Block| block.end == (day + 1) * self.day || block.end == self.figures.samples;
            let last = blocks[from..].iter().position(ends);
            let to = last.map_or(blocks.len(), |last| from + last + 1);
            let lowest = &mut self.figures.usd.lowest[day];
            // As in `bound`.
            match &profits {
                [None, None] => *lowest = lowest.min(balance),
                [Some(profit), None] => {
                    let low = (from..to).map(|n| closes(n).0).fold(f64::INFINITY, lower);
                    *lowest = lower(*lowest, balance + profit.at(low));
                }
                [None, Some(profit)] => {
                    let high = (from..to).map(|n| closes(n).1).fold(f64::NEG_INFINITY, higher);
                    *lowest = lower(*lowest, balance + profit.at(high));
                }
                [Some(long), Some(short)] => {
                    let bound = |n: usize| hedged_bound(balance, long, short, closes(n));
                    // The worst block first: nearly always it settles the others.
                    let (mut worst, mut others) = ((f64::INFINITY, from), f64::INFINITY);
                    for n in from..to {
                        let bound = bound(n);
                        if bound < worst.0 {
                            (worst, others) = ((bound, n), worst.0);
                        } else {
                            others = lower(others, bound);
                        }
                    }
                    let exact = |n: usize| lowest_of(self.isa, account, blocks[n].start, blocks[n].end);
                    if worst.0 < *lowest {
                        *lowest = lowest.min(exact(worst.1));
                    }
                    if others < *lowest {
                        (from..to).for_each(|n| *lowest = lowest.min(exact(n)));
                    }
                }
            }
            if last.is_some() {
                let end = blocks[to - 1].end;
                self.figures.usd.last[day] = account.sample(end - 1).usd;
                self.block_ends(end);
                if self.stopped() {
                    return to;
                }
            }
            from = to;
        }
        blocks.len()
    }

    fn fill(&mut self, account: &Account<'_>, minute: usize, coin: usize, booked: &Booked) {
        self.figures.fills.push(FillFacts {
            minute: account.market.panel.minute(minute),
            key: 2 * coin + usize::from(!booked.order.kind.is_long()),
            pnl: booked.pnl,
            balance: account.balance.usd_total,
            turnover: booked.order.qty.abs() * booked.order.price,
            flat_after: booked.position.size == 0.0,
        });
        if let Some(btc) = &mut self.figures.btc {
            btc.fills.push((account.btc_price(minute), account.balance.btc));
        }
    }

    fn block_ends(&mut self, end: usize) {
        if self.watch.as_mut().is_some_and(|watch| watch.stops(&self.figures, end)) {
            self.figures.stop(end, self.interval);
        }
    }

    fn stopped(&self) -> bool {
        self.figures.stopped.is_some()
    }
}

/// Add the unrealised profits of the minutes from `from` on to balances without collateral in BTC (§15).
fn add_unrealised(account: &Account<'_>, from: usize, usd: &mut [f64], btc: &mut [f64]) {
    for (s, i, close) in closes(account, from, from + usd.len()) {
        let profit = Unrealised::of(account, s, i);
        for ((usd, btc), &close) in usd.iter_mut().zip(btc.iter_mut()).zip(close) {
            let pnl = profit.at(close);
            *usd += pnl;
            *btc += pnl;
        }
    }
}

/// Equity of the minutes from `from` on in USD and BTC, given the prices of a bitcoin (§15).
fn equity_at(prices: &[f64], account: &Account<'_>, from: usize, usd: &mut [f64], btc: &mut [f64]) {
    let to = from + usd.len();
    let prices = &prices[from..to];
    for ((usd, btc), &price) in usd.iter_mut().zip(btc.iter_mut()).zip(prices) {
        *usd = account.balance.usd_total_at(price);
        *btc = *usd / price;
    }
    for (s, i, close) in closes(account, from, to) {
        let profit = Unrealised::of(account, s, i);
        for (((usd, btc), &close), &price) in usd.iter_mut().zip(btc.iter_mut()).zip(close).zip(prices) {
            let pnl = profit.at(close);
            *usd += pnl;
            *btc += pnl / price;
        }
    }
}

/// What the unrealised profit of a position is made of.
struct Unrealised {
    /// Quantity × contract multiplier.
    amount: f64,
    price: f64,
    long: bool,
}

impl Unrealised {
    fn of(account: &Account<'_>, s: usize, i: usize) -> Self {
        let position = account.positions[i][s].unwrap_or_default();
        let amount = position.size.abs() * account.market.rules[i].c_mult;
        Self { amount, price: position.price, long: s == 0 }
    }

    /// Amount and price of a long position of the same profit at each price: rounding does not see the sign.
    fn line(&self) -> (f64, f64) {
        (if self.long { self.amount } else { -self.amount }, self.price)
    }

    /// At a price; the operations of `num::pnl_long` and `num::pnl_short`.
    #[inline(always)]
    fn at(&self, close: f64) -> f64 {
        self.amount * if self.long { close - self.price } else { self.price - close }
    }
}

/// Coins with a position that live at minute `k`: long, then short, each by coin.
fn living(account: &Account<'_>, k: usize) -> impl Iterator<Item = (usize, usize)> {
    let [long, short] = &account.held;
    (0..long.len() + short.len()).filter_map(move |n| {
        let (s, i) = if n < long.len() { (0, long[n]) } else { (1, short[n - long.len()]) };
        let (first, last) = account.market.panel.life(i);
        (first..=last).contains(&k).then_some((s, i))
    })
}

/// Closes of these coins in some minutes of one block.
fn closes<'a>(
    account: &'a Account<'_>,
    from: usize,
    to: usize,
) -> impl Iterator<Item = (usize, usize, &'a [f64])> {
    // Blocks are cut where coins begin and end: a coin lives in all of these minutes or in none.
    living(account, from).map(move |(s, i)| (s, i, &account.market.panel.coins()[i].close[from..to]))
}

/// A bound of the equity in each minute of a span. Sums of floats are monotone in each term, so the worst closes of all
/// coins together are one; a coin held on both sides is at its worst at one end, as its profit is a straight line.
fn bound(account: &Account<'_>, from: usize, closes: impl Fn(usize) -> (f64, f64)) -> f64 {
    let (mut bound, mut size, mut hedged) = (account.balance.usd_total, 0.0, false);
    for (s, i) in living(account, from) {
        let (low, high) = closes(i);
        let profit = Unrealised::of(account, s, i);
        if account.positions[i][1 - s].is_none() {
            let worst = profit.at(if s == 0 { low } else { high });
            bound += worst;
            size += worst.abs();
        } else if s == 0 {
            let other = Unrealised::of(account, 1, i);
            let (a, b, c, d) = (profit.at(low), other.at(low), profit.at(high), other.at(high));
            bound += lower(a + b, c + d);
            size += a.abs() + b.abs() + c.abs() + d.abs();
            hedged = true;
        }
    }
    // A straight line, but for rounding.
    if hedged { bound - (size + bound.abs()) * 1e-12 } else { bound }
}

/// The same of an account with positions on both sides of a single coin.
#[inline(always)]
fn hedged_bound(balance: f64, long: &Unrealised, short: &Unrealised, (low, high): (f64, f64)) -> f64 {
    let (a, b, c, d) = (long.at(low), short.at(low), long.at(high), short.at(high));
    let bound = balance + lower(a + b, c + d);
    bound - (a.abs() + b.abs() + c.abs() + d.abs() + bound.abs()) * 1e-12
}

/// Equity at the close of minute `k`.
fn equity(account: &Account<'_>, k: usize) -> f64 {
    living(account, k).fold(account.balance.usd_total, |equity, (s, i)| {
        equity + Unrealised::of(account, s, i).at(account.market.panel.coins()[i].close[k])
    })
}

/// The lowest equity of some minutes of one block.
fn lowest_of(isa: Isa, account: &Account<'_>, from: usize, to: usize) -> f64 {
    let balance = account.balance.usd_total;
    let mut positions = living(account, from).map(|(s, i)| {
        let profit = Unrealised::of(account, s, i);
        (profit, &account.market.panel.coins()[i].close[from..to])
    });
    match (positions.next(), positions.next(), positions.next()) {
        // It moves one way with the close.
        (Some((profit, closes)), None, _) => {
            let worst = if profit.long { masks::lowest } else { masks::highest };
            balance + profit.at(worst(isa, closes))
        }
        (Some((a, a_closes)), Some((b, b_closes)), None) => {
            masks::least_of_two(isa, balance, [a.line(), b.line()], [a_closes, b_closes])
        }
        _ => {
            let mut equity = [balance; BLOCK];
            for (s, i, closes) in closes(account, from, to) {
                let Unrealised { amount, price, long } = Unrealised::of(account, s, i);
                masks::add_profit(isa, &mut equity, closes, amount, price, long);
            }
            masks::least(isa, &equity, to - from)
        }
    }
}
