//! What a run leaves behind: everything, or only the daily figures that most metrics are made of.

use super::prepared::{DAY, Extremes};
use crate::analysis::{Daily, FillFacts};
use crate::grid::{Account, Booked, Fill};
use crate::num;

/// Receives a run as it unfolds.
pub(super) trait Keep {
    /// Minutes `from .. to`, all in one block and the account unchanged in them.
    fn quiet(
        &mut self,
        account: &Account<'_>,
        from: usize,
        to: usize,
        extremes: &dyn Fn(usize) -> Option<Extremes>,
    );

    /// A fill, after it was booked.
    fn fill(&mut self, account: &Account<'_>, minute: usize, coin: usize, booked: &Booked);
}

/// Keeps fills, equity and exposure of every minute.
pub(super) struct Everything {
    pub(super) fills: Vec<Fill>,
    pub(super) usd: Vec<f64>,
    pub(super) btc: Vec<f64>,
    pub(super) exposure: Vec<f64>,
}

impl Everything {
    pub(super) fn new(samples: usize, starting_balance: f64) -> Self {
        let mut keep = Self {
            fills: Vec::new(),
            usd: Vec::with_capacity(samples),
            btc: Vec::with_capacity(samples),
            exposure: Vec::with_capacity(samples),
        };
        keep.usd.push(starting_balance);
        keep.btc.push(0.0);
        keep
    }
}

impl Keep for Everything {
    fn quiet(
        &mut self,
        account: &Account<'_>,
        from: usize,
        to: usize,
        _: &dyn Fn(usize) -> Option<Extremes>,
    ) {
        let exposure = account.total_exposure();
        self.exposure.resize(self.exposure.len() + (to - from), exposure);
        self.usd.resize(to, account.balance.usd_total);
        self.btc.resize(to, 0.0);
        for (s, i, close) in closes(account, from, to) {
            let sums = self.usd[from..].iter_mut().zip(&mut self.btc[from..]);
            for ((usd, btc), &close) in sums.zip(close) {
                let pnl = unrealised(account, s, i, close);
                *usd += pnl;
                *btc += pnl;
            }
        }
    }

    fn fill(&mut self, account: &Account<'_>, minute: usize, coin: usize, booked: &Booked) {
        self.fills.push(account.record(minute, coin, booked));
    }
}

/// Keeps the last and the lowest equity of each day, and what metrics need of the fills.
pub(super) struct Days {
    pub(super) facts: Vec<FillFacts>,
    pub(super) daily: Daily,
    last_sample: usize,
}

impl Days {
    pub(super) fn new(samples: usize, starting_balance: f64) -> Self {
        let days = samples.div_ceil(DAY);
        let mut daily = Daily { last: vec![0.0; days], lowest: vec![f64::INFINITY; days] };
        daily.lowest[0] = starting_balance;
        Self { facts: Vec::new(), daily, last_sample: samples - 1 }
    }
}

impl Keep for Days {
    fn quiet(
        &mut self,
        account: &Account<'_>,
        from: usize,
        to: usize,
        extremes: &dyn Fn(usize) -> Option<Extremes>,
    ) {
        let day = from / DAY;
        let lowest = &mut self.daily.lowest[day];
        let balance = account.balance.usd_total;
        let positions = account.held[0].len() + account.held[1].len();
        if positions == 0 {
            *lowest = lowest.min(balance);
        } else {
            // Sums of floats are monotone in each term: the worst closes together are a bound of every minute, and
            // with one position they are a minute.
            let bound = bound(account, from, to, extremes);
            if bound < *lowest {
                let least = if positions == 1 { bound } else { lowest_of(account, from, to) };
                *lowest = lowest.min(least);
            }
        }
        if to.is_multiple_of(DAY) || to > self.last_sample {
            self.daily.last[day] = account.sample(to - 1).usd;
        }
    }

    fn fill(&mut self, account: &Account<'_>, minute: usize, coin: usize, booked: &Booked) {
        self.facts.push(FillFacts {
            minute,
            key: 2 * coin + usize::from(!booked.order.kind.is_long()),
            pnl: booked.pnl,
            balance: account.balance.usd_total,
            turnover: booked.order.qty.abs() * booked.order.price,
            flat_after: booked.position.size == 0.0,
        });
    }
}

fn unrealised(account: &Account<'_>, s: usize, i: usize, close: f64) -> f64 {
    let c_mult = account.market.rules[i].c_mult;
    let position = account.positions[i][s].unwrap_or_default();
    if s == 0 {
        num::pnl_long(position.price, close, position.size, c_mult)
    } else {
        num::pnl_short(position.price, close, position.size, c_mult)
    }
}

/// Closes of the coins with a position that live in these minutes: long, then short, each by coin.
fn closes<'a>(
    account: &'a Account<'_>,
    from: usize,
    to: usize,
) -> impl Iterator<Item = (usize, usize, &'a [f64])> {
    (0..2).flat_map(move |s| {
        account.held[s].iter().filter_map(move |&i| {
            let (first, last) = account.market.panel.life(i);
            // Blocks are cut where coins begin and end: a coin lives in all of these minutes or in none.
            (first..=last).contains(&from).then(|| (s, i, &account.market.panel.coins()[i].close[from..to]))
        })
    })
}

fn bound(account: &Account<'_>, from: usize, to: usize, extremes: &dyn Fn(usize) -> Option<Extremes>) -> f64 {
    closes(account, from, to).fold(account.balance.usd_total, |equity, (s, i, closes)| {
        let (low, high) = extremes(i).map_or_else(|| range(closes), |e| e.close);
        equity + unrealised(account, s, i, if s == 0 { low } else { high })
    })
}

fn range(closes: &[f64]) -> (f64, f64) {
    closes.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &c| (l.min(c), h.max(c)))
}

fn lowest_of(account: &Account<'_>, from: usize, to: usize) -> f64 {
    let mut equity = [account.balance.usd_total; super::averages::BLOCK];
    let equity = &mut equity[..to - from];
    for (s, i, closes) in closes(account, from, to) {
        for (sum, &close) in equity.iter_mut().zip(closes) {
            *sum += unrealised(account, s, i, close);
        }
    }
    equity.iter().copied().fold(f64::INFINITY, f64::min)
}
