//! Metrics of small histories whose values can be worked out by hand (analysis-metrics).

use passivbot_core::analysis::{Analysis, Exposure, History, METRIC_NAMES, Metrics, analyse};
use passivbot_core::grid::Fill;
use passivbot_core::interval::Interval;
use passivbot_core::isa::Isa;
use passivbot_core::types::OrderType::{self, CloseGridLong, CloseGridShort, EntryGridNormalLong};
use passivbot_core::types::OrderType::{EntryInitialNormalLong, EntryInitialNormalShort};

const DAY: usize = 1440;

/// A fill of coin 0: minute, type, profit, balance after it, position size after it. Costs 10.
fn fill(minute: usize, kind: OrderType, pnl: f64, balance: f64, position_size: f64) -> Fill {
    Fill {
        minute,
        coin: 0,
        pnl,
        fee: 0.0,
        balance,
        balance_btc: 0.0,
        balance_usd: balance,
        btc_price: 1.0,
        qty: 0.5,
        price: 20.0,
        position_size,
        position_price: 20.0,
        kind,
        wallet_exposure: 0.0,
        total_wallet_exposure: 0.0,
    }
}

/// Two fills that say nothing: the least that a run needs to have metrics.
fn two_fills() -> Vec<Fill> {
    vec![fill(10, EntryInitialNormalLong, 0.0, 100.0, 0.5), fill(20, CloseGridLong, 1.0, 100.0, 0.0)]
}

/// An equity series of whole days: the level of a day, and its lowest value at noon.
fn days(levels: &[(f64, f64)]) -> Vec<f64> {
    levels
        .iter()
        .flat_map(|&(level, lowest)| (0..DAY).map(move |k| if k == 720 { lowest } else { level }))
        .collect()
}

fn flat_days(levels: &[f64]) -> Vec<f64> {
    days(&levels.iter().map(|&level| (level, level)).collect::<Vec<_>>())
}

fn analyse_usd(fills: &[Fill], equity: &[f64]) -> Metrics {
    analyse(
        &History {
            fills,
            usd: equity,
            btc: equity,
            exposure: &[0.25, 0.5].into_iter().collect(),
            collateral: false,
            exposure_limits: [0.0, 0.0],
            interval: Interval::MINUTE,
        },
        Isa::detect(),
    )
    .usd
}

fn value(metrics: &Metrics, name: &str) -> f64 {
    let index = METRIC_NAMES.iter().position(|known| *known == name).expect(name);
    metrics.values()[index]
}

