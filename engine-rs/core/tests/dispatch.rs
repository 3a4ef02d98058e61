//! Every instruction set on a market small enough for an interpreter: CI runs this under Miri, which checks that the calls
//! of functions compiled for more than the baseline are sound.

mod common;

use common::{Random, Tables, World, coin, same_bits};
use passivbot_core::interval::Interval;
use passivbot_core::isa::Isa;
use passivbot_core::run::{backtest, evaluate_batch};
use passivbot_core::types::MarketRules;

#[test]
fn all_instruction_sets_give_the_bits_of_the_plain_path() {
    const MINUTES: usize = if cfg!(miri) { 150 } else { 20_000 };
    let mut r = Random(4);
    let rules = MarketRules { qty_step: 0.001, price_step: 0.01, min_qty: 0.001, min_cost: 5.0, c_mult: 1.0 };
    let world = World {
        columns: (0..2).map(|_| coin(&mut r, MINUTES, rules.price_step)).collect(),
        rules: vec![rules; 2],
        interval: Interval::MINUTE,
        first_ms: 1_600_000_020_000,
        requested_ms: 1_600_000_020_000,
        fee: 0.0002,
        balance: 10_000.0,
        btc_usd: None,
    };
    let panel = world.panel();
    let market = world.market(&panel);
    let tables = Tables::of(&panel).expect("the generator's candles are regular");
    let prepared = tables.prepared(&panel);
    let mut candidates: Vec<_> = (0..2).map(|_| world.candidate(&mut r)).collect();
    for candidate in &mut candidates {
        candidate.warmup.global = 20;
        candidate.warmup.coins = vec![20; 2];
    }
    let plain: Vec<_> = candidates
        .iter()
        .map(|candidate| backtest(market, None, candidate, Isa::BASELINE).unwrap())
        .collect();
    assert!(plain.iter().map(|run| run.fills.len()).sum::<usize>() > 3);
    for isa in Isa::available() {
        for (candidate, plain) in candidates.iter().zip(&plain) {
            let fast = backtest(market, Some(&prepared), candidate, isa).unwrap();
            assert_eq!(plain.fills, fast.fills, "{}", isa.name());
            assert!(same_bits(&plain.usd, &fast.usd), "{}", isa.name());
        }
        let rows = evaluate_batch(market, Some(&prepared), &candidates, true, isa).unwrap();
        for (plain, row) in plain.iter().zip(rows) {
            assert_eq!(plain.analysis.usd.adg.to_bits(), row.usd.adg.to_bits(), "{}", isa.name());
        }
    }
}
