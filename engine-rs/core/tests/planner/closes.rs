//! Regular closes, trading-semantics §16.1.

use super::*;

#[test]
fn whole_closes() {
    for pct in [-0.1, 1.0, 1.5] {
        let params = SideParams { close_grid_qty_pct: pct, ..params() };
        let s = situation(&params);
        assert_eq!(closes::<Long>(&s, 1.2), ["-1.2 @ 2016.0 grid"]);
        assert_eq!(closes::<Short>(&Situation { bid: 1990.0, ..s }, -1.2), ["1.2 @ 1984.0 grid"]);
    }
    let params = SideParams { close_grid_markup_end: 0.008, ..params() };
    let s = situation(&params);
    assert_eq!(closes::<Long>(&s, 1.2), ["-1.2 @ 2016.0 grid"]);
    assert_eq!(closes::<Long>(&Situation { ask: 2050.0, ..s }, 1.2), ["-1.2 @ 2050.0 grid"]);
    assert_eq!(closes::<Short>(&s, -1.2), ["1.2 @ 1970.0 grid"]);
    assert!(closes::<Long>(&s, 0.0).is_empty());
}

#[test]
fn a_take_profit_is_at_least_one_of_the_steps_between_its_prices() {
    // From 2016 to 2008 are 80 steps of 0.1: 1 ÷ 80 of the full size of 2.5, up to a step of 0.001.
    let params = SideParams { close_grid_qty_pct: 0.0, ..params() };
    assert_eq!(close::<Long>(&situation(&params), 1.0), "-0.032 @ 2012.8 grid");
}

#[test]
fn closes_leave_no_crumbs() {
    // 2 % of the full size of 2.5 is 0.05; an order is at least 5 ÷ price, 0.003.
    let params = SideParams { close_grid_qty_pct: 0.02, close_grid_markup_end: 0.0, ..params() };
    let rows = [
        (0.05, 0.05),
        (0.051, 0.051),
        (0.0524, 0.0524),
        (0.054, 0.05),
        (0.002, 0.002),
        (0.0016, 0.002),
        (1.0, 0.05),
    ];
    for (size, expected) in rows {
        assert_eq!(-next_close::<Long>(&situation(&params), &at(size)).qty, expected, "size {size}");
        assert_eq!(next_close::<Short>(&situation(&params), &at(-size)).qty, expected, "size {size}");
    }
}

#[test]
fn trailing_closes_of_a_long() {
    // Up to 2030, back down to 1990, now 1970; the position stands at 2000.
    let rows: [Trigger; 12] = [
        (0.0, 0.005, Some(1970.0)),
        (-0.5, 0.005, Some(1970.0)),
        (0.0, 0.0197, Some(1970.0)),
        (0.0, 0.0198, None),
        (0.0, 0.0, None),
        (-0.1, -0.1, None),
        (0.03, 0.0, Some(2060.0)),
        (0.03, -0.5, Some(2060.0)),
        (0.006, 0.003, Some(2006.0)),
        (0.014, 0.019, Some(1990.0)),
        (0.016, 0.003, None),
        (0.006, 0.02, None),
    ];
    for (threshold, retracement, expected) in rows {
        for ratio in [1.0, -1.0] {
            let params = SideParams {
                close_trailing_grid_ratio: ratio,
                close_trailing_threshold_pct: threshold,
                close_trailing_retracement_pct: retracement,
                ..params()
            };
            let order = next_close::<Long>(&situation(&params), &at(1.2));
            let price = Some(order.price).filter(|_| !order.is_none());
            assert_eq!(price, expected, "θ {threshold}, ρ {retracement}");
            // 40 % of the full size of 2.5.
            assert!(order.is_none() || order.qty == -1.0, "{order:?}");
            assert_eq!(order.kind, OrderType::CloseTrailingLong);
        }
    }
}

#[test]
fn trailing_closes_of_a_short() {
    // Down to 1900, back up to 1960, now 1970; the position stands at 2000.
    let rows: [Trigger; 11] = [
        (0.0, 0.005, Some(1970.0)),
        (0.0, 0.0315, Some(1970.0)),
        (0.0, 0.0316, None),
        (0.0, 0.0, None),
        (-0.1, -0.1, None),
        (0.03, 0.0, Some(1940.0)),
        (0.03, -0.5, Some(1940.0)),
        (0.01, 0.005, Some(1970.0)),
        (0.04, 0.005, Some(1930.0)),
        (0.05, 0.005, None),
        (0.04, 0.04, None),
    ];
    for (threshold, retracement, expected) in rows {
        let params = SideParams {
            close_trailing_grid_ratio: 1.0,
            close_trailing_threshold_pct: threshold,
            close_trailing_retracement_pct: retracement,
            ..params()
        };
        let order = next_close::<Short>(&situation(&params), &at(-1.2));
        let price = Some(order.price).filter(|_| !order.is_none());
        assert_eq!(price, expected, "θ {threshold}, ρ {retracement}");
        assert_eq!(order.kind, OrderType::CloseTrailingShort);
    }
}

