//! Early stop: which runs are lost before their last candle (decision 16).
//!
//! A limit on a metric that never falls while a run goes on can't be kept any more once it is broken; and an account
//! whose equity fell to nothing would have been closed by any exchange. Both are looked at where a day of the metrics
//! ends (analysis-metrics §3), as it is the same moment on both paths and costs next to nothing.

use super::against::Against;
use super::daily::{self, Decline};
use super::derived::FlatBalance;
use super::positions::PositionTimes;
use super::{DayFigures, Exposure};
use crate::grid::Fill;
use crate::interval::Interval;
use crate::isa::Isa;

/// Metrics that never fall while a run goes on, ascending: the largest of something seen so far.
///
/// Their values are those of the finished run's metrics if it ended here. Means, medians, ratios and what weighs recent
/// days more can recover, and so can `drawdown_worst_mean_1pct` and `expected_shortfall_1pct`, which average more days
/// as there are more.
pub const WATCHED_METRICS: [&str; 7] = [
    "drawdown_worst",
    "equity_balance_diff_neg_max",
    "equity_balance_diff_pos_max",
    "flat_btc_balance_hours",
    "position_held_hours_max",
    "position_unchanged_hours_max",
    "total_wallet_exposure_max",
];

/// One number for each of [`WATCHED_METRICS`].
type Values = [f64; WATCHED_METRICS.len()];

/// When a run is stopped early: when its equity in USD falls to 0 or below, and when a limit is broken for good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StopLimits {
    /// Largest values allowed in the USD and the BTC set; infinite without a limit.
    largest: [Values; 2],
}

impl StopLimits {
    /// No limit: only lost equity stops a run.
    pub const NONE: Self = Self { largest: [[f64::INFINITY; WATCHED_METRICS.len()]; 2] };

    /// Add a limit: the metric of the USD or the BTC set may not be greater than `value`. Of several on one metric the
    /// smallest counts. False if the metric is none of [`WATCHED_METRICS`].
    pub fn add(&mut self, btc: bool, metric: &str, value: f64) -> bool {
        let Ok(n) = WATCHED_METRICS.binary_search(&metric) else { return false };
        let limit = &mut self.largest[usize::from(btc)][n];
        *limit = limit.min(value);
        true
    }

    /// True if no limit needs equity or exposure of every minute.
    pub(crate) fn is_daily(&self) -> bool {
        let limited = |n: usize| self.largest.iter().any(|set| set[n] < f64::INFINITY);
        WATCHED_METRICS.iter().enumerate().all(|(n, metric)| super::is_daily(metric) || !limited(n))
    }

    fn broken_by(&self, sets: &[Values; 2]) -> bool {
        self.largest.iter().zip(sets).any(|(limits, values)| values.iter().zip(limits).any(|(v, l)| v > l))
    }
}

/// What a watch needs of a fill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FillSeen {
    minute: usize,
    key: usize,
    flat_after: bool,
    /// Total balance in USD and in BTC.
    balances: [f64; 2],
    balance_btc: f64,
}

/// What has been kept of a run as far as it has come.
pub(crate) trait SoFar {
    /// Fill `n`, if there are as many.
    fn fill(&self, n: usize) -> Option<FillSeen>;

    /// Lowest equity of a day of `length` bars that is over, in USD and in BTC.
    fn lowest(&self, day: usize, length: usize) -> [f64; 2];

    /// Equity in USD and in BTC, and exposure, of every minute; None if only days are kept.
    fn every_minute(&self) -> Option<([&[f64]; 2], &Exposure)>;
}

/// A run of which everything is kept, as far as it has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EveryMinute<'a> {
    pub(crate) fills: &'a [Fill],
    /// Equity from minute 0.
    pub(crate) usd: &'a [f64],
    pub(crate) btc: &'a [f64],
    /// Total wallet exposure from minute 1.
    pub(crate) exposure: &'a Exposure,
}

impl SoFar for EveryMinute<'_> {
    fn fill(&self, n: usize) -> Option<FillSeen> {
        self.fills.get(n).map(|fill| FillSeen {
            minute: fill.minute,
            key: super::key(fill),
            flat_after: fill.position_size == 0.0,
            balances: [fill.balance, fill.balance / fill.btc_price],
            balance_btc: fill.balance_btc,
        })
    }

    fn lowest(&self, day: usize, length: usize) -> [f64; 2] {
        [self.usd, self.btc].map(|equity| daily::lowest(&equity[day * length..(day + 1) * length]))
    }

    fn every_minute(&self) -> Option<([&[f64]; 2], &Exposure)> {
        Some(([self.usd, self.btc], self.exposure))
    }
}

impl SoFar for DayFigures {
    fn fill(&self, n: usize) -> Option<FillSeen> {
        let fill = self.fills.get(n)?;
        let (price, balance_btc) = self.btc.as_ref().map_or((1.0, 0.0), |btc| btc.fills[n]);
        Some(FillSeen {
            minute: fill.minute,
            key: fill.key,
            flat_after: fill.flat_after,
            balances: [fill.balance, fill.balance / price],
            balance_btc,
        })
    }

