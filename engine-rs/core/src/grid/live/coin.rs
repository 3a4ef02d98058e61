//! Candles and indicators of one coin, minute by minute (§6, §10).

use super::super::indicators::{HOUR_MS, Indicators, finite_or_zero};
use crate::interval::{Interval, MINUTE_MS};
use crate::math;
use crate::params::BotParams;
use crate::types::{MarketRules, Trailing};

/// Trailing extremes from one fill on.
#[derive(Clone, Copy, Debug)]
struct Since {
    changed_ms: i64,
    next_ms: i64,
    trailing: Trailing,
}

impl Since {
    const NEVER: Self = Self { changed_ms: i64::MIN, next_ms: i64::MIN, trailing: Trailing::RESET };
}

/// Candles and indicators of one coin.
pub(super) struct LiveCoin {
    pub(super) rules: MarketRules,
    pub(super) bot: BotParams,
    /// None before the first candle.
    pub(super) indicators: Option<[Indicators; 2]>,
    hour_ms: i64,
    /// Extremes of the hour that is not over.
    hour: Option<(f64, f64)>,
    bucket: (f64, f64),
    /// High, low and close of the kept minutes.
    history: Vec<[f64; 3]>,
    history_ms: i64,
    since: [Since; 2],
}

impl LiveCoin {
    pub(super) fn new(rules: MarketRules, bot: BotParams) -> Self {
        Self {
            rules,
            bot,
            indicators: None,
            hour_ms: i64::MIN,
            hour: None,
            bucket: (0.0, 0.0),
            history: Vec::new(),
            history_ms: 0,
            since: [Since::NEVER; 2],
        }
    }

    pub(super) fn next_ms(&self) -> Option<i64> {
        self.indicators.map(|_| self.history_ms + self.history.len() as i64 * MINUTE_MS)
    }

    /// §6.3 – §6.5 for one minute of this coin; `first_ms` is the start of all coins' candles.
    pub(super) fn absorb(&mut self, first_ms: i64, now: i64, [high, low, close, volume]: [f64; 4]) {
        let usable = close.is_finite() && high.is_finite() && low.is_finite();
        let volume = finite_or_zero(volume).max(0.0);
        let mut indicators = match self.indicators {
            Some(indicators) => indicators,
            None if !close.is_finite() => return,
            None => {
                self.hour_ms = now.div_euclid(HOUR_MS) * HOUR_MS;
                self.history_ms = now;
                [&self.bot.long, &self.bot.short]
                    .map(|side| Indicators::new(side, close, volume, Interval::MINUTE))
            }
        };
        if now > first_ms {
            self.absorb_hour(first_ms, now, &mut indicators);
            if usable {
                let range = if high > 0.0 && low > 0.0 { math::ln(high / low) } else { 0.0 };
                for side in &mut indicators {
                    side.absorb(close, volume, range);
                }
            }
        }
        if usable {
            let (top, bottom) = self.hour.unwrap_or((high, low));
            self.hour = Some((f64::max(top, high), f64::min(bottom, low)));
        }
        self.indicators = Some(indicators);
        self.history.push([high, low, close]);
    }

    fn absorb_hour(&mut self, first_ms: i64, now: i64, indicators: &mut [Indicators; 2]) {
        let hour = now.div_euclid(HOUR_MS) * HOUR_MS;
        if hour <= self.hour_ms {
            return;
        }
        let window = first_ms.max(self.hour_ms);
        self.hour_ms = hour;
        if let Some(bucket) = self.hour.take().filter(|_| now > window + MINUTE_MS) {
            self.bucket = bucket;
        }
        let (high, low) = self.bucket;
        if high > 0.0 && low > 0.0 && high.is_finite() && low.is_finite() {
            let range = math::ln(high / low);
            for side in indicators {
                side.absorb_hour(range);
            }
        }
    }

    /// §10: extremes of the minutes after that of the last fill.
    pub(super) fn trailing(&mut self, s: usize, changed_ms: i64) -> Trailing {
        let fill = changed_ms.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
        if self.since[s].changed_ms != fill {
            self.since[s] =
                Since { changed_ms: fill, next_ms: fill.saturating_add(MINUTE_MS), ..Since::NEVER };
        }
        let since = &mut self.since[s];
        let from = (since.next_ms.saturating_sub(self.history_ms) / MINUTE_MS).max(0) as usize;
        for &[high, low, close] in self.history.iter().skip(from) {
            since.trailing.update(high, low, close);
        }
        since.next_ms = since.next_ms.max(self.history_ms + self.history.len() as i64 * MINUTE_MS);
        since.trailing
    }

    /// Forget all but the last `kept` minutes; in pieces, so that the list does not move with every minute.
    pub(super) fn forget(&mut self, kept: usize) {
        if self.history.len() / 2 >= kept {
            let dropped = self.history.len() - kept;
            self.history.drain(..dropped);
            self.history_ms += dropped as i64 * MINUTE_MS;
        }
    }
}
