//! Averages of one coin and side in lanes (§6): three price averages and the volume average side by side.
//!
//! The denominator of the weighted form is exactly 1 for every span that the fast path accepts, so that a value is
//! its numerator. The state is kept at the start of the current block; values inside the block are made on demand,
//! all of them at once, since the walk through the block is owed anyway.

use crate::candles::CoinCandles;
use crate::params::SideParams;
use crate::types::Bands;

/// Longest block.
pub(super) const BLOCK: usize = 60;
const LANES: usize = 4;

/// Values of a block: after each of its minutes.
struct Walk {
    lanes: [[f64; LANES]; BLOCK],
    log_range: [f64; BLOCK],
}

/// The averages of one coin and side.
pub(super) struct Averages {
    alpha: [f64; LANES],
    weight: [f64; LANES],
    /// Price averages by ascending span, then volume, at the start of the block.
    start: [f64; LANES],
    log_range: (f64, f64),
    log_range_start: f64,
    hourly: Option<(f64, f64)>,
    pub(super) hourly_value: f64,
    walk: Box<Walk>,
    /// Minutes of the current block that the walk holds; 0: none.
    walked: usize,
}

/// Smoothing factor and its complement.
fn factors(span: f64) -> (f64, f64) {
    let alpha = 2.0 / (span + 1.0);
    (alpha, 1.0 - alpha)
}

/// True if the averages of these parameters may be computed in lanes: every span at least 1 (an average then stays
/// within what it has seen), every denominator exactly 1.
pub(super) fn fits(p: &SideParams) -> bool {
    let hourly = p.entry_grid_spacing_log_span_hours;
    [p.ema_span_0, p.ema_span_1, (p.ema_span_0 * p.ema_span_1).sqrt()]
        .into_iter()
        .chain([p.filter_volume_ema_span, p.filter_log_range_ema_span])
        .chain((hourly > 0.0).then_some(hourly + 1.0))
        .all(|span| {
            let (alpha, weight) = factors(span);
            span >= 1.0 && alpha > 0.0 && alpha + weight == 1.0
        })
        && (hourly <= 0.0 || factors(hourly).0 + factors(hourly).1 == 1.0)
}

impl Averages {
    pub(super) fn new(p: &SideParams, close: f64, volume: f64) -> Self {
        let mut spans = [p.ema_span_0, p.ema_span_1, (p.ema_span_0 * p.ema_span_1).sqrt()];
        spans.sort_by(f64::total_cmp);
        let f = [spans[0], spans[1], spans[2], p.filter_volume_ema_span].map(factors);
        let hourly = p.entry_grid_spacing_log_span_hours;
        Self {
            alpha: f.map(|(alpha, _)| alpha),
            weight: f.map(|(_, weight)| weight),
            start: [close, close, close, volume],
            log_range: factors(p.filter_log_range_ema_span),
            log_range_start: 0.0,
            hourly: (hourly > 0.0).then(|| factors(hourly)),
            hourly_value: 0.0,
            walk: Box::new(Walk { lanes: [[0.0; LANES]; BLOCK], log_range: [0.0; BLOCK] }),
            walked: 0,
        }
    }

    /// §6.5: absorb the log range of an hour.
    pub(super) fn absorb_hour(&mut self, range: f64) {
        if let Some((alpha, weight)) = self.hourly
            && range.is_finite()
        {
            self.hourly_value = alpha * range + weight * self.hourly_value;
        }
    }

    /// Have the values of every minute of the block `start .. end`.
    pub(super) fn walk(&mut self, c: &CoinCandles<'_>, log_ranges: &[f64], start: usize, end: usize) {
        if self.walked > 0 {
            return;
        }
        let minutes = end - start;
        let (close, volume) = (&c.close[start..end], &c.volume[start..end]);
        let (alpha, weight, mut lanes) = (self.alpha, self.weight, self.start);
        for ((out, &close), &volume) in self.walk.lanes[..minutes].iter_mut().zip(close).zip(volume) {
            step(&mut lanes, &alpha, &weight, close, volume);
            *out = lanes;
        }
        if !log_ranges.is_empty() {
            let (alpha, weight) = self.log_range;
            let mut value = self.log_range_start;
            for (out, &range) in self.walk.log_range[..minutes].iter_mut().zip(&log_ranges[start..end]) {
                value = alpha * range + weight * value;
                *out = value;
            }
        }
        self.walked = minutes;
    }

    /// Go on to the next block.
    pub(super) fn finish(&mut self, c: &CoinCandles<'_>, log_ranges: &[f64], start: usize, end: usize) {
        if self.walked > 0 {
            self.start = self.walk.lanes[self.walked - 1];
            self.log_range_start = self.walk.log_range[self.walked - 1];
            self.walked = 0;
            return;
        }
        let (alpha, weight, mut lanes) = (self.alpha, self.weight, self.start);
        if log_ranges.is_empty() {
            for &close in &c.close[start..end] {
                step(&mut lanes, &alpha, &weight, close, 0.0);
            }
        } else {
            let (range_alpha, range_weight) = self.log_range;
            let mut value = self.log_range_start;
            let minutes = c.close[start..end].iter().zip(&c.volume[start..end]).zip(&log_ranges[start..end]);
            for ((&close, &volume), &range) in minutes {
                step(&mut lanes, &alpha, &weight, close, volume);
                value = range_alpha * range + range_weight * value;
            }
            self.log_range_start = value;
        }
        self.start = lanes;
    }

    /// Bands after minute `n` of the walked block (§6.6).
    pub(super) fn bands(&self, n: usize) -> Bands {
        let [a, b, c, _] = self.walk.lanes[n];
        Bands { upper: a.max(b).max(c), lower: a.min(b).min(c) }
    }

    /// Volume and log-range averages after minute `n` of the walked block.
    pub(super) fn ranking(&self, n: usize) -> (f64, f64) {
        (self.walk.lanes[n][3], self.walk.log_range[n])
    }

    /// The same of a coin that does not live in the block: its last values.
    pub(super) fn resting_ranking(&self) -> (f64, f64) {
        (self.start[3], self.log_range_start)
    }

    /// Bounds that the bands keep within a block of these lowest and highest closes: largest possible lower band,
    /// smallest possible upper band, smallest possible lower band, largest possible upper band.
    pub(super) fn bounds(&self, (low, high): (f64, f64)) -> BandBounds {
        let [a, b, c, _] = self.start;
        let least = a.min(b).min(c);
        let most = a.max(b).max(c);
        BandBounds { lower: (least.min(low), least.max(high)), upper: (most.min(low), most.max(high)) }
    }
}

/// Smallest and largest value that each band can take in a block.
pub(super) struct BandBounds {
    pub(super) lower: (f64, f64),
    pub(super) upper: (f64, f64),
}

#[inline(always)]
fn step(lanes: &mut [f64; LANES], alpha: &[f64; LANES], weight: &[f64; LANES], close: f64, volume: f64) {
    let x = [close, close, close, volume];
    *lanes = std::array::from_fn(|lane| alpha[lane] * x[lane] + weight[lane] * lanes[lane]);
}
