//! Whole runs over a small random market: averages alone, one candidate, a batch.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Duration;

use common::{Random, Tables, World, coin};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use passivbot_core::interval::Interval;
use passivbot_core::isa::Isa;
use passivbot_core::run::{Candidate, backtest, evaluate, evaluate_batch};
use passivbot_core::types::MarketRules;

const COINS: usize = 4;
const MINUTES: usize = 20_000;

fn world(r: &mut Random) -> World {
    let rules = MarketRules { qty_step: 0.001, price_step: 0.01, min_qty: 0.001, min_cost: 5.0, c_mult: 1.0 };
    World {
        columns: (0..COINS).map(|_| coin(r, MINUTES, rules.price_step)).collect(),
        rules: vec![rules; COINS],
        interval: Interval::MINUTE,
        first_ms: 1_600_000_020_000,
        requested_ms: 1_600_000_020_000,
        fee: 0.0002,
        balance: 10_000.0,
        btc_usd: None,
    }
}

/// The same, with entries that no candle reaches.
fn idle(mut candidate: Candidate) -> Candidate {
    for bot in &mut candidate.params {
        bot.long.entry_initial_ema_dist = 0.9;
        bot.short.entry_initial_ema_dist = 0.9;
    }
    candidate
}

fn runs(c: &mut Criterion) {
    let mut r = Random(11);
    let world = world(&mut r);
    let panel = world.panel();
    let market = world.market(&panel);
    let tables = Tables::of(&panel).expect("the generator's candles are regular");
    let prepared = tables.prepared(&panel);
    let candidates: Vec<_> = (0..8).map(|_| world.candidate(&mut r)).collect();
    let quiet = idle(candidates[0].clone());
    let isa = Isa::detect();
    let fills =
        |candidate| backtest(market, Some(&prepared), candidate, isa).map_or(0, |run| run.fills.len());
    assert_eq!(fills(&quiet), 0);
    println!("fills: {:?}", candidates.iter().map(fills).collect::<Vec<_>>());

    let minutes: usize = (0..COINS).map(|i| panel.life(i)).map(|(first, last)| last - first + 1).sum();
    let mut group = c.benchmark_group("runs");
    group.throughput(Throughput::Elements(minutes as u64));
    group.bench_function("averages alone", |b| {
        b.iter(|| evaluate(market, Some(&prepared), black_box(&quiet), true, isa));
    });
    group.bench_function("one, all kept", |b| {
        b.iter(|| backtest(market, Some(&prepared), black_box(&candidates[0]), isa));
    });
    for isa in Isa::available() {
        group.bench_function(format!("one, metrics only, {}", isa.name()), |b| {
            b.iter(|| evaluate(market, Some(&prepared), black_box(&candidates[0]), true, isa));
        });
    }
    group.bench_function("one, plain path", |b| {
        b.iter(|| backtest(market, None, black_box(&candidates[0]), isa))
    });
    group.throughput(Throughput::Elements(minutes as u64 * candidates.len() as u64));
    group.bench_function("batch of eight", |b| {
        b.iter(|| evaluate_batch(market, Some(&prepared), black_box(&candidates), true, isa));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    targets = runs
}
criterion_main!(benches);
