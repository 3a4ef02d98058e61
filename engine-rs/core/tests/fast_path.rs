//! The fast path against the plain one: the same bits on random panels, intervals and parameters.

mod common;

use common::{Random, Tables, World, same_bits};
use passivbot_core::analysis::{METRIC_NAMES, is_daily};
use passivbot_core::fast;
use passivbot_core::isa::Isa;
use passivbot_core::run::{Backtest, backtest, evaluate};
use proptest::prelude::*;

fn check_equal(seed: u64, plain: &Backtest, fast: &Backtest) {
    for (a, b) in plain.fills.iter().zip(&fast.fills) {
        // A NaN equals nothing, but reads the same.
        let same = a == b || format!("{a:?}") == format!("{b:?}");
        assert!(same, "seed {seed}: {a:?} and {b:?}");
    }
    assert_eq!(plain.fills.len(), fast.fills.len(), "seed {seed}");
    assert!(same_bits(&plain.usd, &fast.usd), "seed {seed}: equity differs");
    assert!(same_bits(&plain.btc, &fast.btc), "seed {seed}: BTC equity differs");
    let (a, b) = (plain.analysis.usd.values(), fast.analysis.usd.values());
    assert!(same_bits(&a, &b), "seed {seed}: metrics differ");
    let (a, b) = (plain.analysis.btc.values(), fast.analysis.btc.values());
    assert!(same_bits(&a, &b), "seed {seed}: BTC metrics differ");
}

/// Runs one world on both paths; returns the number of fills.
fn run(seed: u64) -> usize {
    let mut r = Random(seed);
    let world = World::new(&mut r);
    let panel = world.panel();
    let market = world.market(&panel);
    let tables = Tables::of(&panel).expect("the generator's candles are regular");
    let prepared = tables.prepared(&panel);
    let mut fills = 0;
    let sets = Isa::available();
    for n in 0..4 {
        let isa = sets[n % sets.len()];
        let candidate = world.candidate(&mut r);
        assert!(fast::covers(&candidate.params, world.interval));
        let plain = backtest(market, None, &candidate, isa).unwrap();
        let fast = backtest(market, Some(&prepared), &candidate, isa).unwrap();
        check_equal(seed, &plain, &fast);
        let daily = evaluate(market, Some(&prepared), &candidate, true, isa).unwrap();
        for (n, name) in METRIC_NAMES.iter().enumerate().filter(|(_, name)| is_daily(name)) {
            let (a, b) = (plain.analysis.usd.values()[n], daily.usd.values()[n]);
            assert_eq!(a.to_bits(), b.to_bits(), "seed {seed}: {name} is {a} and {b}");
            let (a, b) = (plain.analysis.btc.values()[n], daily.btc.values()[n]);
            assert_eq!(a.to_bits(), b.to_bits(), "seed {seed}: {name} in BTC is {a} and {b}");
        }
        fills += plain.fills.len();
    }
    fills
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn both_paths_give_the_same_bits(seed in any::<u64>()) {
        run(seed);
    }
}

#[test]
fn the_generator_makes_runs_that_trade() {
    let fills: usize = (0..20).map(run).sum();
    assert!(fills > 1000, "{fills} fills in 80 runs");
}