#[test]
fn exposure_above_the_limit_is_reduced() {
    // 1.01 × the limit is a size of 2.525.
    let on = params();
    // A quarter of the full size of 2.5 and what is above it: 0.725 and a hair, rounded up.
    let off = SideParams { enforce_exposure_limit: false, ..on };
    assert_eq!(close::<Long>(&situation(&on), 2.7), "-0.175 @ 1970.0 auto_reduce");
    assert_eq!(close::<Short>(&situation(&on), -2.7), "0.175 @ 1970.0 auto_reduce");
    assert_eq!(close::<Long>(&situation(&on), 2.53), "-0.005 @ 1970.0 auto_reduce");
    assert_eq!(close::<Long>(&situation(&on), 2.526), "-0.003 @ 1970.0 auto_reduce");
    assert_eq!(close::<Long>(&situation(&on), 2.525), "-0.65 @ 2008.0 grid");
    assert_eq!(close::<Long>(&situation(&off), 2.6), "-0.726 @ 2008.0 grid");
    // It comes before trailing closes too.
    let trailing = SideParams { close_trailing_grid_ratio: 1.0, ..on };
    assert_eq!(close::<Long>(&situation(&trailing), 2.7), "-0.175 @ 1970.0 auto_reduce");
    // Without any limit everything goes.
    let none = Situation { wallet_exposure_limit: 0.0, ..situation(&on) };
    assert_eq!(closes::<Long>(&none, 1.2), ["-1.2 @ 1970.0 auto_reduce"]);
    assert_eq!(closes::<Short>(&none, -1.2), ["1.2 @ 1970.0 auto_reduce"]);
    // A position that may not go alone: the smallest order is larger.
    let rules = MarketRules { min_qty: 5.0, ..RULES };
    let s = Situation { rules: &rules, ..situation(&on) };
    assert_eq!(close::<Long>(&s, 2.7), "-2.7 @ 1970.0 auto_reduce");
}

#[test]
fn closes_without_balance() {
    // Exposure counts as 0, so the price is that of the start; quantities use the amount of the balance.
    let params = params();
    let s = Situation { balance: -10_000.0, ..situation(&params) };
    assert_eq!(close::<Long>(&s, 1.2), "-0.625 @ 2016.0 grid");
    assert_eq!(close::<Long>(&s, 9.0), "-7.125 @ 2016.0 grid");
    let s = Situation { balance: 0.0, ..s };
    assert_eq!(close::<Long>(&s, 1.2), "-1.2 @ 2016.0 grid");
    // Neither limit nor balance: the interpolation has no meaning, so nothing is enforced.
    let s = Situation { wallet_exposure_limit: 0.0, ..s };
    assert_eq!(next_close::<Long>(&s, &at(1.2)).kind, OrderType::CloseGridLong);
}

#[test]
fn the_kept_part_of_a_split_close() {
    // 0.1 % of the limit is 0.0025, less than an order: nothing is kept, the grid closes by the whole size.
    let split = SideParams { close_trailing_grid_ratio: 0.001, ..params() };
    assert_eq!(close::<Long>(&situation(&split), 1.2), close::<Long>(&situation(&params()), 1.2));
    // A tenth is 0.25: the rest of 1.2 plus 1 % is 0.96, whose exposure sets the price.
    let split = SideParams { close_trailing_grid_ratio: 0.1, ..params() };
    let reduced = close::<Long>(&situation(&params()), 0.96);
    assert_eq!(close::<Long>(&situation(&split), 1.2), reduced);
    // Below the share the trailing close has the position to itself.
    let split = SideParams { close_trailing_grid_ratio: 0.5, ..params() };
    assert_eq!(close::<Long>(&situation(&split), 1.2), "-1 @ 2006.0 trailing");
    // Grid first: below 1 + r it has the position to itself.
    let split = SideParams { close_trailing_grid_ratio: -0.5, ..params() };
    assert_eq!(close::<Long>(&situation(&split), 1.2), "-0.625 @ 2012.2 grid");
    assert_eq!(close::<Long>(&situation(&split), 1.3), "-0.051 @ 2006.0 trailing");
}

#[test]
fn equal_prices_in_a_close_ladder_become_one_order() {
    // The ask is above every markup: all quantities rest there.
    let params = params();
    let s = Situation { ask: 2100.0, bid: 1900.0, ..situation(&params) };
    assert_eq!(closes::<Long>(&s, 2.4), ["-2.4 @ 2100.0 grid"]);
    assert_eq!(closes::<Short>(&s, -2.4), ["2.4 @ 1900.0 grid"]);
    // The reduction at the book merges with what follows, and takes its type.
    assert_eq!(closes::<Long>(&s, 2.7), ["-2.7 @ 2100.0 grid"]);
}

#[test]
fn close_ladders_are_sorted_from_the_market_outwards() {
    let reversed = SideParams { close_grid_markup_start: 0.004, close_grid_markup_end: 0.008, ..params() };
    let s = Situation { bid: 2000.0, ask: 2000.0, ..situation(&reversed) };
    let mut long = Vec::new();
    close_ladder::<Long>(&s, &at(2.4), &mut long);
    assert_eq!(long.len(), 4);
    assert!(long.is_sorted_by(|a, b| a.price < b.price), "{long:?}");
    let mut short = Vec::new();
    close_ladder::<Short>(&s, &at(-2.4), &mut short);
    assert_eq!(short.len(), 4);
    assert!(short.is_sorted_by(|a, b| a.price > b.price), "{short:?}");
}
