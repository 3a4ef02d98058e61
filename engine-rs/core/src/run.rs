//! A whole run: simulate, then analyse.

use crate::analysis::{self, Analysis, History};
use crate::error::Result;
use crate::grid::{Fill, Market, Sample, TrailingGrid, Warmup};
use crate::params::BotParams;
use crate::strategy::simulate;

/// What is evaluated on a market.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Parameters, one entry a coin, overrides applied.
    pub params: Vec<BotParams>,
    /// Warm-up.
    pub warmup: Warmup,
    /// Exposure limits of the long and the short side in the base configuration.
    pub exposure_limits: [f64; 2],
}

/// Everything a run leaves behind.
#[derive(Clone, Debug)]
pub struct Backtest {
    /// Fills in order.
    pub fills: Vec<Fill>,
    /// Equity in USD of minutes 0 … T − 2.
    pub usd: Vec<f64>,
    /// Equity in BTC of the same minutes.
    pub btc: Vec<f64>,
    /// Metrics.
    pub analysis: Analysis,
}

/// Run one candidate.
///
/// # Errors
/// Lists of another length than the panel's coins.
pub fn backtest(market: Market<'_>, candidate: &Candidate) -> Result<Backtest> {
    let mut strategy = TrailingGrid::new(market, &candidate.params, &candidate.warmup)?;
    let samples = market.panel.minutes();
    let opening = strategy.opening_sample();
    let (mut usd, mut btc) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
    let mut exposure = Vec::with_capacity(samples);
    usd.push(opening.usd);
    btc.push(opening.btc);
    let fills = simulate(&mut strategy, |sample: Sample| {
        usd.push(sample.usd);
        btc.push(sample.btc);
        exposure.push(sample.exposure);
    });
    // A panel of one minute has no sample at all (§15).
    usd.truncate(samples - 1);
    btc.truncate(samples - 1);
    let analysis = analysis::analyse(&History {
        fills: &fills,
        usd: &usd,
        btc: &btc,
        exposure: &exposure,
        collateral: market.panel.btc_usd().is_some(),
        exposure_limits: candidate.exposure_limits,
    });
    Ok(Backtest { fills, usd, btc, analysis })
}
