//! Metrics of the whole run only: equity against balance (analysis-metrics §4.4), position times (§4.6).

use super::daily::DAY;
use super::{FillFacts, Metrics};

/// §4.4: before the first fill the balance is that after the first fill.
pub(super) fn equity_against_balance(fills: &[FillFacts], equity: &[f64], metrics: &mut Metrics) {
    let (mut above, mut below) = (Group::default(), Group::default());
    let mut balance = fills[0].balance;
    let mut next = 0;
    for (i, e) in equity.iter().enumerate() {
        while next < fills.len() && fills[next].minute <= i {
            balance = fills[next].balance;
            next += 1;
        }
        let difference = (e - balance) / balance;
        if difference > 0.0 {
            above.add(difference);
        } else if difference < 0.0 {
            below.add(difference.abs());
        }
    }
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

impl Group {
    fn add(&mut self, x: f64) {
        self.max = self.max.max(x);
        self.sum += x;
        self.count += 1.0;
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
