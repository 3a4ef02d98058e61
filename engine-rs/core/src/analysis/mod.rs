//! Metrics of a finished run (analysis-metrics).

mod against;
mod daily;
mod derived;
mod exposure;
mod metrics;
mod positions;
pub(crate) mod spare;
mod watch;

pub(crate) use daily::Daily;
use daily::Equity;
pub use exposure::Exposure;
pub use metrics::{METRIC_NAMES, Metrics};
pub(crate) use watch::{EveryMinute, Watch};
pub use watch::{StopLimits, WATCHED_METRICS};

use crate::grid::Fill;
use crate::interval::Interval;
use crate::isa::Isa;

/// What the metrics need of a fill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FillFacts {
    pub(crate) minute: usize,
    /// Coin and side in one number: `2 × coin + side`.
    pub(crate) key: usize,
    pub(crate) pnl: f64,
    pub(crate) balance: f64,
    /// `|qty| × price`.
    pub(crate) turnover: f64,
    pub(crate) flat_after: bool,
}

/// A finished run, as the metrics see it.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// Fills in order.
    pub fills: &'a [Fill],
    /// Equity in USD, one value a bar from bar 0.
    pub usd: &'a [f64],
    /// Equity in BTC.
    pub btc: &'a [f64],
    /// Total wallet exposure of bars 1, 2, ….
    pub exposure: &'a Exposure,
    /// The run accounts in BTC.
    pub collateral: bool,
    /// Exposure limits of the long and the short side in the base configuration.
    pub exposure_limits: [f64; 2],
    /// Length of a bar.
    pub interval: Interval,
}

/// Metrics in both currencies. Values may be infinite or NaN: whoever reports them writes null (§8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analysis {
    /// The USD set.
    pub usd: Metrics,
    /// The BTC set (§7); equal to the USD set without BTC collateral.
    pub btc: Metrics,
    /// Last minute of a run that was stopped early: the metrics are of the run up to it. None: it ran to its end.
    pub stopped: Option<usize>,
}

/// Coin and side of a fill in one number: `2 × coin + side`.
fn key(fill: &Fill) -> usize {
    2 * fill.coin + usize::from(!fill.kind.is_long())
}

/// All metrics of a run.
///
/// `isa` tells what the loops over every bar may use.
pub fn analyse(history: &History<'_>, isa: Isa) -> Analysis {
    let facts = |divisor: fn(&Fill) -> f64| -> Vec<FillFacts> {
        history
            .fills
            .iter()
            .map(|fill| FillFacts {
                minute: fill.minute,
                key: key(fill),
                pnl: fill.pnl / divisor(fill),
                balance: fill.balance / divisor(fill),
                turnover: fill.qty.abs() * fill.price,
                flat_after: fill.position_size == 0.0,
            })
            .collect()
    };
    let exposure = history.exposure.statistics(history.fills);
    let finish = |fills: &[FillFacts], equity: &[f64]| {
        let mut metrics = if fills.len() < 2 || equity.len() <= history.interval.day() {
            Metrics::UNDEFINED
        } else {
            let mut metrics = whole(isa, fills, equity, history.interval);
            if let Some(statistics) = exposure {
                metrics.total_wallet_exposure_max = statistics.max;
                metrics.total_wallet_exposure_mean = statistics.mean;
                metrics.total_wallet_exposure_median = statistics.median;
            }
            metrics
        };
        derived::per_exposure(&mut metrics, history.exposure_limits);
        metrics
    };
    let mut usd = finish(&facts(|_| 1.0), history.usd);
    if history.collateral {
        usd.flat_btc_balance_hours =
            derived::flat_btc_balance_hours(history.fills.iter().map(|fill| (fill.minute, fill.balance_btc)));
        Analysis { usd, btc: finish(&facts(|fill| fill.btc_price), history.btc), stopped: None }
    } else {
        Analysis { usd, btc: usd, stopped: None }
    }
}

