//! A whole run: simulate, then analyse. Takes the fast path where it covers the run, else the plain one.

use crate::analysis::{self, Analysis, History};
use crate::error::Result;
use crate::fast::{self, Prepared};
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

/// Run one candidate and keep everything.
///
/// `prepared` are the tables of the market's panel; without them the plain path is taken.
///
/// # Errors
/// Lists of another length than the panel's coins.
pub fn backtest(
    market: Market<'_>,
    prepared: Option<&Prepared<'_>>,
    candidate: &Candidate,
) -> Result<Backtest> {
    let Candidate { params, warmup, .. } = candidate;
    let (fills, usd, btc, exposure) = match prepared.filter(|_| fast::covers(params)) {
        Some(prepared) => {
            TrailingGrid::check(&market, params, warmup)?;
            let kept = fast::run_everything(market, prepared, params, warmup);
            (kept.fills, kept.usd, kept.btc, kept.exposure)
        }
        None => plain(market, &mut TrailingGrid::new(market, params, warmup)?),
    };
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

/// Metrics of one candidate. With `daily_only`, those of which [`analysis::is_daily`] is false may be left out.
///
/// # Errors
/// As [`backtest`].
pub fn evaluate(
    market: Market<'_>,
    prepared: Option<&Prepared<'_>>,
    candidate: &Candidate,
    daily_only: bool,
) -> Result<Analysis> {
    let Candidate { params, warmup, exposure_limits } = candidate;
    match prepared.filter(|_| daily_only && fast::covers(params)) {
        Some(prepared) => {
            TrailingGrid::check(&market, params, warmup)?;
            let figures = fast::run_days(market, prepared, params, warmup);
            Ok(analysis::analyse_days(&figures, *exposure_limits))
        }
        None => Ok(backtest(market, prepared, candidate)?.analysis),
    }
}

/// Fills, equity in USD and BTC, exposure.
type Kept = (Vec<Fill>, Vec<f64>, Vec<f64>, Vec<f64>);

fn plain(market: Market<'_>, strategy: &mut TrailingGrid<'_>) -> Kept {
    let samples = market.panel.minutes();
    let opening = strategy.opening_sample();
    let (mut usd, mut btc) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
    let mut exposure = Vec::with_capacity(samples);
    usd.push(opening.usd);
    btc.push(opening.btc);
    let fills = simulate(strategy, |sample: Sample| {
        usd.push(sample.usd);
        btc.push(sample.btc);
        exposure.push(sample.exposure);
    });
    // A panel of one minute has no sample at all (§15).
    usd.truncate(samples - 1);
    btc.truncate(samples - 1);
    (fills, usd, btc, exposure)
}
