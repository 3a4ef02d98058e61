//! Panels that no exchange should send: NaN, holes, extreme prices, no volume, steps of any size.
//!
//! Whatever the candles, a run ends, and the fast path, where it covers it, gives the bits of the plain one. Each case is
//! made of parts that shrink one by one; what was once found is kept in `proptest-regressions`. Longer runs:
//! `PROPTEST_CASES=100000 cargo test --release --test odd_panels`.

mod common;

use common::{Columns, Tables, World};
use passivbot_core::analysis::{METRIC_NAMES, Metrics, is_daily};
use passivbot_core::candles::{CoinCandles, Panel};
use passivbot_core::fast::Blocks;
use passivbot_core::grid::Warmup;
use passivbot_core::interval::Interval;
use passivbot_core::isa::Isa;
use passivbot_core::params::{BotParams, SIDE_COMPONENTS, SideParams};
use passivbot_core::run::{Backtest, Candidate, backtest, evaluate_batch};
use passivbot_core::types::MarketRules;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

/// What happens in a minute.
#[derive(Clone, Copy, Debug)]
enum Minute {
    /// The price goes to this multiple, with a wick of this share on both sides.
    Moves(f64, f64),
    /// Nothing is traded at an unchanged price.
    Rests,
    /// There is no candle.
    Lacks,
    /// One number of the candle (high, low, close, volume) is this.
    Holds(usize, f64),
}

/// A coin: first price, whether prices are on steps, lacking minutes at both ends, its minutes.
#[derive(Clone, Debug)]
struct Coin {
    price: f64,
    on_steps: bool,
    late: usize,
    early: usize,
    minutes: Vec<Minute>,
    rules: MarketRules,
}

fn power_of_ten(range: std::ops::Range<i32>) -> impl Strategy<Value = f64> {
    range.prop_map(|exponent| 10f64.powi(exponent))
}

/// A minute of candles that shortcuts may be taken over.
fn sound_minute() -> impl Strategy<Value = Minute> {
    prop_oneof![
        30 => (-0.02..0.02f64, 0.0..0.01f64).prop_map(|(move_, wick)| Minute::Moves(1.0 + move_, wick)),
        4 => Just(Minute::Rests),
        2 => (0.5..2.0f64, 0.0..0.5f64).prop_map(|(factor, wick)| Minute::Moves(factor, wick)),
        1 => power_of_ten(-6..7).prop_map(|factor| Minute::Moves(factor, 0.0)),
        1 => prop_oneof![Just(0.0), Just(1e-300), Just(1e300)].prop_map(|volume| Minute::Holds(3, volume)),
    ]
}

/// A minute of any candles.
fn any_minute() -> impl Strategy<Value = Minute> {
    let number = prop_oneof![
        3 => Just(f64::NAN),
        1 => Just(0.0),
        1 => Just(-1.0),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(f64::MAX),
        1 => Just(f64::MIN_POSITIVE),
        1 => any::<f64>(),
    ];
    prop_oneof![
        40 => sound_minute(),
        1 => Just(Minute::Lacks),
        1 => (0..4usize, number).prop_map(|(field, number)| Minute::Holds(field, number)),
    ]
}

fn rules() -> impl Strategy<Value = MarketRules> {
    let small = prop_oneof![Just(0.0), power_of_ten(-9..4)];
    (power_of_ten(-12..4), power_of_ten(-12..4), small.clone(), small, power_of_ten(-3..4)).prop_map(
        |(qty_step, price_step, min_qty, min_cost, c_mult)| MarketRules {
            qty_step,
            price_step,
            min_qty,
            min_cost,
            c_mult,
        },
    )
}

fn coin(minute: impl Strategy<Value = Minute>) -> impl Strategy<Value = Coin> {
    let lacking = prop_oneof![4 => Just(0), 1 => 0..200usize];
    (power_of_ten(-9..9), any::<bool>(), lacking.clone(), lacking, vec(minute, 1..600), rules()).prop_map(
        |(price, on_steps, late, early, minutes, rules)| Coin {
            price,
            on_steps,
            late,
            early,
            minutes,
            rules,
        },
    )
}