/// §4 and §6: everything that is made of fills and one equity series.
fn whole(isa: Isa, fills: &[FillFacts], equity: &[f64], interval: Interval) -> Metrics {
    let mut metrics = Metrics::ZERO;
    against::equity_against_balance(isa, fills, equity, interval, &mut metrics);
    let equity = &Equity::new(equity);
    let shape = daily::shape(fills, &Daily::of(equity, 0, interval.day()));
    positions::position_times(fills, equity.values.len(), interval, &mut metrics);
    take_shape(&shape, &mut metrics);
    weigh(&recency_shapes(shape, fills, equity, interval), &mut metrics);
    metrics
}

/// What is kept of a run of which only daily figures are.
pub(crate) struct DayFigures {
    /// Equity samples of the run.
    pub(crate) samples: usize,
    /// Last minute of a run that was stopped early.
    pub(crate) stopped: Option<usize>,
    pub(crate) fills: Vec<FillFacts>,
    pub(crate) usd: Daily,
    /// With BTC collateral.
    pub(crate) btc: Option<BtcFigures>,
}

impl DayFigures {
    /// Stop before bar `end`, with which a day begins, and forget everything from there on.
    pub(crate) fn stop(&mut self, end: usize, interval: Interval) {
        let (days, minutes) = (end / interval.day(), end * interval.minutes());
        self.samples = end;
        self.stopped = Some(minutes - 1);
        let fills = self.fills.partition_point(|fill| fill.minute < minutes);
        self.fills.truncate(fills);
        self.usd.cut(days);
        if let Some(btc) = &mut self.btc {
            btc.fills.truncate(fills);
            btc.daily.cut(days);
        }
    }
}

/// What the BTC set needs besides.
pub(crate) struct BtcFigures {
    pub(crate) daily: Daily,
    /// Price of a bitcoin and BTC balance at each fill.
    pub(crate) fills: Vec<(f64, f64)>,
}

/// Metrics of a run of which only daily figures are kept: everything but the recency-weighted ones, those of equity
/// against balance, and the exposure statistics, which are 0 here.
pub(crate) fn analyse_days(figures: &DayFigures, exposure_limits: [f64; 2], interval: Interval) -> Analysis {
    let set = |fills: &[FillFacts], daily: &Daily| {
        let mut metrics = if fills.len() < 2 || daily.last.len() < 2 {
            Metrics::UNDEFINED
        } else {
            let mut metrics = Metrics::ZERO;
            positions::position_times(fills, figures.samples, interval, &mut metrics);
            take_shape(&daily::shape(fills, daily), &mut metrics);
            metrics
        };
        derived::per_exposure(&mut metrics, exposure_limits);
        metrics
    };
    let mut usd = set(&figures.fills, &figures.usd);
    let stopped = figures.stopped;
    let Some(btc) = &figures.btc else { return Analysis { usd, btc: usd, stopped } };
    let minutes = figures.fills.iter().map(|fill| fill.minute);
    usd.flat_btc_balance_hours =
        derived::flat_btc_balance_hours(minutes.zip(btc.fills.iter().map(|(_, balance)| *balance)));
    let fills: Vec<_> = figures
        .fills
        .iter()
        .zip(&btc.fills)
        .map(|(fill, (price, _))| FillFacts { pnl: fill.pnl / price, balance: fill.balance / price, ..*fill })
        .collect();
    Analysis { usd, btc: set(&fills, &btc.daily), stopped }
}

/// True if a run of which only daily figures are kept gives this metric.
pub fn is_daily(metric: &str) -> bool {
    let per_minute = ["equity_balance_diff", "total_wallet_exposure"];
    !(per_minute.iter().any(|prefix| metric.starts_with(prefix))
        || metric.ends_with("_w")
        || metric.contains("_w_per_exposure"))
}

