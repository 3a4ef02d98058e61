//! Unstucking, delisting and the fill test, trading-semantics §16.2, §14.3 and §12.1.

use super::*;

#[test]
fn stuck_is_above_the_threshold() {
    // A size of 2 is 0.8 of the limit.
    for (threshold, expected) in [(0.7, true), (0.799, true), (0.8, false), (0.9, false)] {
        let params = SideParams { unstuck_threshold: threshold, ..params() };
        assert_eq!(is_stuck(&situation(&params), &at(2.0)), expected, "{threshold}");
        assert_eq!(is_stuck(&situation(&params), &at(-2.0)), expected, "{threshold}");
        assert!(is_stuck(&Situation { wallet_exposure_limit: 0.0, ..situation(&params) }, &at(2.0)));
    }
}

#[test]
fn unstucking_waits_for_the_band() {
    // 1985 × 0.99 = 1965.15 and 1985 × 1.01 = 2004.85.
    let rows = [
        (-0.01, 1965.1, false, true),
        (-0.01, 1965.2, true, true),
        (-0.01, 2004.8, true, true),
        (-0.01, 2004.9, true, false),
        (0.01, 2004.8, false, false),
        (0.01, 2004.9, true, false),
        (0.01, 1965.1, false, true),
        (0.01, 1965.2, false, false),
        (0.0, 1985.0, true, true),
        (0.0, f64::NAN, false, false),
    ];
    for (dist, price, long, short) in rows {
        let params = SideParams { unstuck_ema_dist: dist, ..params() };
        let s = situation(&params);
        assert_eq!(band_allows_unstuck::<Long>(&s, price), long, "{dist} {price}");
        assert_eq!(band_allows_unstuck::<Short>(&s, price), short, "{dist} {price}");
    }
    let s = Situation { bands: Bands { upper: 2000.0, lower: 1900.0 }, ..situation(&params()) }.bands;
    let params = params();
    let s = Situation { bands: s, ..situation(&params) };
    assert!(!band_allows_unstuck::<Long>(&s, 1950.0) && !band_allows_unstuck::<Short>(&s, 1950.0));
}

#[test]
fn an_unstuck_close_is_small_and_its_loss_bounded() {
    // 5 % of 5000 at 1970 is 0.1269; its loss 0.126 × 30 = 3.78.
    let params = SideParams { unstuck_close_pct: 0.05, ..params() };
    let s = situation(&params);
    let qty = |size: f64, allowance: f64| {
        let order = unstuck_close::<Long>(&s, &at(size), 1970.0, allowance);
        assert_eq!((order.price, order.kind), (1970.0, OrderType::CloseUnstuckLong));
        -order.qty
    };
    assert_eq!(qty(2.0, 100.0), 0.126);
    assert_eq!(qty(2.0, 3.79), 0.126);
    assert_eq!(qty(2.0, 2.0), 0.066);
    // Not below the smallest order, 5 ÷ 1970, whatever the allowance; nor above the position.
    assert_eq!(qty(2.0, 0.01), 0.003);
    assert_eq!(qty(0.1, 100.0), 0.1);
    assert_eq!(qty(0.002, 0.01), 0.002);
    // A profit has no bound.
    let short = unstuck_close::<Short>(&s, &at(-2.0), 1970.0, 0.0);
    assert_eq!((short.qty, short.kind), (0.126, OrderType::CloseUnstuckShort));
    let loss = unstuck_close::<Short>(&s, &at(-2.0), 2030.0, 2.0);
    assert_eq!(loss.qty, 0.066);
    let nothing = SideParams { unstuck_close_pct: 0.0, ..params };
    assert_eq!(unstuck_close::<Long>(&situation(&nothing), &at(2.0), 1970.0, 100.0).qty, -0.003);
}

#[test]
fn the_stuck_position_nearest_to_break_even_comes_first() {
    let stuck = |distance, coin, long| StuckPosition { distance, coin, long };
    let mut several = [
        stuck(0.3, 0, true),
        stuck(0.1, 2, true),
        stuck(0.1, 1, false),
        stuck(0.1, 1, true),
        stuck(-0.2, 3, false),
        stuck(0.1, 2, false),
    ];
    several.sort_by(StuckPosition::by_turn);
    let turns: Vec<_> = several.iter().map(|s| (s.coin, s.long)).collect();
    assert_eq!(turns, [(3, false), (1, true), (1, false), (2, true), (2, false), (0, true)]);
    assert_eq!(Long::pprice_diff(2000.0, 1970.0), 1.0 - 1970.0 / 2000.0);
    assert_eq!(Short::pprice_diff(2000.0, 1970.0), 1970.0 / 2000.0 - 1.0);
    assert_eq!(Long::pprice_diff(0.0, 1970.0), 0.0);
}

#[test]
fn a_delisted_position_is_offered_at_its_price_or_better_reachable() {
    let params = params();
    let s = situation(&params);
    let price = |order: Order| (order.qty, order.price, order.kind.name());
    let long = |high: f64| price(delisting_close::<Long>(&s, &at(1.2345), high, 0.0));
    let short = |low: f64| price(delisting_close::<Short>(&s, &at(-1.2345), 0.0, low));
    assert_eq!(long(1990.0), (-1.2345, 1989.9, "close_unstuck_long"));
    assert_eq!(long(2050.0), (-1.2345, 2000.0, "close_unstuck_long"));
    assert_eq!(long(f64::NAN), (-1.2345, 2000.0, "close_unstuck_long"));
    assert_eq!(short(2020.0), (1.2345, 2020.1, "close_unstuck_short"));
    assert_eq!(short(1900.0), (1.2345, 2000.0, "close_unstuck_short"));
}

#[test]
fn fills_are_strict() {
    let buy = Order { qty: 1.0, price: 100.0, kind: OrderType::EntryGridNormalLong };
    let sell = Order { qty: -1.0, ..buy };
    assert!(buy.crossed_by(101.0, 99.9) && !buy.crossed_by(101.0, 100.0) && !buy.crossed_by(101.0, f64::NAN));
    assert!(
        sell.crossed_by(100.1, 99.0) && !sell.crossed_by(100.0, 99.0) && !sell.crossed_by(f64::NAN, 99.0)
    );
    assert!(!Order::NONE.crossed_by(f64::INFINITY, f64::NEG_INFINITY));
}
