//! Times of positions (analysis-metrics §4.6).

use super::{FillFacts, Metrics};
use crate::interval::Interval;

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