fn take_shape(shape: &daily::Shape, metrics: &mut Metrics) {
    metrics.adg = shape.adg;
    metrics.mdg = shape.mdg;
    metrics.gain = shape.gain;
    metrics.sharpe_ratio = shape.sharpe_ratio;
    metrics.sortino_ratio = shape.sortino_ratio;
    metrics.omega_ratio = shape.omega_ratio;
    metrics.expected_shortfall_1pct = shape.expected_shortfall_1pct;
    metrics.calmar_ratio = shape.calmar_ratio;
    metrics.sterling_ratio = shape.sterling_ratio;
    metrics.drawdown_worst = shape.drawdown_worst;
    metrics.drawdown_worst_mean_1pct = shape.drawdown_worst_mean_1pct;
    metrics.loss_profit_ratio = shape.loss_profit_ratio;
    metrics.equity_choppiness = shape.equity_choppiness;
    metrics.equity_jerkiness = shape.equity_jerkiness;
    metrics.exponential_fit_error = shape.exponential_fit_error;
    metrics.volume_pct_per_day_avg = shape.volume_pct_per_day_avg;
}

/// Subsets of the recency-weighted metrics, the whole run included.
const RECENCY_SUBSETS: usize = 10;

/// §6: the whole run, its last half, third, … tenth, as far as each still has equity and fills.
fn recency_shapes(
    whole: daily::Shape,
    fills: &[FillFacts],
    equity: &Equity<'_>,
    interval: Interval,
) -> Vec<daily::Shape> {
    let n = equity.values.len() as f64;
    let mut shapes = vec![whole];
    for i in 1..RECENCY_SUBSETS {
        let fraction = 1.0 / (1.0 + i as f64);
        let start = crate::num::nint(n - fraction * n) as usize;
        let fills = &fills[fills.partition_point(|fill| fill.minute < start * interval.minutes())..];
        if start >= equity.values.len() || fills.is_empty() {
            break;
        }
        shapes.push(daily::shape(fills, &Daily::of(equity, start, interval.day())));
    }
    shapes
}

/// §6: sums over the subsets, always divided by ten.
fn weigh(shapes: &[daily::Shape], metrics: &mut Metrics) {
    let mean = |get: fn(&daily::Shape) -> f64| {
        shapes.iter().fold(0.0, |sum, shape| sum + get(shape)) / RECENCY_SUBSETS as f64
    };
    metrics.adg_w = mean(|s| s.adg);
    metrics.mdg_w = mean(|s| s.mdg);
    metrics.sharpe_ratio_w = mean(|s| s.sharpe_ratio);
    metrics.sortino_ratio_w = mean(|s| s.sortino_ratio);
    metrics.omega_ratio_w = mean(|s| s.omega_ratio);
    metrics.calmar_ratio_w = mean(|s| s.calmar_ratio);
    metrics.sterling_ratio_w = mean(|s| s.sterling_ratio);
    metrics.loss_profit_ratio_w = mean(|s| s.loss_profit_ratio);
    metrics.equity_choppiness_w = mean(|s| s.equity_choppiness);
    metrics.equity_jerkiness_w = mean(|s| s.equity_jerkiness);
    metrics.exponential_fit_error_w = mean(|s| s.exponential_fit_error);
    metrics.volume_pct_per_day_avg_w = mean(|s| s.volume_pct_per_day_avg);
}

/// Ascending, NaN last.
fn nan_last(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b))
}

/// The `count` lowest values, ascending; at least one and no more than there are. Reorders its argument.
fn lowest_first(values: &mut [f64], count: usize) -> &[f64] {
    values.select_nth_unstable_by(count - 1, nan_last);
    let lowest = &mut values[..count];
    lowest.sort_unstable_by(nan_last);
    lowest
}

/// Middle value, or the mean of the two middle ones. Reorders its argument, which must not be empty.
fn median(values: &mut [f64]) -> f64 {
    let length = values.len();
    let (below, &mut middle, _) = values.select_nth_unstable_by(length / 2, nan_last);
    match below.iter().max_by(|a, b| nan_last(a, b)) {
        Some(other) if length.is_multiple_of(2) => (other + middle) / 2.0,
        _ => middle,
    }
}
