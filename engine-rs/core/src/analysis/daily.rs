//! Metrics of the daily equity and of the fills' profits and volumes (analysis-metrics §2, §3, §4.1 – §4.3, §4.5,
//! §4.7, §4.8): those that a recency subset has too.

use super::{FillFacts, lowest_first, median};
use crate::math;

/// Minutes of a day, as fills count them.
const DAY: usize = 1440;

/// Metrics of one stretch of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) adg: f64,
    pub(super) mdg: f64,
    pub(super) gain: f64,
    pub(super) sharpe_ratio: f64,
    pub(super) sortino_ratio: f64,
    pub(super) omega_ratio: f64,
    pub(super) expected_shortfall_1pct: f64,
    pub(super) calmar_ratio: f64,
    pub(super) sterling_ratio: f64,
    pub(super) drawdown_worst: f64,
    pub(super) drawdown_worst_mean_1pct: f64,
    pub(super) loss_profit_ratio: f64,
    pub(super) equity_choppiness: f64,
    pub(super) equity_jerkiness: f64,
    pub(super) exponential_fit_error: f64,
    pub(super) volume_pct_per_day_avg: f64,
}

impl Shape {
    /// §2: a stretch that says nothing.
    const UNDEFINED: Self = Self {
        adg: 0.0,
        mdg: 0.0,
        gain: 0.0,
        sharpe_ratio: 0.0,
        sortino_ratio: 0.0,
        omega_ratio: 0.0,
        expected_shortfall_1pct: 0.0,
        calmar_ratio: 0.0,
        sterling_ratio: 0.0,
        drawdown_worst: 1.0,
        drawdown_worst_mean_1pct: 1.0,
        loss_profit_ratio: 1.0,
        equity_choppiness: 1.0,
        equity_jerkiness: 1.0,
        exponential_fit_error: 1.0,
        volume_pct_per_day_avg: 0.0,
    };
}

/// Daily figures of an equity series (§3).
#[derive(Clone, Debug)]
pub(crate) struct Daily {
    /// Last equity of each day.
    pub(crate) last: Vec<f64>,
    /// Lowest equity of each day.
    pub(crate) lowest: Vec<f64>,
}

impl Daily {
    /// Days of `day` samples count from sample `from` on; the last day may be incomplete.
    pub(super) fn of(equity: &Equity<'_>, from: usize, day: usize) -> Self {
        let days = || (from..equity.values.len()).step_by(day);
        let end = |start: usize| (start + day).min(equity.values.len());
        Self {
            last: days().map(|start| equity.values[end(start) - 1]).collect(),
            lowest: days().map(|start| equity.lowest(start, end(start))).collect(),
        }
    }

    /// Forget all but the first days.
    pub(super) fn cut(&mut self, days: usize) {
        self.last.truncate(days);
        self.lowest.truncate(days);
    }
}

/// Lowest of some values; NaN is passed over. Lowest is lowest in any order, so lanes may share the work.
pub(super) fn lowest(values: &[f64]) -> f64 {
    const LANES: usize = 8;
    let (whole, rest) = values.as_chunks::<LANES>();
    let lanes = whole.iter().fold([f64::INFINITY; LANES], |lanes, chunk| {
        std::array::from_fn(|i| crate::types::lower(lanes[i], chunk[i]))
    });
    lanes.iter().chain(rest).copied().fold(f64::INFINITY, f64::min)
}

/// An equity series and the lowest value of each piece of it: days are looked at ten times, from other samples on.
pub(super) struct Equity<'a> {
    pub(super) values: &'a [f64],
    pieces: Vec<f64>,
}

impl<'a> Equity<'a> {
    const PIECE: usize = 64;

    pub(super) fn new(values: &'a [f64]) -> Self {
        Self { values, pieces: values.chunks(Self::PIECE).map(lowest).collect() }
    }

