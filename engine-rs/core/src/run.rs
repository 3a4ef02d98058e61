//! A whole run: simulate, then analyse. Takes the fast path where it covers the run, else the plain one.

use std::ops::ControlFlow;

use crate::analysis::{self, Analysis, EveryMinute, Exposure, History, StopLimits, Watch, spare};
use crate::error::Result;
use crate::fast::{self, Everything, Prepared};
use crate::grid::{Fill, Market, Sample, TrailingGrid, Warmup};
use crate::isa::Isa;
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
    /// What stops the run early; None: nothing does.
    pub stop: Option<StopLimits>,
}

impl Candidate {
    fn watch(&self, market: &Market<'_>, isa: Isa) -> Option<Watch> {
        let (panel, collateral) = (market.panel, market.panel.btc_usd().is_some());
        self.stop.map(|limits| Watch::new(isa, limits, panel.bars() - 1, collateral, panel.interval()))
    }
}

/// Everything a run leaves behind.
#[derive(Clone, Debug)]
pub struct Backtest {
    /// Fills in order.
    pub fills: Vec<Fill>,
    /// Equity in USD of bars 0 … T − 2, or as far as the run went.
    pub usd: Vec<f64>,
    /// Equity in BTC of the same bars.
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
    isa: Isa,
) -> Result<Backtest> {
    let Candidate { params, warmup, .. } = candidate;
    let fast = match prepared.filter(|_| fast::covers(params, market.panel.interval())) {
        Some(prepared) => {
            TrailingGrid::check(&market, params, warmup)?;
            let watch = candidate.watch(&market, isa);
            let kept = fast::run_everything(isa, market, prepared, params, warmup, watch);
            stayed_finite(kept.fills.last().map(|fill| fill.balance), kept.usd.last()).then_some(kept)
        }
        None => None,
    };
    let Kept { fills, usd, btc, exposure, stopped } = match fast {
        Some(Everything { fills, usd, btc, exposure, stopped, .. }) => {
            Kept { fills, usd, btc, exposure, stopped }
        }
        None => {
            let mut strategy = TrailingGrid::new(market, params, warmup)?;
            plain(market, &mut strategy, candidate.watch(&market, isa))
        }
    };
    let history = History {
        fills: &fills,
        usd: &usd,
        btc: &btc,
        exposure: &exposure,
        collateral: market.panel.btc_usd().is_some(),
        exposure_limits: candidate.exposure_limits,
        interval: market.panel.interval(),
    };
    let mut analysis = analysis::analyse(&history, isa);
    analysis.stopped = stopped;
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
    isa: Isa,
) -> Result<Analysis> {
    let all = evaluate_batch(market, prepared, std::slice::from_ref(candidate), daily_only, isa)?;
    Ok(all[0])
}

/// Metrics of many candidates, each what [`evaluate`] gives for it alone, bit for bit.
///
/// # Errors
/// As [`backtest`].
pub fn evaluate_batch(
    market: Market<'_>,
    prepared: Option<&Prepared<'_>>,
    candidates: &[Candidate],
    daily_only: bool,
    isa: Isa,
) -> Result<Vec<Analysis>> {
    let mut results = Vec::with_capacity(candidates.len());
    let mut rest = candidates;
    let interval = market.panel.interval();
    while let Some(first) = rest.first() {
        let covered = |candidate: &&Candidate| {
            let daily_only = daily_only && candidate.stop.is_none_or(|limits| limits.is_daily());
            daily_only && fast::covers(&candidate.params, interval)
        };
        let together = rest.iter().take(fast::TOGETHER).take_while(covered).count();
        if let Some(prepared) = prepared.filter(|_| together > 0) {
            let group;
            (group, rest) = rest.split_at(together);
            for Candidate { params, warmup, .. } in group {
                TrailingGrid::check(&market, params, warmup)?;
            }
            let runs = group
                .iter()
                .map(|candidate| (&candidate.params[..], &candidate.warmup, candidate.watch(&market, isa)));
            let figures = fast::run_days(isa, market, prepared, runs);
            for (candidate, days) in group.iter().zip(figures) {
                let balance = days.fills.last().map(|fill| fill.balance);
                results.push(if stayed_finite(balance, days.usd.last.last()) {
                    analysis::analyse_days(&days, candidate.exposure_limits, interval)
                } else {
                    backtest(market, None, candidate, isa)?.analysis
                });
                spare::give(days.fills);
            }
        } else {
            results.push(backtest(market, prepared, first, isa)?.analysis);
            rest = &rest[1..];
        }
    }
    Ok(results)
}

/// False if the account overflowed, after which no comparison means anything and only the plain path says what follows.
/// Neither the balance nor the equity of a position ever comes back from infinity or NaN.
fn stayed_finite(balance: Option<f64>, equity: Option<&f64>) -> bool {
    balance.is_none_or(f64::is_finite) && equity.is_none_or(|equity| equity.is_finite())
}

/// A run, minute by minute.
struct Kept {
    fills: Vec<Fill>,
    usd: Vec<f64>,
    btc: Vec<f64>,
    exposure: Exposure,
    /// Last minute, if the run was stopped early.
    stopped: Option<usize>,
}

fn plain(market: Market<'_>, strategy: &mut TrailingGrid<'_>, mut watch: Option<Watch>) -> Kept {
    let samples = market.panel.bars();
    let opening = strategy.opening_sample();
    let (mut usd, mut btc) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
    let mut exposure = Exposure::default();
    usd.push(opening.usd);
    btc.push(opening.btc);
    let minutes_of = |bars: usize| bars * market.panel.interval().minutes();
    let mut stopped = None;
    let fills = simulate(strategy, |sample: Sample, fills| {
        usd.push(sample.usd);
        btc.push(sample.btc);
        exposure.push(sample.exposure, 1);
        let run = EveryMinute { fills, usd: &usd, btc: &btc, exposure: &exposure };
        if watch.as_mut().is_some_and(|watch| watch.stops(&run, usd.len())) {
            stopped = Some(minutes_of(usd.len()) - 1);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    // A panel of one bar has no sample at all (§15).
    usd.truncate(samples - 1);
    btc.truncate(samples - 1);
    Kept { fills, usd, btc, exposure, stopped }
}
