//! Bars longer than a minute: what they change, and that they change nothing else.

mod common;

use common::{Random, Tables};
use passivbot_core::analysis::{History, METRIC_NAMES, analyse};
use passivbot_core::candles::{CoinCandles, Panel};
use passivbot_core::fast::{self, Blocks};
use passivbot_core::grid::{Fill, Market, Warmup};
use passivbot_core::interval::Interval;
use passivbot_core::isa::Isa;
use passivbot_core::params::{BotParams, SIDE_COMPONENTS, SideParams};
use passivbot_core::run::{Backtest, Candidate, backtest};
use passivbot_core::types::{MarketRules, OrderType};

/// A full hour.
const FIRST_MS: i64 = 1_599_998_400_000;
const RULES: MarketRules =
    MarketRules { qty_step: 0.001, price_step: 0.01, min_qty: 0.001, min_cost: 1.0, c_mult: 1.0 };

/// High, low, close, volume of a random walk.
fn walk(seed: u64, bars: usize) -> [Vec<f64>; 4] {
    let mut r = Random(seed);
    let mut close = 100.0;
    let mut columns: [Vec<f64>; 4] = Default::default();
    for _ in 0..bars {
        let open: f64 = close;
        close = ((open * (1.0 + 0.01 * (r.next() - 0.5))).max(10.0) * 100.0).round() / 100.0;
        columns[0].push((open.max(close) * (1.0 + 0.003 * r.next()) * 100.0).round() / 100.0);
        columns[1].push((open.min(close) * (1.0 - 0.003 * r.next()) * 100.0).round() / 100.0);
        columns[2].push(close);
        columns[3].push(1000.0 * r.next());
    }
    columns
}

fn panel(columns: &[[Vec<f64>; 4]], first_ms: i64, minutes: usize) -> Panel<'_> {
    let coins = columns.iter().map(|[high, low, close, volume]| CoinCandles { high, low, close, volume });
    let panel = Panel::new(first_ms, coins.collect(), None).unwrap();
    panel.with_interval(Interval::of_minutes(minutes).unwrap())
}

/// A busy side without hourly average; its spans are these times `scale` minutes.
fn side(scale: f64) -> SideParams {
    let mut side = SideParams::from_components(&[0.0; SIDE_COMPONENTS], true);
    side.close_grid_markup_end = 0.004;
    side.close_grid_markup_start = 0.008;
    side.close_grid_qty_pct = 0.3;
    side.close_trailing_grid_ratio = 0.5;
    side.close_trailing_qty_pct = 0.4;
    side.close_trailing_retracement_pct = 0.002;
    side.close_trailing_threshold_pct = 0.004;
    side.ema_span_0 = 30.5 * scale;
    side.ema_span_1 = 90.3 * scale;
    side.entry_grid_double_down_factor = 0.9;
    side.entry_grid_spacing_pct = 0.01;
    side.entry_initial_ema_dist = -0.002;
    side.entry_initial_qty_pct = 0.1;
    side.entry_trailing_double_down_factor = 0.9;
    side.entry_trailing_retracement_pct = 0.002;
    side.entry_trailing_threshold_pct = 0.005;
    side.filter_log_range_ema_span = 60.7 * scale;
    side.filter_volume_ema_span = 45.1 * scale;
    side.n_positions = 2.0;
    side.total_wallet_exposure_limit = 1.0;
    side.unstuck_close_pct = 0.05;
    side.unstuck_loss_allowance_pct = 0.02;
    side.unstuck_threshold = 0.7;
    side
}

fn run(panel: &Panel<'_>, bot: BotParams, warmup: Option<Warmup>, requested_ms: i64, fast: bool) -> Backtest {
    let coins = panel.coins().len();
    let rules = vec![RULES; coins];
    let params = vec![bot; coins];
    let market = Market {
        panel,
        rules: &rules,
        starting_balance: 10_000.0,
        maker_fee: 0.0002,
        requested_start_ms: requested_ms,
    };
    let warmup = warmup.unwrap_or_else(|| Warmup::from_spans(&params));
    let candidate = Candidate { params, warmup, exposure_limits: [1.0, 1.0], stop: None };
    let tables = Tables::of(panel);
    let prepared = tables.as_ref().map(|tables| tables.prepared(panel));
    assert!(!fast || fast::covers(&candidate.params, panel.interval()) && prepared.is_some());
    backtest(market, prepared.as_ref().filter(|_| fast), &candidate, Isa::detect()).unwrap()
}

