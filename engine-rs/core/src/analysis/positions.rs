//! Metrics of the whole run only: equity against balance (analysis-metrics §4.4), position times (§4.6).

use super::{FillFacts, Metrics};
use crate::interval::Interval;

/// §4.4.
pub(super) fn equity_against_balance(
    fills: &[FillFacts],
    equity: &[f64],
    interval: Interval,
    metrics: &mut Metrics,
) {
    let mut against = Against::default();
    against.take(equity, |n| fills.get(n).map(|fill| (interval.bars(fill.minute), fill.balance)));
    metrics.equity_balance_diff_pos_max = against.above.max;
    metrics.equity_balance_diff_pos_mean = against.above.mean();
    metrics.equity_balance_diff_neg_max = against.below.max;
    metrics.equity_balance_diff_neg_mean = against.below.mean();
}

/// Equity against balance as far as a run has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Against {
    samples: usize,
    fills: usize,
    balance: f64,
    above: Group,
    below: Group,
}

impl Against {
    /// Take in what is new of an equity series; `fill` gives sample and balance of fill `n`.
    ///
    /// Before the first fill the balance is that after the first fill: without any, nothing is taken in yet.
    pub(super) fn take(&mut self, equity: &[f64], fill: impl Fn(usize) -> Option<(usize, f64)>) {
        if self.fills == 0 {
            let Some((_, balance)) = fill(0) else { return };
            self.balance = balance;
        }
        while let Some((sample, balance)) = fill(self.fills)
            && sample < equity.len()
        {
            self.compare_up_to(sample, equity);
            self.balance = balance;
            self.fills += 1;
        }
        self.compare_up_to(equity.len(), equity);
    }

    /// Samples before `end` against the balance as it is.
    fn compare_up_to(&mut self, end: usize, equity: &[f64]) {
        compare(&equity[self.samples..end], self.balance, &mut self.above, &mut self.below);
        self.samples = end;
    }

    /// Largest difference below, and above.
    pub(super) fn largest(&self) -> (f64, f64) {
        (self.below.max, self.above.max)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    max: f64,
    sum: f64,
    count: f64,
}

/// Equity against one balance. What is not in a group adds nothing to it, which costs less than a branch.
fn compare(equity: &[f64], balance: f64, above: &mut Group, below: &mut Group) {
    for e in equity {
        let difference = (e - balance) / balance;
        above.add(difference);
        below.add(-difference);
    }
}

impl Group {
    /// Take in `x` if it is positive.
    #[inline(always)]
    fn add(&mut self, x: f64) {
        let (x, one) = if x > 0.0 { (x, 1.0) } else { (0.0, 0.0) };
        self.max = if x > self.max { x } else { self.max };
        self.sum += x;
        self.count += one;
    }

    fn mean(&self) -> f64 {
        if self.count == 0.0 { 0.0 } else { self.sum / self.count }
    }
}

/// An open position: minute of its opening and of its last change.
#[derive(Clone, Copy, Debug)]
struct Open {
    since: usize,
    changed: usize,
}

/// Times of positions (§4.6) as far as a run has come, in minutes; a position still open ends with the last fill.
#[derive(Clone, Debug, Default)]
pub(super) struct PositionTimes {
    open: Vec<Option<Open>>,
    /// Longest that a position was held that is closed, and that one stayed unchanged between two fills.
    held: usize,
    unchanged: usize,
    last: usize,
}

impl PositionTimes {
    /// Take in a fill; returns how long the position was held that it closes.
    pub(super) fn take(&mut self, minute: usize, key: usize, flat_after: bool) -> Option<usize> {
        if key >= self.open.len() {
            self.open.resize(key + 1, None);
        }
        self.last = minute;
        let slot = &mut self.open[key];
        let state = slot.get_or_insert(Open { since: minute, changed: minute });
        self.unchanged = self.unchanged.max(minute - state.changed);
        state.changed = minute;
        if !flat_after {
            return None;
        }
        let held = minute - state.since;
        self.held = self.held.max(held);
        *slot = None;
        Some(held)
    }

    fn open(&self) -> impl Iterator<Item = &Open> {
        self.open.iter().flatten()
    }

    pub(super) fn held_hours_max(&self) -> f64 {
        self.open().fold(self.held, |longest, open| longest.max(self.last - open.since)) as f64 / 60.0
    }

    pub(super) fn unchanged_hours_max(&self) -> f64 {
        self.open().fold(self.unchanged, |longest, open| longest.max(self.last - open.changed)) as f64 / 60.0
    }
}

/// §4.6.
pub(super) fn position_times(fills: &[FillFacts], samples: usize, interval: Interval, metrics: &mut Metrics) {
    let mut times = PositionTimes::default();
    let mut held: Vec<usize> =
        fills.iter().filter_map(|fill| times.take(fill.minute, fill.key, fill.flat_after)).collect();
    held.extend(times.open().map(|open| times.last - open.since));
    metrics.position_unchanged_hours_max = times.unchanged_hours_max();
    metrics.position_held_hours_max = times.held_hours_max();
    let count = held.len();
    if count == 0 {
        return;
    }
    held.sort_unstable();
    let total: usize = held.iter().sum();
    let middle = count / 2;
    metrics.positions_held_per_day = count as f64 / (samples as f64 / interval.day() as f64);
    metrics.position_held_hours_mean = total as f64 / (count as f64 * 60.0);
    metrics.position_held_hours_median = if count % 2 == 1 {
        held[middle] as f64 / 60.0
    } else {
        (held[middle - 1] + held[middle]) as f64 / 120.0
    };
}
