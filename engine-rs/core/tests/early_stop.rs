//! Early stop against what whole runs say: stopped at the first day on which a limit is broken or equity is gone, on both
//! paths and in every position of a batch, with the metrics of the run up to there.

mod common;

use std::ops::ControlFlow;

use common::{Random, Tables, World, same_bits};
use passivbot_core::analysis::{
    Analysis, History, METRIC_NAMES, Metrics, StopLimits, WATCHED_METRICS, analyse, is_daily,
};
use passivbot_core::grid::{Fill, Market, TrailingGrid};
use passivbot_core::interval::Interval;
use passivbot_core::isa::Isa;
use passivbot_core::run::{Candidate, backtest, evaluate_batch};
use passivbot_core::strategy::simulate;
use proptest::prelude::*;

/// A limit as the tests hold it: BTC set, metric, largest value.
type Limit = (bool, &'static str, f64);

fn value(analysis: &Analysis, btc: bool, metric: &str) -> f64 {
    let set: &Metrics = if btc { &analysis.btc } else { &analysis.usd };
    let index = METRIC_NAMES.iter().position(|name| *name == metric);
    set.values()[index.expect("a watched metric is a metric")]
}

/// A whole run, bar by bar.
struct Whole {
    fills: Vec<Fill>,
    usd: Vec<f64>,
    btc: Vec<f64>,
    exposure: Vec<f64>,
    collateral: bool,
    exposure_limits: [f64; 2],
    interval: Interval,
}

impl Whole {
    fn of(market: Market<'_>, candidate: &Candidate) -> Self {
        let mut strategy = TrailingGrid::new(market, &candidate.params, &candidate.warmup).unwrap();
        let opening = strategy.opening_sample();
        let (mut usd, mut btc, mut exposure) = (vec![opening.usd], vec![opening.btc], Vec::new());
        let fills = simulate(&mut strategy, |sample, _| {
            usd.push(sample.usd);
            btc.push(sample.btc);
            exposure.push(sample.exposure);
            ControlFlow::Continue(())
        });
        let collateral = market.panel.btc_usd().is_some();
        let interval = market.panel.interval();
        Self { fills, usd, btc, exposure, collateral, exposure_limits: candidate.exposure_limits, interval }
    }

    /// Fills of its first bars.
    fn fills(&self, end: usize) -> &[Fill] {
        let minutes = end * self.interval.minutes();
        &self.fills[..self.fills.partition_point(|fill| fill.minute < minutes)]
    }

    /// Metrics of its first bars, as if there were no more.
    fn up_to(&self, end: usize) -> Analysis {
        analyse(
            &History {
                fills: self.fills(end),
                usd: &self.usd[..end],
                btc: &self.btc[..end],
                exposure: &self.exposure[..end - 1].iter().copied().collect(),
                collateral: self.collateral,
                exposure_limits: self.exposure_limits,
                interval: self.interval,
            },
            Isa::detect(),
        )
    }

    /// Before which bar it has to stop, and whether because nothing is left.
    fn stop(&self, limits: &[Limit]) -> Option<(usize, bool)> {
        let day = self.interval.day();
        (day..self.usd.len()).step_by(day).find_map(|end| {
            let bankrupt = self.usd[end - day..end].iter().any(|equity| *equity <= 0.0);
            let defined = end > day && self.fills(end).len() >= 2;
            let analysis = self.up_to(end);
            let broken = limits.iter().any(|(btc, metric, limit)| value(&analysis, *btc, metric) > *limit);
            (bankrupt || (defined && broken)).then_some((end, bankrupt))
        })
    }
}

/// Up to two limits around what metrics are at the end of some day; best of one that a fill follows at once.
fn random_limits(r: &mut Random, whole: &Whole) -> Vec<Limit> {
    let (samples, day) = (whole.usd.len(), whole.interval.day());
    let followed = |end: &usize| whole.fills(*end).len() < whole.fills(end + 1).len();
    let days: Vec<_> = (day..samples).step_by(day).collect();
    let end = days.iter().copied().find(followed).filter(|_| r.next() < 0.8);
    let end = end.or_else(|| days.get((r.next() * days.len() as f64) as usize).copied()).unwrap_or(samples);
    let analysis = whole.up_to(end);
    let count = (r.next() * 3.0) as usize;
    (0..count)
        .map(|_| {
            let btc = r.next() < 0.3;
            let metric = WATCHED_METRICS[(r.next() * WATCHED_METRICS.len() as f64) as usize];
            let factor = if r.next() < 0.5 { 1.0 } else { r.between(0.0, 1.2) };
            (btc, metric, value(&analysis, btc, metric) * factor)
        })
        .collect()
}

fn stop_limits(limits: &[Limit]) -> StopLimits {
    let mut stop = StopLimits::NONE;
    for (btc, metric, limit) in limits {
        assert!(stop.add(*btc, metric, *limit));
    }
    stop
}

fn assert_same_daily(seed: u64, a: &Analysis, b: &Analysis) {
    assert_eq!(a.stopped, b.stopped, "seed {seed}");
    for (n, name) in METRIC_NAMES.iter().enumerate().filter(|(_, name)| is_daily(name)) {
        for (a, b) in [(&a.usd, &b.usd), (&a.btc, &b.btc)] {
            let (a, b) = (a.values()[n], b.values()[n]);
            assert_eq!(a.to_bits(), b.to_bits(), "seed {seed}: {name} is {a} and {b}");
        }
    }
}

/// How many of the runs of a world were stopped, and how many of these had nothing left.
fn run(seed: u64) -> (usize, usize) {
    let mut r = Random(seed);
    let world = World::new(&mut r);
    let panel = world.panel();
    let market = world.market(&panel);
    let tables = Tables::of(&panel).expect("the generator's candles are regular");
    let prepared = tables.prepared(&panel);
    let isa = Isa::detect();
    let (mut stopped, mut bankrupt) = (0, 0);
    let mut candidates = Vec::new();
    let mut expected = Vec::new();
    for _ in 0..6 {
        let mut candidate = world.candidate(&mut r);
        if r.next() < 0.3 {
            for bot in &mut candidate.params {
                bot.long.total_wallet_exposure_limit *= 15.0;
                bot.short.total_wallet_exposure_limit *= 15.0;
            }
        }
        let whole = Whole::of(market, &candidate);
        let limits = random_limits(&mut r, &whole);
        let stop = whole.stop(&limits);
        let end = stop.map_or(whole.usd.len().min(panel.bars() - 1), |(end, _)| end);
        let metrics = Analysis { stopped: stop.map(|_| panel.minute(end) - 1), ..whole.up_to(end) };
        candidate.stop = Some(stop_limits(&limits));
        for tables in [None, Some(&prepared)] {
            let found = backtest(market, tables, &candidate, isa).unwrap();
            assert_eq!(found.analysis.stopped, metrics.stopped, "seed {seed}: {limits:?}");
            let fills = whole.fills(end);
            // As text, since a lost account may have NaN for a balance.
            assert!(format!("{:?}", found.fills) == format!("{fills:?}"), "seed {seed}: fills differ");
            assert!(same_bits(&found.usd, &whole.usd[..end]), "seed {seed}: equity differs");
            assert!(same_bits(&found.btc, &whole.btc[..end]), "seed {seed}: BTC equity differs");
            let sets = [(&found.analysis.usd, &metrics.usd), (&found.analysis.btc, &metrics.btc)];
            for (a, b) in sets {
                assert!(same_bits(&a.values(), &b.values()), "seed {seed}: metrics differ");
            }
        }
        if let Some((_, gone)) = stop {
            stopped += 1;
            bankrupt += usize::from(gone);
            // What the early stop relies on: the limit is broken at the end of the whole run too.
            let last = whole.up_to(panel.bars() - 1);
            let kept = |(btc, metric, limit): &Limit| value(&last, *btc, metric) <= *limit;
            assert!(gone || !limits.iter().all(kept), "seed {seed}: {limits:?} are kept after all");
        }
        candidates.push(candidate);
        expected.push(metrics);
    }
    for isa in Isa::available() {
        for (a, b) in
            evaluate_batch(market, Some(&prepared), &candidates, true, isa).unwrap().iter().zip(&expected)
        {
            assert_same_daily(seed, a, b);
        }
    }
    (stopped, bankrupt)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn runs_stop_where_the_whole_run_says(seed in any::<u64>()) {
        run(seed);
    }
}

#[test]
fn the_generator_makes_runs_that_stop() {
    let counts: Vec<_> = (0..40).map(run).collect();
    let stopped: usize = counts.iter().map(|(stopped, _)| stopped).sum();
    let bankrupt: usize = counts.iter().map(|(_, bankrupt)| bankrupt).sum();
    assert!(stopped > 30 && bankrupt > 10, "{stopped} stopped, {bankrupt} of them bankrupt, of 240 runs");
    assert!(stopped - bankrupt > 15, "{stopped} stopped, {bankrupt} of them bankrupt, of 240 runs");
}