/// Spans, warm-up and start in minutes times four, on bars of four minutes: the same run, four times as slow.
/// (A power of two, so that nothing is rounded.)
#[test]
fn a_run_is_the_same_at_another_pace() {
    for seed in 0..6 {
        let columns: Vec<_> = (0..3).map(|coin| walk(10 * seed + coin, 3000)).collect();
        let warmup = |minutes: usize| Warmup { global: 50 * minutes, coins: vec![70 * minutes; 3] };
        for (given, fast) in [(true, true), (true, false), (false, true), (false, false)] {
            let at = |minutes: usize| {
                let bot = BotParams { long: side(minutes as f64), short: side(minutes as f64) };
                let requested = FIRST_MS + 99 * minutes as i64 * 60_000;
                run(&panel(&columns, FIRST_MS, minutes), bot, given.then(|| warmup(minutes)), requested, fast)
            };
            let (minute, four) = (at(1), at(4));
            assert!(minute.fills.len() > 100, "{} fills", minute.fills.len());
            let slower: Vec<_> = minute.fills.iter().map(|f| Fill { minute: 4 * f.minute, ..*f }).collect();
            assert_eq!(four.fills, slower);
            assert_eq!((&four.usd, &four.btc), (&minute.usd, &minute.btc));
        }
    }
}

/// First minute at which there is a fill, if there is one; the price falls by a hundredth with each bar.
fn first_fill(minutes: usize, warmup: Warmup, requested_ms: i64) -> Option<usize> {
    let close: Vec<f64> = (0..200).map(|k| 1000.0 * 0.99_f64.powi(k)).collect();
    let columns = [[close.clone(), close.iter().map(|c| c * 0.985).collect(), close.clone(), close]];
    let bot = BotParams { long: side(60.0), short: SideParams { n_positions: 0.0, ..side(60.0) } };
    let panel = panel(&columns, FIRST_MS, minutes);
    let plain = run(&panel, bot, Some(warmup.clone()), requested_ms, false);
    let fast = run(&panel, bot, Some(warmup), requested_ms, true);
    assert_eq!(plain.fills, fast.fills);
    plain.fills.first().map(|fill| fill.minute)
}

fn warmup(global: usize, coin: usize) -> Warmup {
    Warmup { global, coins: vec![coin] }
}

#[test]
fn warm_ups_and_start_are_rounded_up_to_bars() {
    // Orders from the bar after the warm-up on, filled one later.
    assert_eq!(first_fill(1, warmup(31, 0), FIRST_MS), Some(33));
    assert_eq!(first_fill(15, warmup(31, 0), FIRST_MS), Some((3 + 2) * 15));
    assert_eq!(first_fill(15, warmup(30, 0), FIRST_MS), Some((2 + 2) * 15));
    // A coin's own warm-up: orders from its last bar on.
    assert_eq!(first_fill(15, warmup(1, 91), FIRST_MS), Some((7 + 1) * 15));
    // The start: orders from the first bar on that does not begin before it.
    assert_eq!(first_fill(15, warmup(1, 0), FIRST_MS + 91 * 60_000), Some((7 + 1) * 15));
    assert_eq!(first_fill(15, warmup(1, 0), FIRST_MS + 90 * 60_000), Some((6 + 1) * 15));
    assert_eq!(first_fill(60, warmup(1, 0), FIRST_MS), Some((1 + 2) * 60));
}

#[test]
fn times_beyond_every_calendar_are_kept_too() {
    for minutes in [1, 15] {
        let first = Some((1 + 2) * minutes);
        // A span of 1e30 minutes makes such a warm-up.
        assert_eq!(first_fill(minutes, warmup(1e30 as usize, 0), FIRST_MS), None);
        assert_eq!(first_fill(minutes, warmup(1, usize::MAX), FIRST_MS), None);
        assert_eq!(first_fill(minutes, warmup(1, 0), i64::MAX), None);
        assert_eq!(first_fill(minutes, warmup(1, 0), i64::MIN), first);
    }
}

