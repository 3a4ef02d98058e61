//! The order planner against the check values of trading-semantics' appendix, and rule by rule.

mod closes;
mod entries;
mod triggers;
mod unstuck;

use passivbot_core::num;
use passivbot_core::params::{SIDE_COMPONENTS, SideParams};
use passivbot_core::planner::{
    Long, Short, Side, Situation, StuckPosition, band_allows_unstuck, close_ladder, delisting_close,
    entry_ladder, is_stuck, next_close, next_entry, unstuck_close,
};
use passivbot_core::types::{Bands, MarketRules, Order, OrderType, Position, Trailing};

const RULES: MarketRules =
    MarketRules { qty_step: 0.001, price_step: 0.1, min_qty: 0.001, min_cost: 5.0, c_mult: 1.0 };

/// The appendix' parameters of both tables.
fn params() -> SideParams {
    SideParams {
        entry_grid_double_down_factor: 0.9,
        entry_grid_spacing_pct: 0.02,
        entry_grid_spacing_we_weight: 0.7,
        entry_grid_spacing_log_weight: 10.0,
        entry_initial_ema_dist: -0.005,
        entry_initial_qty_pct: 0.02,
        entry_trailing_double_down_factor: 1.2,
        entry_trailing_threshold_pct: 0.01,
        entry_trailing_retracement_pct: 0.005,
        close_grid_markup_start: 0.008,
        close_grid_markup_end: 0.004,
        close_grid_qty_pct: 0.25,
        close_trailing_qty_pct: 0.4,
        close_trailing_threshold_pct: 0.006,
        close_trailing_retracement_pct: 0.003,
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

fn at(size: f64) -> Position {
    Position { size, price: if size == 0.0 { 0.0 } else { 2000.0 } }
}

/// `qty @ price, type` without the side, as the appendix writes it.
fn text(order: &Order) -> String {
    let name = order.kind.name();
    let (kind, side) = name.rsplit_once('_').unwrap_or((name, ""));
    assert!(order.is_none() || ["long", "short"].contains(&side), "{name}");
    let kind = kind.trim_start_matches("entry_").trim_start_matches("close_");
    format!("{} @ {:?} {kind}", order.qty, order.price)
}

fn entries<S: Side>(s: &Situation<'_>, size: f64) -> Vec<String> {
    let mut ladder = Vec::new();
    entry_ladder::<S>(s, &at(size), &mut ladder);
    check_sides::<S>(&ladder, S::SIGN);
    ladder.iter().map(text).collect()
}

fn closes<S: Side>(s: &Situation<'_>, size: f64) -> Vec<String> {
    let mut ladder = Vec::new();
    close_ladder::<S>(s, &at(size), &mut ladder);
    check_sides::<S>(&ladder, -S::SIGN);
    ladder.iter().map(text).collect()
}

fn check_sides<S: Side>(ladder: &[Order], sign: f64) {
    for order in ladder {
        assert_eq!(order.kind.is_long(), S::LONG, "{order:?}");
        assert_eq!(order.qty.signum(), sign, "{order:?}");
    }
}

/// The next entry of that side, as text; "none" for no order.
fn entry<S: Side>(s: &Situation<'_>, size: f64) -> String {
    let order = next_entry::<S>(s, &at(size));
    if order.is_none() { "none".into() } else { text(&order) }
}

fn close<S: Side>(s: &Situation<'_>, size: f64) -> String {
    let order = next_close::<S>(s, &at(size));
    if order.is_none() { "none".into() } else { text(&order) }
}

/// Threshold and retracement, then the price of the trailing order; None: it waits.
type Trigger = (f64, f64, Option<f64>);

#[test]
fn entry_ladders_of_the_appendix() {
    type Row = (bool, f64, f64, usize, &'static [&'static str]);
    let rows: [Row; 8] = [
        (
            true,
            0.0,
            0.0,
            7,
            &[
                "0.051 @ 1970.0 initial_normal",
                "0.052 @ 1926.1 grid_normal",
                "0.093 @ 1903.8 grid_normal",
                "0.176 @ 1882.5 grid_normal",
            ],
        ),
        (
            true,
            0.0,
            0.04,
            7,
            &[
                "0.01 @ 1970.0 initial_partial",
                "0.051 @ 1949.5 grid_normal",
                "0.091 @ 1927.0 grid_normal",
                "0.173 @ 1905.4 grid_normal",
            ],
        ),
        (true, 0.0, 1.2, 1, &["1.338 @ 1942.5 grid_inflated"]),
        (
            true,
            0.4,
            0.5,
            3,
            &["0.518 @ 1970.0 trailing_cropped", "0.916 @ 1929.8 grid_normal", "0.64 @ 1894.8 grid_cropped"],
        ),
        (true, -0.3, 1.2, 1, &["0.586 @ 1936.9 grid_cropped"]),
        (true, 0.0, 2.5, 0, &[]),
        (false, 0.0, -1.2, 1, &["-1.264 @ 2057.5 grid_inflated"]),
        (
            false,
            0.4,
            -0.5,
            3,
            &[
                "-0.507 @ 2010.0 trailing_cropped",
                "-0.906 @ 2060.5 grid_normal",
                "-0.531 @ 2098.1 grid_cropped",
            ],
        ),
    ];
    for (long, ratio, size, count, expected) in rows {
        let params = SideParams { entry_trailing_grid_ratio: ratio, ..params() };
        let s = situation(&params);
        let ladder = if long { entries::<Long>(&s, size) } else { entries::<Short>(&s, size) };
        assert_eq!(ladder.len(), count, "long {long}, r {ratio}, size {size}: {ladder:?}");
        assert_eq!(&ladder[..expected.len()], expected, "long {long}, r {ratio}, size {size}");
    }
}

#[test]
fn close_ladders_of_the_appendix() {
    type Row = (bool, f64, f64, &'static [&'static str]);
    let rows: [Row; 8] = [
        (true, 0.0, 1.2, &["-0.625 @ 2012.2 grid", "-0.575 @ 2014.2 grid"]),
        (
            true,
            0.0,
            2.4,
            &["-0.625 @ 2008.4 grid", "-0.625 @ 2010.4 grid", "-0.625 @ 2012.4 grid", "-0.525 @ 2014.4 grid"],
        ),
        (
            true,
            0.0,
            2.7,
            &[
                "-0.175 @ 1970.0 auto_reduce",
                "-0.65 @ 2008.0 grid",
                "-0.625 @ 2010.0 grid",
                "-0.625 @ 2012.0 grid",
                "-0.625 @ 2014.0 grid",
            ],
        ),
        (true, 0.4, 1.6, &["-0.606 @ 2014.1 grid"]),
        (
            true,
            -0.3,
            2.0,
            &[
                "-0.253 @ 2006.0 trailing",
                "-0.625 @ 2010.5 grid",
                "-0.625 @ 2012.5 grid",
                "-0.497 @ 2014.5 grid",
            ],
        ),
        (true, 1.0, 1.2, &["-1 @ 2006.0 trailing"]),
        (false, 0.0, -1.2, &["1.2 @ 1970.0 grid"]),
        (false, 0.4, -1.6, &["0.606 @ 1970.0 grid"]),
    ];
    for (long, ratio, size, expected) in rows {
        let params = SideParams { close_trailing_grid_ratio: ratio, ..params() };
        let s = situation(&params);
        let ladder = if long { closes::<Long>(&s, size) } else { closes::<Short>(&s, size) };
        assert_eq!(ladder, expected, "long {long}, r {ratio}, size {size}");
    }
}
