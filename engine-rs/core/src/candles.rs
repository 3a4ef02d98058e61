//! The candle panel: columns read where they lie (trading-semantics §2.1, §2.2). Its bars may be longer than a minute.

use crate::error::{EngineError, Result};
use crate::interval::Interval;

/// Candles of one coin, one value a bar; NaN outside the coin's life.
#[derive(Clone, Copy, Debug)]
pub struct CoinCandles<'a> {
    /// Highest price of the bar.
    pub high: &'a [f64],
    /// Lowest price of the bar.
    pub low: &'a [f64],
    /// Last price of the bar.
    pub close: &'a [f64],
    /// Quote volume of the bar.
    pub volume: &'a [f64],
}

/// Candles of all coins of a run on one axis of consecutive bars.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    first_ms: i64,
    interval: Interval,
    bars: usize,
    coins: Vec<CoinCandles<'a>>,
    life: Vec<(usize, usize)>,
    btc_usd: Option<&'a [f64]>,
}

impl<'a> Panel<'a> {
    /// A panel of equally long columns, one value a minute; [`Panel::with_interval`] makes them longer bars.
    ///
    /// `btc_usd` switches BTC collateral on exactly if some element differs from 1 (§2.1).
    ///
    /// # Errors
    /// Empty panel, columns of unequal length, BTC prices that are not finite and positive.
    pub fn new(first_ms: i64, coins: Vec<CoinCandles<'a>>, btc_usd: Option<&'a [f64]>) -> Result<Self> {
        let bars = coins.first().map_or(0, |coin| coin.close.len());
        if bars == 0 {
            return Err(EngineError::Candles(
                "the candles have no minute or no coin; at least one of each is needed".into(),
            ));
        }
        for (i, coin) in coins.iter().enumerate() {
            if [coin.high, coin.low, coin.close, coin.volume].iter().any(|column| column.len() != bars) {
                return Err(EngineError::Candles(format!(
                    "the columns of coin number {i} are not all {bars} long"
                )));
            }
        }
        if let Some(prices) = btc_usd {
            if prices.len() != bars {
                return Err(EngineError::Candles(format!(
                    "btc_usd has {} prices; allowed is one a candle, {bars}",
                    prices.len()
                )));
            }
            if let Some(k) = prices.iter().position(|&p| !p.is_finite() || p <= 0.0) {
                return Err(EngineError::Candles(format!(
                    "btc_usd at row {k} is {}; allowed is a finite price > 0",
                    prices[k]
                )));
            }
        }
        let btc_usd = btc_usd.filter(|prices| prices.iter().any(|&p| p != 1.0));
        let life = coins.iter().map(|coin| life(coin.close)).collect();
        Ok(Self { first_ms, interval: Interval::MINUTE, bars, coins, life, btc_usd })
    }

    /// The same columns, one value a bar of another interval.
    pub fn with_interval(self, interval: Interval) -> Self {
        Self { interval, ..self }
    }

    /// Start of bar 0 in UTC milliseconds.
    pub fn first_ms(&self) -> i64 {
        self.first_ms
    }

    /// Length of a bar.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// Number of bars.
    pub fn bars(&self) -> usize {
        self.bars
    }

    /// Minutes from the start of the panel to that of bar `k`.
    pub fn minute(&self, k: usize) -> usize {
        k * self.interval.minutes()
    }

    /// Candles by coin index.
    pub fn coins(&self) -> &[CoinCandles<'a>] {
        &self.coins
    }

    /// First and last bar (inclusive) of the coin's life: those of its first and last finite close. A coin
    /// without any has the last bar of the panel as both.
    pub fn life(&self, coin: usize) -> (usize, usize) {
        self.life[coin]
    }

    /// BTC/USD prices, if the run accounts in BTC.
    pub fn btc_usd(&self) -> Option<&'a [f64]> {
        self.btc_usd
    }

    /// Start of bar `k` in UTC milliseconds.
    pub fn time_ms(&self, k: usize) -> i64 {
        self.first_ms + k as i64 * self.interval.ms()
    }
}

fn life(close: &[f64]) -> (usize, usize) {
    let end = close.len() - 1;
    let first = close.iter().position(|c| c.is_finite()).unwrap_or(end);
    let last = close.iter().rposition(|c| c.is_finite()).unwrap_or(end);
    (first, last.max(first))
}