fn columns(coin: &Coin, minutes: usize) -> Columns {
    let step = coin.rules.price_step;
    let rounded =
        |x: f64| if coin.on_steps { ((x / step).round() * step).max(step) } else { x.max(f64::MIN_POSITIVE) };
    let mut columns: Columns = std::array::from_fn(|_| vec![f64::NAN; minutes]);
    let mut price = coin.price;
    for (k, minute) in coin.minutes.iter().enumerate() {
        let k = k + coin.late;
        let open = price;
        let (mut wick, mut volume, mut held) = (0.0, 1000.0 * price, None);
        match *minute {
            Minute::Moves(factor, reach) => {
                price = (price * factor).clamp(1e-12, 1e12);
                wick = reach;
            }
            Minute::Rests => volume = 0.0,
            Minute::Lacks => continue,
            Minute::Holds(field, number) => held = Some((field, number)),
        }
        columns[0][k] = rounded(open.max(price) * (1.0 + wick));
        columns[1][k] = rounded(open.min(price) * (1.0 - wick));
        columns[2][k] = rounded(price).clamp(columns[1][k], columns[0][k]);
        columns[3][k] = volume;
        if let Some((field, number)) = held {
            columns[field][k] = number;
        }
    }
    columns
}

/// Ranges of the 29 components, somewhat wider than a search's.
const RANGES: [(f64, f64); SIDE_COMPONENTS] = [
    (-0.01, 0.05),
    (-0.01, 0.05),
    (-0.1, 1.5),
    (-1.0, 1.0),
    (-0.1, 1.5),
    (0.0, 0.03),
    (-0.02, 0.03),
    (1.0, 200.0),
    (1.0, 200.0),
    (0.0, 4.0),
    (0.0, 20.0),
    (0.0, 50.0),
    (0.0, 0.05),
    (-1.0, 5.0),
    (-0.05, 0.02),
    (0.0, 0.3),
    (0.0, 4.0),
    (-1.0, 1.0),
    (0.0, 0.03),
    (-0.02, 0.03),
    (1.0, 200.0),
    (0.0, 1.0),
    (1.0, 200.0),
    (0.0, 4.0),
    (0.0, 4.0),
    (0.0, 0.3),
    (-0.05, 0.02),
    (0.0, 0.5),
    (0.0, 1.0),
];

fn side() -> impl Strategy<Value = SideParams> {
    // The ends and the middle of a range are where formulas change: zero ratios, full closes, spans of one minute.
    let share = prop_oneof![1 => Just(0.0), 1 => Just(0.5), 1 => Just(1.0), 12 => 0.0..1.0f64];
    // Boxed: by value, 29 trees of such a choice are 66 KB, and code that is not optimised copies them until the stack of a
    // test is full.
    let share = share.boxed();
    (proptest::array::uniform29(share), any::<bool>()).prop_map(|(shares, enforce)| {
        let values = std::array::from_fn(|i| RANGES[i].0 + (RANGES[i].1 - RANGES[i].0) * shares[i]);
        SideParams::from_components(&values, enforce)
    })
}

/// Both sides, and the minutes of warm-up; 0: as the parameters ask.
type Bot = (SideParams, SideParams, usize);

fn bots() -> impl Strategy<Value = Vec<Bot>> {
    vec((side(), side(), prop_oneof![Just(0), 1..50usize]), 1..4)
}

#[derive(Clone, Debug)]
struct Case {
    coins: Vec<Coin>,
    bots: Vec<Bot>,
    balance: f64,
    fee: f64,
    collateral: bool,
    first_minute: i64,
}

fn case(coins: impl Strategy<Value = Vec<Coin>>) -> impl Strategy<Value = Case> {
    let fee = prop_oneof![Just(0.0), -0.001..0.01f64];
    (coins, bots(), power_of_ten(-3..9), fee, any::<bool>(), 0..60i64).prop_map(
        |(coins, bots, balance, fee, collateral, first_minute)| Case {
            coins,
            bots,
            balance,
            fee,
            collateral,
            first_minute,
        },
    )
}

impl Case {
    fn world(&self) -> World {
        let length = |coin: &Coin| coin.late + coin.minutes.len() + coin.early;
        let minutes = self.coins.iter().map(length).max().unwrap_or(0);
        let first_ms = 1_600_000_020_000 + self.first_minute * 60_000;
        let btc = |k: usize| 30_000.0 + 50.0 * ((k * 7) % 13) as f64;
        World {
            columns: self.coins.iter().map(|coin| columns(coin, minutes)).collect(),
            rules: self.coins.iter().map(|coin| coin.rules).collect(),
            interval: Interval::MINUTE,
            first_ms,
            requested_ms: first_ms,
            fee: self.fee,
            balance: self.balance,
            btc_usd: self.collateral.then(|| (0..minutes).map(btc).collect()),
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let coins = self.coins.len();
        let candidate = |&(long, short, minutes): &Bot| {
            let params = vec![BotParams { long, short }; coins];
            let warmup = match minutes {
                0 => Warmup::from_spans(&params),
                _ => Warmup { global: minutes, coins: vec![minutes; coins] },
            };
            let exposure_limits = [long.total_wallet_exposure_limit, short.total_wallet_exposure_limit];
            Candidate { params, warmup, exposure_limits, stop: None }
        };
        self.bots.iter().map(candidate).collect()
    }
}

/// All fields of all fills: their text names every bit, and a NaN is like another one.
fn text(run: &Backtest) -> String {
    format!("{:?}", run.fills)
}

/// The same bits, or the first place where they are not. Which NaN an operation gives, Rust leaves open.
fn equal(what: &str, a: &[f64], b: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len(), "{}", what);
    let other = a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()));
    prop_assert!(
        other.is_none(),
        "{what} {other:?}: {:?} and {:?}",
        other.map(|k| a[k]),
        other.map(|k| b[k])
    );
    Ok(())
}

