//! Indicators (§6) and trailing extremes (§10).

use super::TrailingGrid;
use super::state::CoinState;
use crate::interval::{Interval, MINUTE_MS};
use crate::math;
use crate::params::SideParams;
use crate::types::{Bands, Trailing};

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// Weighted-average form of an exponential moving average (§6.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Ema {
    alpha: f64,
    numerator: f64,
    denominator: f64,
    pub(super) value: f64,
}

impl Ema {
    fn new(span: f64, initial: f64) -> Self {
        Self { alpha: 2.0 / (span + 1.0), numerator: initial, denominator: 1.0, value: initial }
    }

    fn update(&mut self, x: f64) {
        let alpha = self.alpha;
        if !x.is_finite() || alpha <= 0.0 || !alpha.is_finite() {
            self.value = if self.denominator > 0.0 { self.numerator / self.denominator } else { x };
            return;
        }
        let weight = 1.0 - alpha;
        let numerator = alpha * x + weight * self.numerator;
        let denominator = alpha + weight * self.denominator;
        if !denominator.is_finite() || denominator <= f64::MIN_POSITIVE {
            self.numerator = alpha * x;
            self.denominator = alpha;
            self.value = x;
        } else {
            self.numerator = numerator;
            self.denominator = denominator;
            self.value = numerator / denominator;
        }
    }
}

/// The averages of one coin and side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indicators {
    price: [Ema; 3],
    pub(super) volume: Ema,
    pub(super) log_range: Ema,
    pub(super) hourly_log_range: Ema,
    hourly: bool,
}

impl Indicators {
    /// §6.1 and §6.3.
    pub(super) fn new(params: &SideParams, close: f64, volume: f64, interval: Interval) -> Self {
        let hourly_span = params.entry_grid_spacing_log_span_hours;
        Self {
            price: params.price_spans(interval).map(|span| Ema::new(span, close)),
            volume: Ema::new(interval.span(params.filter_volume_ema_span), volume),
            log_range: Ema::new(interval.span(params.filter_log_range_ema_span), 0.0),
            hourly_log_range: Ema::new(hourly_span, 0.0),
            hourly: hourly_span > 0.0,
        }
    }

    /// §6.6.
    pub(super) fn bands(&self) -> Bands {
        let [a, b, c] = self.price.map(|ema| ema.value);
        Bands { upper: a.max(b).max(c), lower: a.min(b).min(c) }
    }

    /// §6.4: one bar.
    pub(super) fn absorb(&mut self, close: f64, volume: f64, log_range: f64) {
        for ema in &mut self.price {
            ema.update(close);
        }
        self.volume.update(volume);
        self.log_range.update(log_range);
    }

    /// §6.5: the hour before.
    pub(super) fn absorb_hour(&mut self, log_range: f64) {
        if self.hourly {
            self.hourly_log_range.update(log_range);
        }
    }
}

pub(crate) fn finite_or_zero(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}

impl TrailingGrid<'_> {
    /// §6.4.
    pub(super) fn update_indicators(&mut self, k: usize) {
        self.update_hourly(k);
        for coin in &mut self.coins {
            if !coin.valid(k) {
                continue;
            }
            let (high, low, close) = (coin.candles.high[k], coin.candles.low[k], coin.candles.close[k]);
            if !close.is_finite() || !high.is_finite() || !low.is_finite() {
                continue;
            }
            let volume = finite_or_zero(coin.candles.volume[k]).max(0.0);
            let log_range = if high > 0.0 && low > 0.0 { math::ln(high / low) } else { 0.0 };
            for side in &mut coin.sides {
                side.indicators.absorb(close, volume, log_range);
            }
        }
    }

    /// §6.5: at the first bar of an hour the hourly averages absorb the hour before. All of it goes by the clock:
    /// nothing here depends on the length of a bar but which bars the hour is made of.
    fn update_hourly(&mut self, k: usize) {
        let panel = self.account.market.panel;
        let (first_ms, now) = (panel.first_ms(), panel.time_ms(k));
        let hour = now.div_euclid(HOUR_MS) * HOUR_MS;
        if hour <= self.hour_ms {
            return;
        }
        let window = first_ms.max(self.hour_ms);
        self.hour_ms = hour;
        if now > window + MINUTE_MS {
            let from = ((window - first_ms) / panel.interval().ms()) as usize;
            for coin in &mut self.coins {
                if let Some(bucket) = extremes(coin, from, k - 1) {
                    coin.hour_bucket = bucket;
                }
            }
        }
        for coin in &mut self.coins {
            let (high, low) = coin.hour_bucket;
            if high > 0.0 && low > 0.0 && high.is_finite() && low.is_finite() {
                let range = math::ln(high / low);
                for side in &mut coin.sides {
                    side.indicators.absorb_hour(range);
                }
            }
        }
    }

    /// §10.
    pub(super) fn update_trailing(&mut self, k: usize) {
        for s in 0..2 {
            if !self.sides[s].enabled || !self.sides[s].any_trailing {
                continue;
            }
            for &i in &self.account.held[s] {
                let coin = &mut self.coins[i];
                if !coin.valid(k) || !coin.sides[s].uses_trailing {
                    continue;
                }
                let side = &mut coin.sides[s];
                if side.last_fill == k {
                    side.trailing = Trailing::RESET;
                } else {
                    let c = &coin.candles;
                    side.trailing.update(c.high[k], c.low[k], c.close[k]);
                }
            }
        }
    }
}

/// Highest high and lowest low over bars `from ..= to` of the coin's life; None if no bar is usable.
fn extremes(coin: &CoinState<'_>, from: usize, to: usize) -> Option<(f64, f64)> {
    let c = &coin.candles;
    let mut found = None;
    for k in from.max(coin.first)..=to.min(coin.last) {
        if c.high[k].is_finite() && c.low[k].is_finite() && c.close[k].is_finite() {
            let (high, low) = found.unwrap_or((c.high[k], c.low[k]));
            found = Some((f64::max(high, c.high[k]), f64::min(low, c.low[k])));
        }
    }
    found
}