    fn lowest(&self, day: usize, _: usize) -> [f64; 2] {
        let usd = self.usd.lowest[day];
        [usd, self.btc.as_ref().map_or(usd, |btc| btc.daily.lowest[day])]
    }

    fn every_minute(&self) -> Option<([&[f64]; 2], &Exposure)> {
        None
    }
}

/// Watches one run from day to day.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    limits: StopLimits,
    /// Equity samples of the whole run.
    samples: usize,
    /// The run accounts in BTC; else its BTC set is the USD set.
    collateral: bool,
    interval: Interval,
    fills: usize,
    times: PositionTimes,
    flat: FlatBalance,
    sets: [Falls; 2],
    exposure_max: f64,
}

/// How far the equity of one set fell.
#[derive(Clone, Copy, Debug)]
struct Falls {
    lowest: Option<f64>,
    decline: Decline,
    worst: f64,
    against: Against,
}

impl Falls {
    fn take_day(&mut self, lowest: f64) {
        if let Some(before) = self.lowest.replace(lowest) {
            let drawdown = self.decline.after(daily::relative_change(before, lowest));
            self.worst = self.worst.max(drawdown.abs());
        }
    }
}

impl Watch {
    pub(crate) fn new(
        isa: Isa,
        limits: StopLimits,
        samples: usize,
        collateral: bool,
        interval: Interval,
    ) -> Self {
        let against = Against::new(isa);
        let falls = Falls { lowest: None, decline: Decline::NONE, worst: 0.0, against };
        Self {
            limits,
            samples,
            collateral,
            interval,
            fills: 0,
            times: PositionTimes::default(),
            flat: FlatBalance::default(),
            sets: [falls; 2],
            exposure_max: f64::NEG_INFINITY,
        }
    }

    /// True if a day ends before bar `end` and the run is to be stopped there.
    ///
    /// To be called at the end of each day in turn, at least. Fills of later bars, which a path may know already, are
    /// left for the next day.
    pub(crate) fn stops(&mut self, run: &impl SoFar, end: usize) -> bool {
        // At the last sample nothing is left to be saved.
        let length = self.interval.day();
        if !end.is_multiple_of(length) || end >= self.samples {
            return false;
        }
        while let Some(fill) = run.fill(self.fills).filter(|fill| fill.minute < self.interval.minutes() * end)
        {
            self.times.take(fill.minute, fill.key, fill.flat_after);
            self.flat.take(fill.minute, fill.balance_btc);
            self.fills += 1;
        }
        let day = end / length - 1;
        let lowest = run.lowest(day, length);
        for (falls, lowest) in self.sets.iter_mut().zip(lowest) {
            falls.take_day(lowest);
        }
        if let Some((equity, exposure)) = run.every_minute() {
            for (n, falls) in self.sets.iter_mut().enumerate() {
                falls.against.take(&equity[n][..end], |i| {
                    run.fill(i).map(|f| (self.interval.bars(f.minute), f.balances[n]))
                });
            }
            debug_assert_eq!(exposure.bars(), end - 1);
            self.exposure_max = exposure.max().unwrap_or(f64::NEG_INFINITY);
        }
        // §2: a shorter run has no metrics.
        let defined = self.fills >= 2 && day > 0;
        lowest[0] <= 0.0 || (defined && self.limits.broken_by(&self.values()))
    }

    /// The watched metrics of both sets, as if the run had ended.
    fn values(&self) -> [Values; 2] {
        let times = [self.times.held_hours_max(), self.times.unchanged_hours_max()];
        let flat = if self.collateral { self.flat.hours() } else { 0.0 };
        let [usd, btc] = self.sets.map(|falls| {
            let (below, above) = falls.against.largest();
            [falls.worst, below, above, flat, times[0], times[1], self.exposure_max]
        });
        if !self.collateral {
            return [usd; 2];
        }
        let mut btc = btc;
        btc[3] = 0.0; // The USD set alone has it (§9).
        [usd, btc]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watched_metrics_are_metrics_in_ascending_order() {
        assert!(WATCHED_METRICS.is_sorted());
        for metric in WATCHED_METRICS {
            assert!(super::super::METRIC_NAMES.contains(&metric), "{metric}");
        }
    }

    #[test]
    fn the_smallest_limit_of_a_metric_counts() {
        let mut limits = StopLimits::NONE;
        assert!(limits.is_daily());
        assert!(limits.add(false, "drawdown_worst", 0.3) && limits.add(false, "drawdown_worst", 0.4));
        assert_eq!(limits.largest[0][0], 0.3);
        assert!(!limits.add(false, "gain", 1.0));
        assert!(limits.is_daily());
        assert!(limits.add(true, "total_wallet_exposure_max", 1.0));
        assert!(!limits.is_daily());
    }
}