/// The metrics that `evaluate` gives where no others are asked for.
fn days_only(metrics: &Metrics) -> Vec<f64> {
    METRIC_NAMES.iter().zip(metrics.values()).filter(|(name, _)| is_daily(name)).map(|(_, v)| v).collect()
}

/// Every run ends, has an account of every bar, and both paths agree.
fn check(case: &Case, minutes: usize) -> Result<(), TestCaseError> {
    let world = World { interval: Interval::of_minutes(minutes).unwrap(), ..case.world() };
    let panel = world.panel();
    let market = world.market(&panel);
    let tables = Tables::of(&panel);
    let prepared = tables.as_ref().map(|tables| tables.prepared(&panel));
    let candidates = case.candidates();
    let mut plain = Vec::new();
    for candidate in &candidates {
        let run = backtest(market, None, candidate, Isa::BASELINE).unwrap();
        prop_assert_eq!(run.usd.len(), panel.bars() - 1);
        prop_assert_eq!(run.btc.len(), panel.bars() - 1);
        prop_assert!(run.fills.iter().all(|fill| fill.minute < panel.minute(panel.bars())));
        prop_assert!(run.fills.is_sorted_by_key(|fill| fill.minute));
        plain.push(run);
    }
    for isa in Isa::available() {
        let batch = evaluate_batch(market, prepared.as_ref(), &candidates, true, isa).unwrap();
        for ((candidate, plain), metrics) in candidates.iter().zip(&plain).zip(&batch) {
            equal("daily metrics", &days_only(&plain.analysis.usd), &days_only(&metrics.usd))?;
            equal("daily BTC metrics", &days_only(&plain.analysis.btc), &days_only(&metrics.btc))?;
            let fast = backtest(market, prepared.as_ref(), candidate, isa).unwrap();
            prop_assert_eq!(text(plain), text(&fast));
            equal("equity", &plain.usd, &fast.usd)?;
            equal("BTC equity", &plain.btc, &fast.btc)?;
            equal("metrics", &plain.analysis.usd.values(), &fast.analysis.usd.values())?;
            equal("BTC metrics", &plain.analysis.btc.values(), &fast.analysis.btc.values())?;
        }
    }
    Ok(())
}

/// Where seeds of failures are kept; a committed one runs first, every time.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/odd_panels.txt");

fn settings() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(SEEDS))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn sound_candles_of_any_size_give_the_same_bits(case in case(vec(coin(sound_minute()), 1..4))) {
        check(&case, 1)?;
    }

    #[test]
    fn any_candles_end_in_a_result(case in case(vec(coin(any_minute()), 1..4))) {
        check(&case, 1)?;
    }

    #[test]
    fn longer_bars_of_any_candles_too(case in case(vec(coin(any_minute()), 1..4)), twice in any::<bool>()) {
        check(&case, if twice { 2 } else { 60 })?;
    }
}

#[test]
fn impossible_prices_take_no_shortcuts() {
    let close = vec![100.0; 10];
    for (price, regular) in [(99.0, true), (f64::MIN_POSITIVE, false), (1e31, false)] {
        let mut odd = close.clone();
        odd[4] = price;
        let columns = CoinCandles { high: &odd, low: &odd, close: &close, volume: &close };
        let panel = Panel::new(0, vec![columns], None).unwrap();
        assert_eq!(Blocks::of(&panel).is_some(), regular, "{price}");
    }
}

#[test]
fn the_cases_trade_on_both_paths() {
    let mut runner = TestRunner::deterministic();
    let (mut fills, mut covered) = (0, 0);
    for _ in 0..200 {
        let case = case(vec(coin(sound_minute()), 1..4)).new_tree(&mut runner).unwrap().current();
        let world = case.world();
        let panel = world.panel();
        covered += usize::from(Blocks::of(&panel).is_some());
        for candidate in case.candidates() {
            fills += backtest(world.market(&panel), None, &candidate, Isa::BASELINE).unwrap().fills.len();
        }
    }
    assert!(fills > 2000, "{fills} fills");
    assert!(covered > 150, "{covered} of 200 panels have shortcuts");
}
