//! Metrics of the whole run only: equity against balance (analysis-metrics §4.4), position times (§4.6).

use super::daily::DAY;
use super::{FillFacts, Metrics};

/// §4.4: before the first fill the balance is that after the first fill.
pub(super) fn equity_against_balance(fills: &[FillFacts], equity: &[f64], metrics: &mut Metrics) {
    let (mut above, mut below) = (Group::default(), Group::default());
    let mut balance = fills[0].balance;
    let mut start = 0;
    for fill in fills {
        // Fills after the last sample move nothing.
        let end = fill.minute.clamp(start, equity.len());
        compare(&equity[start..end], balance, &mut above, &mut below);
        (start, balance) = (end, fill.balance);
    }
    compare(&equity[start..], balance, &mut above, &mut below);
    metrics.equity_balance_diff_pos_max = above.max;
    metrics.equity_balance_diff_pos_mean = above.mean();
    metrics.equity_balance_diff_neg_max = below.max;
    metrics.equity_balance_diff_neg_mean = below.mean();
}

#[derive(Default)]
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
#[derive(Clone, Copy)]
struct Open {
    since: usize,
    changed: usize,
}

/// §4.6. Times are whole minutes; a position still open ends with the last fill.
pub(super) fn position_times(fills: &[FillFacts], samples: usize, metrics: &mut Metrics) {
    let keys = fills.iter().map(|fill| fill.key + 1).max().unwrap_or(0);
    let mut open: Vec<Option<Open>> = vec![None; keys];
    let mut held: Vec<usize> = Vec::new();
    let mut unchanged_max = 0;
    for fill in fills {
        let state = open[fill.key].get_or_insert(Open { since: fill.minute, changed: fill.minute });
        unchanged_max = unchanged_max.max(fill.minute - state.changed);
        state.changed = fill.minute;
        if fill.flat_after {
            held.push(fill.minute - state.since);
            open[fill.key] = None;
        }
    }
    if let Some(end) = fills.last().map(|fill| fill.minute) {
        for state in open.into_iter().flatten() {
            held.push(end - state.since);
            unchanged_max = unchanged_max.max(end - state.changed);
        }
    }
    metrics.position_unchanged_hours_max = unchanged_max as f64 / 60.0;
    let count = held.len();
    if count == 0 {
        return;
    }
    held.sort_unstable();
    let total: usize = held.iter().sum();
    let middle = count / 2;
    metrics.positions_held_per_day = count as f64 / (samples as f64 / DAY as f64);
    metrics.position_held_hours_mean = total as f64 / (count as f64 * 60.0);
    metrics.position_held_hours_max = held[count - 1] as f64 / 60.0;
    metrics.position_held_hours_median = if count % 2 == 1 {
        held[middle] as f64 / 60.0
    } else {
        (held[middle - 1] + held[middle]) as f64 / 120.0
    };
}
