//! Entries, trading-semantics §9.

use super::*;

#[test]
fn first_entries_and_their_rest() {
    // A first entry costs 10000 × 0.5 × 0.02 = 100 at 1970: 0.051. Four fifths of it are 0.0408.
    let params = params();
    let s = situation(&params);
    assert_eq!(entry::<Long>(&s, 0.0), "0.051 @ 1970.0 initial_normal");
    assert_eq!(entry::<Long>(&s, 0.02), "0.03 @ 1970.0 initial_partial");
    assert_eq!(entry::<Long>(&s, 0.0407), "0.01 @ 1970.0 initial_partial");
    assert_eq!(entry::<Long>(&s, 0.041).split(' ').next_back(), Some("grid_normal"));
    // Short: the upper band × 0.995 is 1975.075, up to 1975.1, above the ask.
    assert_eq!(entry::<Short>(&s, 0.0), "-0.051 @ 1975.1 initial_normal");
    // 0.051 − 0.02 is a hair below 0.031, and rounded down.
    assert_eq!(entry::<Short>(&s, -0.02), "-0.03 @ 1975.1 initial_partial");
    // What is missing is less than an order may be.
    let rules = MarketRules { min_qty: 0.03, ..RULES };
    let s = Situation { rules: &rules, ..s };
    assert_eq!(entry::<Long>(&s, 0.04), "0.03 @ 1970.0 initial_partial");
    // An order may not be as small as a first entry.
    let rules = MarketRules { min_qty: 0.2, ..RULES };
    assert_eq!(entry::<Long>(&Situation { rules: &rules, ..s }, 0.0), "0.2 @ 1970.0 initial_normal");
    let rules = MarketRules { min_cost: 500.0, ..RULES };
    assert_eq!(entry::<Long>(&Situation { rules: &rules, ..s }, 0.0), "0.254 @ 1970.0 initial_normal");
    let rules = MarketRules { c_mult: 0.01, ..RULES };
    assert_eq!(entry::<Long>(&Situation { rules: &rules, ..s }, 0.0), "5.076 @ 1970.0 initial_normal");
}

#[test]
fn an_almost_complete_first_entry_sizes_the_next_one_by_itself() {
    // 0.045 of 0.051 are held: the next entry is at least 0.045, no longer 0.051.
    let params = SideParams { entry_grid_double_down_factor: 0.1, entry_initial_qty_pct: 0.02, ..params() };
    let mut s = situation(&params);
    let order = next_entry::<Long>(&s, &at(0.045));
    // By balance: 10000 ÷ price × 0.5 × 0.02 is more than either.
    assert_eq!(order.qty, num::round_near(10_000.0 / order.price * 0.5 * 0.02, 0.001));
    // With a cap of a fifth of the limit it is less, and the position itself decides.
    let params = SideParams { entry_trailing_grid_ratio: -0.8, ..params };
    s.params = &params;
    assert_eq!(next_entry::<Long>(&s, &at(0.045)).qty, 0.045);
    assert_eq!(next_entry::<Long>(&s, &at(0.06)).qty, 0.051);
}

#[test]
fn first_entries_wait_at_the_band() {
    let params = SideParams { entry_initial_ema_dist: 0.01, ..params() };
    let s = situation(&params);
    // 1985 × 0.99 = 1965.15 and 1985 × 1.01 = 2004.85, on the far side of the step.
    assert_eq!(entry::<Long>(&s, 0.0), "0.051 @ 1965.1 initial_normal");
    assert_eq!(entry::<Short>(&s, 0.0), "-0.05 @ 2004.9 initial_normal");
    // Each side looks at its own band.
    let s = Situation { bands: Bands { upper: 1990.0, lower: 1950.0 }, ..s };
    assert_eq!(entry::<Long>(&s, 0.0), "0.052 @ 1930.5 initial_normal");
    assert_eq!(entry::<Short>(&s, 0.0), "-0.05 @ 2009.9 initial_normal");
}

#[test]
fn long_entries_meet_the_bid_and_short_ones_the_ask() {
    let params = params();
    let s = Situation { bid: 1960.0, ask: 1980.0, ..situation(&params) };
    assert_eq!(next_entry::<Long>(&s, &at(0.0)).price, 1960.0);
    assert_eq!(next_entry::<Short>(&s, &at(0.0)).price, 1980.0);
    let s = Situation { bid: 2030.0, ask: 2040.0, ..s };
    assert_eq!(next_close::<Long>(&s, &at(1.2)).price, 2040.0);
    let s = Situation { bid: 1950.0, ask: 1960.0, ..s };
    assert_eq!(next_close::<Short>(&s, &at(-1.2)).price, 1950.0);
}

