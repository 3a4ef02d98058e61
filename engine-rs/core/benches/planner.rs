//! The planner's functions: what one order and one ladder cost.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use passivbot_core::params::{SIDE_COMPONENTS, SideParams};
use passivbot_core::planner::{
    Long, Short, Situation, close_ladder, entry_ladder, next_close, next_entry, triggers,
};
use passivbot_core::types::{Bands, MarketRules, Position, Trailing};

const RULES: MarketRules =
    MarketRules { qty_step: 0.001, price_step: 0.1, min_qty: 0.001, min_cost: 5.0, c_mult: 1.0 };

/// A grid of ten or so entries and of four take profits.
fn params() -> SideParams {
    SideParams {
        entry_grid_double_down_factor: 0.9,
        entry_grid_spacing_pct: 0.02,
        entry_grid_spacing_we_weight: 0.7,
        entry_initial_ema_dist: -0.005,
        entry_initial_qty_pct: 0.02,
        close_grid_markup_start: 0.008,
        close_grid_markup_end: 0.004,
        close_grid_qty_pct: 0.25,
        ..SideParams::from_components(&[0.0; SIDE_COMPONENTS], true)
    }
}

fn situation(params: &SideParams) -> Situation<'_> {
    Situation {
        rules: &RULES,
        params,
        wallet_exposure_limit: 0.5,
        balance: 10_000.0,
        bid: 1970.0,
        ask: 1970.0,
        bands: Bands { upper: 1985.0, lower: 1985.0 },
        log_range: 0.01,
        trailing: Trailing {
            min_since_open: 1900.0,
            max_since_min: 1960.0,
            max_since_open: 2030.0,
            min_since_max: 1990.0,
        },
    }
}

fn planner(c: &mut Criterion) {
    let params = params();
    let s = situation(&params);
    let (flat, held) = (Position::default(), Position { size: 0.3, price: 2000.0 });
    let short = Position { size: -0.3, price: 2000.0 };
    let mut orders = Vec::with_capacity(64);
    c.bench_function("triggers", |b| b.iter(|| triggers::<Long>(black_box(&s), black_box(&held))));
    c.bench_function("next_entry, flat", |b| b.iter(|| next_entry::<Long>(black_box(&s), black_box(&flat))));
    c.bench_function("next_entry, long", |b| b.iter(|| next_entry::<Long>(black_box(&s), black_box(&held))));
    c.bench_function("next_entry, short", |b| {
        b.iter(|| next_entry::<Short>(black_box(&s), black_box(&short)))
    });
    c.bench_function("next_close, long", |b| b.iter(|| next_close::<Long>(black_box(&s), black_box(&held))));
    c.bench_function("entry_ladder", |b| {
        b.iter(|| {
            orders.clear();
            entry_ladder::<Long>(black_box(&s), black_box(&held), &mut orders);
            orders.len()
        });
    });
    c.bench_function("close_ladder", |b| {
        b.iter(|| {
            orders.clear();
            close_ladder::<Long>(black_box(&s), black_box(&held), &mut orders);
            orders.len()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(200));
    targets = planner
}
criterion_main!(benches);
