//! Batches: in every position, in any company and on every instruction set, a candidate gets the bits of the plain path.

mod common;

use common::{Random, Tables, World};
use passivbot_core::analysis::{Analysis, METRIC_NAMES, is_daily};
use passivbot_core::fast;
use passivbot_core::isa::Isa;
use passivbot_core::run::{Candidate, backtest, evaluate_batch};
use proptest::prelude::*;

/// Different candidates of a world.
const KINDS: usize = 8;

/// Values of the metrics that are asked for, as bits.
fn bits(analysis: &Analysis, daily_only: bool) -> Vec<u64> {
    let wanted = |name: &str| !daily_only || is_daily(name);
    [&analysis.usd, &analysis.btc]
        .into_iter()
        .flat_map(|set| METRIC_NAMES.iter().zip(set.values()))
        .filter(|(name, _)| wanted(name))
        .map(|(_, value)| value.to_bits())
        .collect()
}

/// Candidates of which one in eight is not for the fast path, so that batches are cut in places.
fn candidates(world: &World, r: &mut Random) -> Vec<Candidate> {
    let mut candidates: Vec<_> = (0..KINDS).map(|_| world.candidate(r)).collect();
    for bot in &mut candidates[KINDS - 1].params {
        bot.long.ema_span_0 = 0.5;
    }
    candidates
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// `order`: which candidate stands where; most stand in several places.
    #[test]
    fn every_position_gets_the_bits_of_the_plain_path(
        seed in any::<u64>(),
        order in proptest::collection::vec(0..KINDS, 1..=40),
        daily_only in proptest::bool::weighted(0.8),
    ) {
        let mut r = Random(seed);
        let world = World::new(&mut r);
        let panel = world.panel();
        let market = world.market(&panel);
        let tables = Tables::of(&panel).expect("the generator's candles are regular");
        let prepared = tables.prepared(&panel);
        let kinds = candidates(&world, &mut r);
        prop_assert!(!fast::covers(&kinds[KINDS - 1].params, world.interval));
        let plain: Vec<_> = kinds
            .iter()
            .map(|kind| bits(&backtest(market, None, kind, Isa::BASELINE).unwrap().analysis, daily_only))
            .collect();
        let batch: Vec<_> = order.iter().map(|&kind| kinds[kind].clone()).collect();
        for isa in Isa::available() {
            let rows = evaluate_batch(market, Some(&prepared), &batch, daily_only, isa).unwrap();
            prop_assert_eq!(rows.len(), order.len());
            for (place, (row, &kind)) in rows.iter().zip(&order).enumerate() {
                prop_assert_eq!(&bits(row, daily_only), &plain[kind], "{} in place {}", isa.name(), place);
            }
        }
    }
}

#[test]
fn an_empty_batch_has_no_rows() {
    let mut r = Random(1);
    let world = World::new(&mut r);
    let panel = world.panel();
    for isa in Isa::available() {
        assert!(evaluate_batch(world.market(&panel), None, &[], true, isa).unwrap().is_empty());
    }
}