    /// Lowest of samples `from .. to`.
    fn lowest(&self, from: usize, to: usize) -> f64 {
        let (first, last) = (from.div_ceil(Self::PIECE), to / Self::PIECE);
        if first >= last {
            return lowest(&self.values[from..to]);
        }
        let edges = [&self.values[from..first * Self::PIECE], &self.values[last * Self::PIECE..to]];
        edges.into_iter().map(lowest).fold(lowest(&self.pieces[first..last]), f64::min)
    }
}

/// Metrics of a stretch; its fills keep their minutes.
pub(super) fn shape(fills: &[FillFacts], daily: &Daily) -> Shape {
    let Daily { last, lowest } = daily;
    if fills.len() < 2 || last.len() < 2 {
        return Shape::UNDEFINED;
    }
    let mut changes = relative_changes(last);
    let low_changes = relative_changes(lowest);

    let (gain, adg) = gains(last);
    let omega_ratio = omega(&changes);
    let drawdowns = drawdowns(&low_changes);
    let drawdown_worst = drawdowns.iter().fold(0.0, |worst: f64, d| worst.max(d.abs()));
    let drawdown_worst_mean_1pct = mean_of_worst(drawdowns);
    let over = |x: f64, y: f64| if y == 0.0 { 0.0 } else { x / y };
    Shape {
        adg,
        mdg: median(&mut changes),
        gain,
        sharpe_ratio: over(adg, deviation_around(&low_changes, adg)),
        sortino_ratio: over(adg, downside_deviation(&low_changes)),
        omega_ratio,
        expected_shortfall_1pct: expected_shortfall(low_changes),
        calmar_ratio: over(adg, drawdown_worst),
        sterling_ratio: over(adg, drawdown_worst_mean_1pct),
        drawdown_worst,
        drawdown_worst_mean_1pct,
        loss_profit_ratio: loss_profit_ratio(fills),
        equity_choppiness: choppiness(last),
        equity_jerkiness: jerkiness(last),
        exponential_fit_error: exponential_fit_error(last),
        volume_pct_per_day_avg: volume_per_day(fills),
    }
}

fn relative_changes(series: &[f64]) -> Vec<f64> {
    series.windows(2).map(|w| relative_change(w[0], w[1])).collect()
}

/// §3.
pub(super) fn relative_change(before: f64, after: f64) -> f64 {
    (after - before) / before
}

fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |sum, x| sum + x)
}

/// §4.1: gain and average daily gain of the smoothed daily equity.
fn gains(daily: &[f64]) -> (f64, f64) {
    if daily[0] <= 0.0 {
        return (f64::INFINITY, f64::INFINITY);
    }
    let smoothed = daily[1..].iter().fold(daily[0], |s, d| 0.5 * d + (1.0 - 0.5) * s);
    if smoothed <= 0.0 {
        return (-1.0, -1.0);
    }
    let gain = smoothed / daily[0];
    (gain, math::pow(gain, 1.0 / daily.len() as f64) - 1.0)
}

/// §4.2.
fn deviation_around(changes: &[f64], centre: f64) -> f64 {
    (sum(changes.iter().map(|q| (q - centre) * (q - centre))) / changes.len() as f64).sqrt()
}

/// §4.2; 0 without a negative change.
fn downside_deviation(changes: &[f64]) -> f64 {
    let negative = || changes.iter().filter(|q| **q < 0.0);
    match negative().count() {
        0 => 0.0,
        count => (sum(negative().map(|q| q * q)) / count as f64).sqrt(),
    }
}

/// §4.2; a NaN change counts as a loss.
fn omega(changes: &[f64]) -> f64 {
    let gains = sum(changes.iter().copied().filter(|r| *r >= 0.0));
    let losses = sum(changes.iter().filter(|r| **r < 0.0 || r.is_nan()).map(|r| r.abs()));
    if losses == 0.0 { f64::INFINITY } else { gains / losses }
}

/// §4.2.
fn expected_shortfall(mut changes: Vec<f64>) -> f64 {
    let count = (changes.len() as f64 * 0.01).floor() as usize;
    let worst = lowest_first(&mut changes, count.max(1));
    if count == 0 { worst[0].abs() } else { sum(worst.iter().map(|q| q.abs())) / count as f64 }
}