#[track_caller]
fn near(found: f64, expected: f64) {
    let close = (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
    assert!(close || found == expected, "{found} is not {expected}");
}

/// Three days: up 10 % with a dip to 99, then down 5 %.
fn three_days() -> Vec<f64> {
    days(&[(100.0, 100.0), (110.0, 99.0), (104.5, 104.5)])
}

#[test]
fn returns() {
    let m = analyse_usd(&two_fills(), &three_days());
    // Smoothed: 100, 105, 104.75.
    near(m.gain, 1.0475);
    near(m.adg, 1.0475_f64.powf(1.0 / 3.0) - 1.0);
    near(m.mdg, (0.1 - 0.05) / 2.0);
    let m = analyse_usd(&two_fills(), &flat_days(&[100.0, 110.0, 99.0, 99.0]));
    near(m.mdg, 0.0);
}

#[test]
fn ratios() {
    let m = analyse_usd(&two_fills(), &three_days());
    // The minima change by −1 % and by 5.5 ÷ 99.
    let around = ((-0.01 - m.adg).powi(2) + (5.5 / 99.0 - m.adg).powi(2)) / 2.0;
    near(m.sharpe_ratio, m.adg / around.sqrt());
    near(m.sortino_ratio, m.adg / 0.01);
    near(m.omega_ratio, 0.1 / 0.05);
    near(m.expected_shortfall_1pct, 0.01);
}

#[test]
fn drawdowns() {
    let m = analyse_usd(&two_fills(), &three_days());
    near(m.drawdown_worst, 0.01);
    near(m.drawdown_worst_mean_1pct, 0.01);
    near(m.calmar_ratio, m.adg / 0.01);
    near(m.sterling_ratio, m.adg / 0.01);
    // 100, 80, 120, 90: the second fall is from the new peak.
    let m = analyse_usd(&two_fills(), &flat_days(&[100.0, 80.0, 120.0, 90.0]));
    near(m.drawdown_worst, 0.25);
}

#[test]
fn the_worst_percent_of_many_days() {
    // 201 days have 200 changes. Two falls from 100: to 70 and to 60, with a recovery in between.
    let mut levels = vec![100.0; 201];
    levels[50] = 70.0;
    levels[90] = 60.0;
    let m = analyse_usd(&two_fills(), &flat_days(&levels));
    near(m.expected_shortfall_1pct, (0.4 + 0.3) / 2.0);
    near(m.drawdown_worst, 0.4);
    near(m.drawdown_worst_mean_1pct, (0.4 + 0.3) / 2.0);
    // With one change less only the worst counts; drawdowns are counted by days.
    let m = analyse_usd(&two_fills(), &flat_days(&levels[..200]));
    near(m.expected_shortfall_1pct, 0.4);
    near(m.drawdown_worst_mean_1pct, (0.4 + 0.3) / 2.0);
}

#[test]
fn shape_of_the_equity() {
    let m = analyse_usd(&two_fills(), &three_days());
    near(m.equity_choppiness, (10.0 + 5.5) / 4.5);
    near(m.equity_jerkiness, 15.5 / (314.5 / 3.0));
    // Three points leave the line by (1, −2, 1) × (y0 − 2 y1 + y2) ÷ 6.
    let bend = 100.0_f64.ln() - 2.0 * 110.0_f64.ln() + 104.5_f64.ln();
    near(m.exponential_fit_error, bend * bend / 18.0);
    let m = analyse_usd(&two_fills(), &flat_days(&[100.0, 200.0, 400.0, 800.0]));
    near(m.exponential_fit_error, 0.0);
    near(m.equity_choppiness, 1.0);
    near(m.equity_jerkiness, (100.0 / (700.0 / 3.0) + 200.0 / (1400.0 / 3.0)) / 2.0);
    assert_eq!(analyse_usd(&two_fills(), &flat_days(&[100.0, 101.0])).equity_jerkiness, 0.0);
}

#[test]
fn an_incomplete_last_day_counts() {
    let mut equity = flat_days(&[100.0, 110.0]);
    equity.extend([121.0, 120.0, 132.0]);
    let m = analyse_usd(&two_fills(), &equity);
    near(m.gain, (0.5 * 132.0 + 0.5 * 105.0) / 100.0);
    near(m.mdg, (0.1 + 0.2) / 2.0);
    near(m.equity_choppiness, 1.0);
}

/// A long of coin 0 in three fills, a short of coin 1 that stays open, a long of coin 0 opened last.
fn several_fills() -> Vec<Fill> {
    let cost = |fill: Fill, coin: usize, qty: f64, price: f64| Fill { coin, qty, price, ..fill };
    vec![
        cost(fill(60, EntryInitialNormalLong, 0.0, 100.0, 0.5), 0, 0.5, 40.0),
        cost(fill(180, CloseGridLong, 2.0, 100.0, 0.3), 0, -0.2, 50.0),
        cost(fill(1500, CloseGridLong, 4.0, 110.0, 0.0), 0, -0.3, 55.0),
        cost(fill(3000, EntryInitialNormalShort, 0.0, 110.0, -1.0), 1, -1.0, 22.0),
        cost(fill(3300, CloseGridShort, -1.5, 104.5, -0.5), 1, 0.5, 20.9),
        cost(fill(3310, EntryInitialNormalLong, 0.0, 104.5, 0.1), 0, 0.1, 104.5),
    ]
}

#[test]
fn profits_and_volumes() {
    let m = analyse_usd(&several_fills(), &three_days());
    near(m.loss_profit_ratio, 1.5 / 6.0);
    // By day: 20 + 10 of 100; 16.5 of 110; 22 of 110, twice 10.45 of 104.5.
    near(m.volume_pct_per_day_avg, (0.3 + 0.15 + 0.4) / 3.0);
    // A day without a fill is no day.
    let mut fills = several_fills();
    fills.remove(2);
    near(analyse_usd(&fills, &three_days()).volume_pct_per_day_avg, (0.3 + 0.4) / 2.0);
}

#[test]
fn equity_against_balance() {
    // Equity 110 while the balance is still 100 (60 minutes); 99 at noon of the second day; 104.5 against 110
    // from minute 2880 to the fill of minute 3300.
    let m = analyse_usd(&several_fills(), &three_days());
    near(m.equity_balance_diff_pos_max, 0.1);
    near(m.equity_balance_diff_pos_mean, 0.1);
    near(m.equity_balance_diff_neg_max, 0.1);
    near(m.equity_balance_diff_neg_mean, (0.1 + 420.0 * 0.05) / 421.0);
    // Before the first fill the balance is that after it.
    let late =
        [fill(2000, EntryInitialNormalLong, 0.0, 50.0, 1.0), fill(2500, CloseGridLong, 1.0, 50.0, 0.0)];
    let m = analyse_usd(&late, &flat_days(&[100.0, 100.0]));
    near(m.equity_balance_diff_pos_mean, 1.0);
    assert_eq!((m.equity_balance_diff_neg_max, m.equity_balance_diff_neg_mean), (0.0, 0.0));
    // Of two fills in a minute the last one counts.
    let twice = [fill(0, EntryInitialNormalLong, 0.0, 50.0, 1.0), fill(0, CloseGridLong, 1.0, 100.0, 0.0)];
    let m = analyse_usd(&twice, &flat_days(&[100.0, 100.0]));
    assert_eq!((m.equity_balance_diff_pos_max, m.equity_balance_diff_neg_max), (0.0, 0.0));
}

#[test]
fn position_times() {
    // Held: 1440 minutes, 310 up to the last fill, 0. Unchanged: 120, 1320, 300, 10 and zeros.
    let m = analyse_usd(&several_fills(), &three_days());
    near(m.positions_held_per_day, 3.0 / 3.0);
    near(m.position_held_hours_mean, 1750.0 / 180.0);
    near(m.position_held_hours_max, 24.0);
    near(m.position_held_hours_median, 310.0 / 60.0);
    near(m.position_unchanged_hours_max, 22.0);
    // An even number of positions: the mean of the middle two. Days are counted in samples.
    let m = analyse_usd(&several_fills()[..5], &three_days()[..4000]);
    near(m.positions_held_per_day, 2.0 / (4000.0 / 1440.0));
    near(m.position_held_hours_median, (1440.0 + 300.0) / 120.0);
}

#[test]
fn long_and_short_of_a_coin_are_two_positions() {
    let fills = [
        fill(0, EntryInitialNormalLong, 0.0, 100.0, 1.0),
        fill(60, EntryInitialNormalShort, 0.0, 100.0, -1.0),
        fill(180, CloseGridLong, 1.0, 100.0, 0.0),
        fill(1000, CloseGridShort, 1.0, 100.0, 0.0),
    ];
    let m = analyse_usd(&fills, &three_days());
    near(m.position_held_hours_mean, (180.0 + 940.0) / 120.0);
    near(m.position_held_hours_max, 940.0 / 60.0);
    near(m.position_unchanged_hours_max, 940.0 / 60.0);
}

#[test]
fn a_position_that_never_changes_is_unchanged_to_the_last_fill() {
    let fills = [
        fill(0, EntryInitialNormalLong, 0.0, 100.0, 1.0),
        fill(600, EntryInitialNormalShort, 0.0, 100.0, -1.0),
    ];
    let m = analyse_usd(&fills, &three_days());
    near(m.position_unchanged_hours_max, 10.0);
    near(m.position_held_hours_median, 600.0 / 120.0);
}

#[test]
fn without_any_movement() {
    let m = analyse_usd(&two_fills(), &flat_days(&[100.0, 100.0, 100.0]));
    assert_eq!((m.gain, m.adg, m.mdg), (1.0, 0.0, 0.0));
    assert_eq!((m.sharpe_ratio, m.sortino_ratio, m.calmar_ratio, m.sterling_ratio), (0.0, 0.0, 0.0, 0.0));
    assert_eq!((m.drawdown_worst, m.expected_shortfall_1pct, m.equity_jerkiness), (0.0, 0.0, 0.0));
    assert_eq!((m.omega_ratio, m.equity_choppiness), (f64::INFINITY, f64::INFINITY));
    assert_eq!((m.omega_ratio_w, m.equity_choppiness_w), (f64::INFINITY, f64::INFINITY));
}

#[test]
fn infinite_values() {
    let rising = flat_days(&[100.0, 110.0, 120.0]);
    let m = analyse_usd(&two_fills(), &rising);
    assert_eq!((m.omega_ratio, m.sortino_ratio), (f64::INFINITY, 0.0));
    // No profit at all, be there losses or not.
    for pnl in [0.0, -1.0] {
        let fills =
            [fill(10, EntryInitialNormalLong, 0.0, 100.0, 0.5), fill(20, CloseGridLong, pnl, 100.0, 0.0)];
        let m = analyse_usd(&fills, &rising);
        assert_eq!((m.loss_profit_ratio, m.loss_profit_ratio_w), (f64::INFINITY, f64::INFINITY));
    }
    // Equity that starts at nothing, and equity that ends below.
    let m = analyse_usd(&two_fills(), &flat_days(&[0.0, 10.0, 20.0]));
    assert_eq!((m.gain, m.adg, m.adg_w), (f64::INFINITY, f64::INFINITY, f64::INFINITY));
    assert_eq!(m.exponential_fit_error, f64::INFINITY);
    let m = analyse_usd(&two_fills(), &flat_days(&[100.0, 10.0, -300.0]));
    assert_eq!((m.gain, m.adg), (-1.0, -1.0));
    assert_eq!(m.exponential_fit_error, f64::INFINITY);
}

/// The values of §2.
fn is_default(metrics: &Metrics) {
    let one = [
        "drawdown_worst",
        "drawdown_worst_mean_1pct",
        "equity_balance_diff_neg_max",
        "equity_balance_diff_neg_mean",
        "equity_balance_diff_pos_max",
        "equity_balance_diff_pos_mean",
        "loss_profit_ratio",
        "equity_choppiness",
        "equity_jerkiness",
        "exponential_fit_error",
        "loss_profit_ratio_w",
        "equity_choppiness_w",
        "equity_jerkiness_w",
        "exponential_fit_error_w",
    ];
    for name in METRIC_NAMES {
        assert_eq!(value(metrics, name), if one.contains(name) { 1.0 } else { 0.0 }, "{name}");
    }
}

#[test]
fn the_default_analysis() {
    is_default(&analyse_usd(&[], &three_days()));
    is_default(&analyse_usd(&several_fills()[..1], &three_days()));
    is_default(&analyse_usd(&[], &[]));
    // Two fills within a single day: a day has no changes.
    is_default(&analyse_usd(&two_fills(), &flat_days(&[100.0])));
    is_default(&analyse_usd(&two_fills(), &[]));
    // One sample more is a second day.
    let mut equity = flat_days(&[100.0]);
    equity.push(110.0);
    near(analyse_usd(&two_fills(), &equity).gain, 1.05);
}

#[test]
fn recency_subsets_stop_with_the_fills() {
    // Two days: every subset but the first is a day or less, the default analysis. They start at minutes 1440,
    // 1920, 2160: the fill of minute 2000 belongs to the first two of them.
    let fills =
        [fill(10, EntryInitialNormalLong, 0.0, 100.0, 0.5), fill(2000, CloseGridLong, 2.0, 100.0, 0.0)];
    let m = analyse_usd(&fills, &days(&[(100.0, 90.0), (110.0, 80.0)]));
    near(m.adg_w, m.adg / 10.0);
    near(m.mdg_w, 0.1 / 10.0);
    near(m.sharpe_ratio_w, m.sharpe_ratio / 10.0);
    near(m.sortino_ratio_w, m.sortino_ratio / 10.0);
    near(m.calmar_ratio_w, m.calmar_ratio / 10.0);
    near(m.sterling_ratio_w, m.sterling_ratio / 10.0);
    near(m.volume_pct_per_day_avg_w, 0.1 / 10.0);
    near(m.equity_choppiness_w, (1.0 + 2.0) / 10.0);
    near(m.equity_jerkiness_w, (0.0 + 2.0) / 10.0);
    near(m.exponential_fit_error_w, (0.0 + 2.0) / 10.0);
    near(m.loss_profit_ratio_w, (0.0 + 2.0) / 10.0);
    // A fill at the very start of the third subset belongs to it, one minute earlier it does not.
    let last_at = |minute| {
        let fills = [fills[0], fill(minute, CloseGridLong, 2.0, 100.0, 0.0)];
        analyse_usd(&fills, &flat_days(&[100.0, 110.0])).loss_profit_ratio_w
    };
    near(last_at(2160), 0.3);
    near(last_at(2159), 0.2);
    // 2880 − 2880 ÷ 7 is 2468.57: the subset starts at 2469.
    near(last_at(2469), 0.6);
    near(last_at(2468), 0.5);
    near(last_at(2879), 0.9);
}

#[test]
fn recency_subsets_are_runs_of_their_own() {
    // Twenty-three days and a bit, a fill every 500 minutes.
    let n = 23 * DAY + 77;
    let equity: Vec<f64> =
        (0..n).map(|k| 1000.0 + (k as f64 / 900.0).sin() * 20.0 + k as f64 / 700.0).collect();
    let fills: Vec<Fill> = (1..67)
        .map(|i| match i % 4 {
            1 => fill(i * 500, EntryInitialNormalLong, 0.0, 1000.0, 1.0),
            2 => fill(i * 500, EntryGridNormalLong, 0.0, 1001.0, 2.0),
            3 => fill(i * 500, CloseGridLong, i as f64, 1002.0, 1.0),
            _ => fill(i * 500, CloseGridLong, -0.7 * i as f64, 1003.0, 0.0),
        })
        .collect();
    let m = analyse_usd(&fills, &equity);
    let weighted = [
        "adg",
        "mdg",
        "sharpe_ratio",
        "sortino_ratio",
        "omega_ratio",
        "calmar_ratio",
        "sterling_ratio",
        "loss_profit_ratio",
        "equity_choppiness",
        "equity_jerkiness",
        "exponential_fit_error",
        "volume_pct_per_day_avg",
    ];
    let starts = [0, 16599, 22131, 24898, 26558, 27664, 28455, 29047, 29508, 29877];
    for name in weighted {
        let sum: f64 = starts
            .iter()
            .enumerate()
            .map(|(i, &start)| {
                let exact = n as f64 * i as f64 / (i as f64 + 1.0);
                assert!((start as f64 - exact).abs() <= 0.5, "start of subset {i}: {exact}");
                let since: Vec<Fill> = fills.iter().copied().filter(|fill| fill.minute >= start).collect();
                assert!(since.len() > 1);
                value(&analyse_usd(&since, &equity[start..]), name)
            })
            .sum();
        let found = value(&m, &format!("{name}_w"));
        assert!(found.is_finite() && found != value(&m, name), "{name}");
        near(found, sum / 10.0);
    }
}

#[test]
fn exposure_statistics() {
    let with = |exposure: &[f64]| {
        let equity = three_days();
        let mut fills = two_fills();
        fills[0].total_wallet_exposure = 0.3;
        let history = History {
            fills: &fills,
            usd: &equity,
            btc: &equity,
            exposure: &exposure.iter().copied().collect(),
            collateral: false,
            exposure_limits: [0.0, 0.0],
            interval: Interval::MINUTE,
        };
        let m = analyse(&history, Isa::detect()).usd;
        (m.total_wallet_exposure_max, m.total_wallet_exposure_mean, m.total_wallet_exposure_median)
    };
    assert_eq!(with(&[0.5, 0.0, 1.0]), (1.0, 0.5, 0.5));
    assert_eq!(with(&[0.5, 0.25, 1.0, 0.25]), (1.0, 0.5, 0.375));
    assert_eq!(with(&[0.5, f64::NAN, 0.25, f64::INFINITY]), (0.5, 0.375, 0.375));
    assert_eq!(with(&[f64::NAN]), (0.0, 0.0, 0.0));
    // Without a series the fills have it.
    assert_eq!(with(&[]), (0.3, 0.15, 0.15));
}

fn collateral(fills: &[Fill], usd: &[f64], btc: &[f64], exposure_limits: [f64; 2]) -> Analysis {
    analyse(
        &History {
            fills,
            usd,
            btc,
            exposure: &[0.5].into_iter().collect(),
            collateral: true,
            exposure_limits,
            interval: Interval::MINUTE,
        },
        Isa::detect(),
    )
}

#[test]
fn the_btc_set() {
    let priced = |fill: Fill, btc_price: f64| Fill { btc_price, ..fill };
    let fills = [
        priced(fill(10, EntryInitialNormalLong, 0.0, 100.0, 1.0), 1.0),
        priced(fill(1500, CloseGridLong, 4.0, 100.0, 0.5), 2.0),
        priced(fill(1600, CloseGridLong, -3.0, 100.0, 0.0), 1.0),
    ];
    let (usd, btc) = (flat_days(&[100.0, 110.0]), flat_days(&[50.0, 60.0]));
    let analysis = collateral(&fills, &usd, &btc, [0.0, 0.0]);
    near(analysis.usd.gain, 1.05);
    near(analysis.btc.gain, 1.1);
    near(analysis.usd.loss_profit_ratio, 0.75);
    near(analysis.btc.loss_profit_ratio, 1.5);
    // 10 of 100 each; in BTC the second balance is 50.
    near(analysis.usd.volume_pct_per_day_avg, (0.1 + 0.2) / 2.0);
    near(analysis.btc.volume_pct_per_day_avg, (0.1 + 0.3) / 2.0);
    // The balance in BTC: 100, then 50 for a hundred minutes, then 100.
    near(analysis.btc.equity_balance_diff_pos_max, 0.2);
    near(analysis.btc.equity_balance_diff_neg_max, 0.5);
    assert_eq!(analysis.btc.total_wallet_exposure_max, analysis.usd.total_wallet_exposure_max);
    assert_eq!(analysis.btc.position_held_hours_max, analysis.usd.position_held_hours_max);
    // Without collateral the BTC set is the USD set.
    let history = History {
        fills: &fills,
        usd: &usd,
        btc: &btc,
        exposure: &[0.5].into_iter().collect(),
        collateral: false,
        exposure_limits: [0.0, 0.0],
        interval: Interval::MINUTE,
    };
    let analysis = analyse(&history, Isa::detect());
    assert_eq!(analysis.usd, analysis.btc);
}

#[test]
fn hours_of_a_flat_btc_balance() {
    let holding = |minute: usize, balance_btc: f64| Fill {
        balance_btc,
        ..fill(minute, EntryGridNormalLong, 0.0, 100.0, 1.0)
    };
    let fills = [holding(30, 1.0), holding(60, 1.0), holding(150, 1.5), holding(170, 1.5), holding(630, 1.6)];
    let equity = three_days();
    let hours = |fills: &[Fill]| {
        let analysis = collateral(fills, &equity, &equity, [0.0, 0.0]);
        assert_eq!(analysis.btc.flat_btc_balance_hours, 0.0);
        analysis.usd.flat_btc_balance_hours
    };
    assert_eq!(hours(&fills), 480.0 / 60.0);
    assert_eq!(hours(&fills[..4]), 120.0 / 60.0);
    // The stretch from the last change to the end does not count; one noted minute is none.
    assert_eq!(hours(&fills[..2]), 0.0);
    assert_eq!(hours(&[]), 0.0);
    assert_eq!(analyse_usd(&fills, &equity).flat_btc_balance_hours, 0.0);
}

#[test]
fn values_per_exposure() {
    let fills = several_fills();
    let (usd, btc) = (three_days(), flat_days(&[1.0, 2.0, 1.5]));
    for limits in [[0.5, 2.0], [0.0, 1.5], [-1.0, 0.25]] {
        let analysis = collateral(&fills, &usd, &btc, limits);
        for metrics in [&analysis.usd, &analysis.btc] {
            for name in ["adg", "adg_w", "mdg", "mdg_w", "gain"] {
                for (side, limit) in ["long", "short"].into_iter().zip(limits) {
                    let expected = if limit > 0.0 { value(metrics, name) / limit } else { 0.0 };
                    assert_eq!(
                        value(metrics, &format!("{name}_per_exposure_{side}")),
                        expected,
                        "{name} {side}"
                    );
                }
            }
        }
    }
    let infinite = analyse(
        &History {
            fills: &two_fills(),
            usd: &flat_days(&[0.0, 10.0, 20.0]),
            btc: &[],
            exposure: &Exposure::default(),
            collateral: false,
            exposure_limits: [0.5, 0.5],
            interval: Interval::MINUTE,
        },
        Isa::detect(),
    );
    assert_eq!(infinite.usd.gain_per_exposure_long, f64::INFINITY);
}