#[test]
fn nothing_is_bought_without_limit_or_balance_or_price() {
    for ratio in [0.0, 1.0, -1.0, 0.4, -0.3] {
        let params = SideParams { entry_trailing_grid_ratio: ratio, ..params() };
        let s = situation(&params);
        let broke = [
            Situation { wallet_exposure_limit: 0.0, ..s },
            Situation { balance: 0.0, ..s },
            Situation { balance: -100.0, ..s },
        ];
        for s in broke {
            for size in [0.0, 0.01, 1.0] {
                assert_eq!(entry::<Long>(&s, size), "none", "r {ratio}, {s:?}");
                assert_eq!(entry::<Short>(&s, -size), "none", "r {ratio}, {s:?}");
                assert!(entries::<Long>(&s, size).is_empty());
            }
        }
        // A price of one step or less.
        for bid in [0.0, 0.1] {
            let s = Situation { bid, ask: bid, bands: Bands { upper: 0.05, lower: 0.05 }, ..s };
            assert_eq!(entry::<Long>(&s, 0.0), "none", "r {ratio}, bid {bid}");
            assert_eq!(entry::<Short>(&s, 0.0), "none", "r {ratio}, ask {bid}");
        }
        let s = Situation { bid: 0.3, ask: 0.3, bands: Bands { upper: 0.2, lower: 0.2 }, ..s };
        assert_eq!(next_entry::<Long>(&s, &at(0.0)).price, 0.2);
        assert_eq!(next_entry::<Short>(&s, &at(0.0)).price, 0.3);
    }
}

#[test]
fn a_grid_that_reaches_zero_has_no_next_entry() {
    // Distance 0.02 × (1 + 0.2 × 0.7 + 0.1) with position price 2000; at 1 nothing is left.
    for (spacing, expected) in [(0.5, true), (0.81, false), (2.0, false)] {
        let params = SideParams { entry_grid_spacing_pct: spacing, ..params() };
        let s = situation(&params);
        assert_eq!(entry::<Long>(&s, 0.5) != "none", expected, "spacing {spacing}");
        assert_ne!(entry::<Short>(&s, -0.5), "none", "spacing {spacing}");
    }
}

#[test]
fn grid_spacing_widens_and_never_turns_around() {
    // Exposure 0.1 of a limit of 0.5.
    let rows = [
        (0.0, 0.0, 1960.0, 2040.0),
        (1.0, 0.0, 1952.0, 2048.0),
        (0.0, 50.0, 1940.0, 2060.0),
        (-5.0, 0.0, 1970.0, 2000.0),
        (-50.0, -500.0, 1970.0, 2000.0),
    ];
    for (by_exposure, by_log_range, long, short) in rows {
        let params = SideParams {
            entry_grid_spacing_we_weight: by_exposure,
            entry_grid_spacing_log_weight: by_log_range,
            ..params()
        };
        let s = situation(&params);
        assert_eq!(next_entry::<Long>(&s, &at(0.5)).price, long, "{by_exposure}, {by_log_range}");
        assert_eq!(next_entry::<Short>(&s, &at(-0.5)).price, short, "{by_exposure}, {by_log_range}");
    }
}

#[test]
fn trailing_entries_of_a_long() {
    // Down to 1900, back up to 1960, now 1970; the position stands at 2000.
    let rows: [Trigger; 13] = [
        (0.0, 0.005, Some(1970.0)),
        (-0.01, 0.005, Some(1970.0)),
        (0.0, 0.0315, Some(1970.0)),
        (0.0, 0.0316, None),
        (0.0, 0.0, None),
        (0.0, -0.01, None),
        (0.03, 0.0, Some(1940.0)),
        (0.03, -0.5, Some(1940.0)),
        (0.001, 0.0, Some(1970.0)),
        (0.01, 0.005, Some(1970.0)),
        (0.04, 0.005, Some(1930.0)),
        (0.05, 0.005, None),
        (0.04, 0.04, None),
    ];
    for (threshold, retracement, expected) in rows {
        for ratio in [1.0, -1.0, 1.5] {
            let params = SideParams {
                entry_trailing_grid_ratio: ratio,
                entry_trailing_threshold_pct: threshold,
                entry_trailing_retracement_pct: retracement,
                ..params()
            };
            let order = next_entry::<Long>(&situation(&params), &at(0.5));
            let price = Some(order.price).filter(|_| !order.is_none());
            assert_eq!(price, expected, "θ {threshold}, ρ {retracement}");
            // 1.2 × the position, well below the limit.
            assert!(order.is_none() || text(&order).starts_with("0.6 @"), "{order:?}");
            assert_eq!(order.kind, OrderType::EntryTrailingNormalLong);
        }
    }
}