/// What the hourly average has seen of an hour shows in the distance of the first re-entry. It is the hour's range,
/// whatever bars the hour is made of.
#[test]
fn the_hourly_average_sees_the_same_hours() {
    let hours = 400;
    // Hours of a known range around 100: one bar of an hour, or its quarters with the same extremes.
    let range = |hour: usize| 1.0 + (hour % 7) as f64;
    let build = |parts: usize| {
        let mut columns: [Vec<f64>; 4] = Default::default();
        for hour in 0..hours {
            for part in 0..parts {
                let wide = part == 0;
                // The price falls for good in the last hours, so that there are entries and re-entries.
                let level = if hour < hours - 20 { 100.0 } else { 100.0 - (hour + 21 - hours) as f64 * 2.5 };
                columns[0].push(if wide { level + range(hour) } else { level });
                columns[1].push(if wide { level - range(hour) } else { level });
                columns[2].push(level);
                columns[3].push(1.0);
            }
        }
        columns
    };
    let fills = |parts: usize| {
        let mut long = side(60.0);
        long.ema_span_0 = 60.0 * 60.0;
        long.ema_span_1 = 60.0 * 60.0;
        long.close_grid_markup_start = 1.0;
        long.close_grid_markup_end = 1.0;
        long.close_trailing_grid_ratio = 0.0;
        long.unstuck_loss_allowance_pct = 0.0;
        long.entry_initial_ema_dist = -0.9;
        long.entry_grid_spacing_log_weight = 20.0;
        long.entry_grid_spacing_log_span_hours = 24.0;
        let bot = BotParams { long, short: SideParams { n_positions: 0.0, ..long } };
        let columns = [build(parts)];
        let panel = panel(&columns, FIRST_MS, 60 / parts);
        let warmup = Warmup { global: 60, coins: vec![0] };
        let start_ms = FIRST_MS + (hours as i64 - 30) * 3_600_000;
        let plain = run(&panel, bot, Some(warmup.clone()), start_ms, false);
        assert_eq!(run(&panel, bot, Some(warmup), start_ms, true).fills, plain.fills);
        plain.fills
    };
    let (whole, quarters) = (fills(1), fills(4));
    let prices = |fills: &[Fill]| fills.iter().map(|f| (f.kind, f.price)).collect::<Vec<_>>();
    assert!(whole.iter().filter(|f| f.kind == OrderType::EntryGridNormalLong).count() > 1);
    assert_eq!(prices(&whole), prices(&quarters));
    // Without the average it would be a percent away.
    assert!(whole[1].price < 98.0);
}

/// Equity that stands still within each hour, and fills on the hour, look the same in minutes and in hours.
#[test]
fn metrics_are_of_the_clock() {
    // 2520 hours: every recency subset begins on an hour.
    let hours = 2520;
    let mut r = Random(3);
    let hourly: Vec<f64> = (0..hours)
        .scan(1000.0, |level, _| {
            *level *= 1.0 + 0.01 * (r.next() - 0.49);
            Some(*level)
        })
        .collect();
    let minutes: Vec<f64> = hourly.iter().flat_map(|&level| [level; 60]).collect();
    let kinds = [OrderType::EntryInitialNormalLong, OrderType::CloseGridLong];
    let fills: Vec<_> = (0..300)
        .map(|n| Fill {
            minute: 60 * (n * 8 + (n * n) % 5),
            coin: n % 2,
            pnl: if (n / 2) % 2 == 1 { 3.0 * r.next() - 1.0 } else { 0.0 },
            fee: 0.0,
            balance: 600.0 + 900.0 * r.next(),
            balance_btc: (n / 7) as f64,
            balance_usd: 0.0,
            btc_price: 20_000.0 + n as f64,
            qty: 0.5,
            price: 20.0 + r.next(),
            position_size: if (n / 2) % 2 == 1 { 0.0 } else { 1.0 },
            position_price: 20.0,
            kind: kinds[(n / 2) % 2],
            wallet_exposure: 0.0,
            total_wallet_exposure: 0.0,
        })
        .collect();
    let analysis = |equity: &[f64], minutes: usize| {
        analyse(
            &History {
                fills: &fills,
                usd: equity,
                btc: equity,
                exposure: &[0.1, 0.3, 0.2].into_iter().collect(),
                collateral: true,
                exposure_limits: [1.0, 2.0],
                interval: Interval::of_minutes(minutes).unwrap(),
            },
            Isa::detect(),
        )
    };
    let (fine, coarse) = (analysis(&minutes, 1), analysis(&hourly, 60));
    assert!(fine.usd.values().iter().all(|&value| value.is_finite() && value != 0.0));
    for (fine, coarse) in [(fine.usd, coarse.usd), (fine.btc, coarse.btc)] {
        for ((name, fine), coarse) in METRIC_NAMES.iter().zip(fine.values()).zip(coarse.values()) {
            let near = (fine - coarse).abs() <= 1e-9 * fine.abs();
            assert!(near, "{name} is {fine} in minutes and {coarse} in hours");
        }
    }
}

/// An axis that is not on the clock's bars takes the plain path, and its hours are those of the clock still.
#[test]
fn an_odd_axis_has_no_tables() {
    let columns = [walk(1, 500)];
    assert!(Blocks::of(&panel(&columns, FIRST_MS, 15)).is_some());
    assert!(Blocks::of(&panel(&columns, FIRST_MS + 5 * 60_000, 15)).is_none());
    assert!(Blocks::of(&panel(&columns, FIRST_MS + 5 * 60_000, 5)).is_some());
}