/// §4.3: drawdown after each day, ≤ 0.
fn drawdowns(low_changes: &[f64]) -> Vec<f64> {
    let mut decline = Decline::NONE;
    std::iter::once(0.0).chain(low_changes.iter().map(|change| decline.after(*change))).collect()
}

/// §4.3: where the daily minima stand, and their peak, both relative to the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decline {
    level: f64,
    peak: f64,
}

impl Decline {
    /// On the first day.
    pub(super) const NONE: Self = Self { level: 1.0, peak: 1.0 };

    /// Drawdown, ≤ 0, after a day with this relative change.
    pub(super) fn after(&mut self, change: f64) -> f64 {
        self.level *= 1.0 + change;
        self.peak = self.peak.max(self.level);
        (self.level - self.peak) / self.peak
    }
}

/// §4.3.
fn mean_of_worst(mut drawdowns: Vec<f64>) -> f64 {
    let days = drawdowns.len();
    let count = ((days as f64 * 0.01).floor() as usize).max(1).min(days);
    sum(lowest_first(&mut drawdowns, count).iter().map(|d| d.abs())) / count as f64
}

/// §4.5.
fn loss_profit_ratio(fills: &[FillFacts]) -> f64 {
    // In one go: each sum waits for itself only.
    let (profit, loss) = fills.iter().fold((0.0, 0.0), |(profit, loss), fill| {
        if fill.pnl > 0.0 { (profit + fill.pnl, loss) } else { (profit, loss + fill.pnl.abs()) }
    });
    if profit == 0.0 { f64::INFINITY } else { loss / profit }
}

/// §4.7.
fn choppiness(daily: &[f64]) -> f64 {
    let net = (daily[daily.len() - 1] - daily[0]).abs();
    if net < f64::EPSILON {
        return f64::INFINITY;
    }
    sum(daily.windows(2).map(|w| (w[1] - w[0]).abs())) / net
}

/// §4.7.
fn jerkiness(daily: &[f64]) -> f64 {
    if daily.len() < 3 {
        return 0.0;
    }
    let terms = daily.windows(3).map(|w| {
        let mean = ((w[0] + w[1] + w[2]) / 3.0).abs();
        if mean < f64::EPSILON { 0.0 } else { (w[2] - 2.0 * w[1] + w[0]).abs() / mean }
    });
    sum(terms) / (daily.len() - 2) as f64
}

/// §4.7: mean squared residual of a straight line through the logarithms.
fn exponential_fit_error(daily: &[f64]) -> f64 {
    if daily.len() < 2 || daily.iter().any(|d| *d <= 0.0) {
        return f64::INFINITY;
    }
    let m = daily.len() as f64;
    let y: Vec<f64> = daily.iter().map(|d| math::ln(*d)).collect();
    let x = || (0..daily.len()).map(|j| j as f64);
    let sx = sum(x());
    let sy = sum(y.iter().copied());
    let sxx = sum(x().map(|j| j * j));
    let sxy = sum(x().zip(&y).map(|(j, y)| j * y));
    let den = m * sxx - sx * sx;
    if den == 0.0 {
        return f64::INFINITY;
    }
    let slope = (m * sxy - sx * sy) / den;
    let intercept = (sy - slope * sx) / m;
    let squares = x().zip(&y).map(|(j, y)| {
        let residual = slope * j + intercept - y;
        residual * residual
    });
    sum(squares) / m
}

/// §4.8: mean over the days that have a fill.
fn volume_per_day(fills: &[FillFacts]) -> f64 {
    let (mut total, mut days, mut today) = (0.0, 0.0, 0.0);
    let mut day = None;
    for fill in fills {
        if day != Some(fill.minute / DAY) {
            day = Some(fill.minute / DAY);
            total += today;
            today = 0.0;
            days += 1.0;
        }
        today += fill.turnover / fill.balance;
    }
    (total + today) / days
}