#[test]
fn trailing_entries_of_a_short() {
    // Up to 2030, back down to 1990, now 1970; the position stands at 2000.
    let rows: [Trigger; 12] = [
        (0.0, 0.005, Some(1970.0)),
        (-0.01, 0.005, Some(1970.0)),
        (0.0, 0.0197, Some(1970.0)),
        (0.0, 0.0198, None),
        (0.0, 0.0, None),
        (0.0, -0.01, None),
        (0.03, 0.0, Some(2060.0)),
        (0.03, -0.5, Some(2060.0)),
        (0.01, 0.005, Some(2010.0)),
        (0.01, 0.018, Some(1984.0)),
        (0.016, 0.005, None),
        (0.01, 0.02, None),
    ];
    for (threshold, retracement, expected) in rows {
        let params = SideParams {
            entry_trailing_grid_ratio: 1.0,
            entry_trailing_threshold_pct: threshold,
            entry_trailing_retracement_pct: retracement,
            ..params()
        };
        let order = next_entry::<Short>(&situation(&params), &at(-0.5));
        let price = Some(order.price).filter(|_| !order.is_none());
        assert_eq!(price, expected, "θ {threshold}, ρ {retracement}");
        assert_eq!(order.kind, OrderType::EntryTrailingNormalShort);
    }
}

#[test]
fn nothing_trails_right_after_a_fill() {
    for threshold in [0.0, 0.01] {
        let params = SideParams {
            entry_trailing_grid_ratio: 1.0,
            close_trailing_grid_ratio: 1.0,
            entry_trailing_threshold_pct: threshold,
            close_trailing_threshold_pct: threshold,
            ..params()
        };
        let s = Situation { trailing: Trailing::RESET, ..situation(&params) };
        assert_eq!(entry::<Long>(&s, 0.5), "none");
        assert_eq!(entry::<Short>(&s, -0.5), "none");
        assert_eq!(close::<Long>(&s, 0.5), "none");
        assert_eq!(close::<Short>(&s, -0.5), "none");
    }
}

#[test]
fn a_full_position_gets_no_entry() {
    // The grid stops at 99.9 % of the limit, trailing only above it.
    let full = 0.5 * 0.999;
    assert_eq!(num::exposure(10_000.0, 2.4975, 2000.0, 1.0), full);
    let trailing = SideParams { entry_trailing_grid_ratio: 1.0, ..params() };
    let grid = params();
    assert_eq!(entry::<Long>(&situation(&grid), 2.4975), "none");
    assert_ne!(entry::<Long>(&situation(&grid), 2.49), "none");
    assert_ne!(entry::<Long>(&situation(&trailing), 2.4975), "none");
    assert_eq!(entry::<Long>(&situation(&trailing), 2.498), "none");
}

#[test]
fn the_ratio_parts_the_limit() {
    // r > 0: trailing below that share of the limit, and with 1 % above it, then grid.
    let params_at = |ratio| SideParams { entry_trailing_grid_ratio: ratio, ..params() };
    let kind = |ratio: f64, size: f64| {
        let params = params_at(ratio);
        next_entry::<Long>(&situation(&params), &at(size))
            .kind
            .name()
            .replace("entry_", "")
            .replace("_long", "")
    };
    assert_eq!(kind(0.4, 0.99), "trailing_cropped");
    assert_eq!(kind(0.4, 1.0), "grid_normal");
    // r < 0: grid below 1 + r, then trailing.
    assert_eq!(kind(-0.6, 0.3), "grid_normal");
    assert_eq!(kind(-0.6, 0.99), "grid_cropped");
    assert_eq!(kind(-0.6, 1.0), "trailing_normal");
    // A first entry is not cut to the share.
    for ratio in [0.001, -0.999] {
        let params = params_at(ratio);
        assert_eq!(entry::<Long>(&situation(&params), 0.0), "0.051 @ 1970.0 initial_normal");
    }
}

#[test]
fn a_cropped_entry_is_no_smaller_than_an_order_may_be() {
    // The appendix crops to 0.586 here; an order of 0.7 is the smallest.
    let rules = MarketRules { min_qty: 0.7, ..RULES };
    let params = SideParams { entry_trailing_grid_ratio: -0.3, ..params() };
    let s = Situation { rules: &rules, ..situation(&params) };
    assert_eq!(entry::<Long>(&s, 1.2), "0.7 @ 1936.9 grid_cropped");
}

#[test]
fn an_entry_ladder_ends() {
    // A grid without distance has all its prices at the bid: the second order has the first one's price.
    let still = SideParams { entry_grid_spacing_pct: 0.0, ..params() };
    assert_eq!(entries::<Long>(&situation(&still), 0.0), ["0.051 @ 1970.0 initial_normal"]);
    // At most 500 orders.
    let slow = SideParams {
        entry_grid_double_down_factor: 0.05,
        entry_grid_spacing_pct: 0.01,
        entry_initial_qty_pct: 1e-16,
        ..params()
    };
    let rich = Situation { balance: 1e13, ..situation(&slow) };
    assert_eq!(entries::<Long>(&rich, 0.0).len(), 500);
}
