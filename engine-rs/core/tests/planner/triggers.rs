//! Triggers made for a range of balances hold at every balance in it.

use super::*;
use passivbot_core::planner::{Trigger, Triggers, grid_entry_price, triggers};
use proptest::prelude::*;

/// Price of a trigger that has one.
fn price<S: Side>(s: &Situation<'_>, position: &Position, trigger: Trigger) -> Option<f64> {
    match trigger {
        Trigger::Crossed(price) | Trigger::GridClose(price) => Some(price),
        Trigger::GridEntry { by_exposure } => Some(grid_entry_price::<S>(s, position.price, by_exposure)),
        Trigger::Never | Trigger::Full | Trigger::AtBook | Trigger::Trailing { .. } => None,
    }
}

fn assert_holds<S: Side>(params: &SideParams, size: f64, log_range: f64, shares: (f64, f64)) {
    let position = Position { size: S::SIGN * size, price: 2000.0 };
    let with = |balance: f64| Situation { balance, log_range, ..situation(params) };
    let at = |balance: f64| triggers::<S>(&with(balance), &position);
    let (least, most) = (10_000.0, 10_000.0 * (1.0 + shares.0));
    let balance = least + (most - least) * shares.1;
    let Some(between) = Triggers::between::<S>(params, &at(least), &at(most)) else { return };
    let exact = at(balance);
    for (bound, exact, by_low) in
        [(between.entry, exact.entry, S::LONG), (between.close, exact.close, !S::LONG)]
    {
        assert_eq!(std::mem::discriminant(&bound), std::mem::discriminant(&exact), "{bound:?} {exact:?}");
        let prices = [bound, exact].map(|trigger| price::<S>(&with(balance), &position, trigger));
        if let [Some(bound), Some(exact)] = prices {
            assert!(if by_low { exact <= bound } else { exact >= bound }, "{exact} is beyond {bound}");
        } else {
            assert_eq!(bound, exact);
        }
    }
    assert!(exact.partial_below <= between.partial_below);
    assert_eq!(exact.stuck, between.stuck);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn triggers_hold_between_two_balances(
        ratios in prop::array::uniform2(prop_oneof![
            Just(0.0), Just(1.0), Just(-1.0), -1.0f64..1.0, 0.98f64..1.0, -0.02f64..0.0
        ]),
        trailing in prop::array::uniform4(prop_oneof![Just(0.0), -0.01f64..0.03]),
        markups in prop::array::uniform2(0.001f64..0.03),
        spacing in prop::array::uniform2(prop_oneof![-0.01f64..0.05, -3.0f64..9.0]),
        pcts in prop::array::uniform3(prop_oneof![Just(1.0), 0.01f64..1.0]),
        size in 0.01f64..4.0,
        log_range in 0.0f64..0.05,
        enforce in any::<bool>(),
        shares in (prop_oneof![0.0f64..0.6, 0.0f64..0.01], 0.0f64..=1.0),
    ) {
        let params = SideParams {
            entry_trailing_grid_ratio: ratios[0],
            close_trailing_grid_ratio: ratios[1],
            entry_trailing_threshold_pct: trailing[0],
            entry_trailing_retracement_pct: trailing[1],
            close_trailing_threshold_pct: trailing[2],
            close_trailing_retracement_pct: trailing[3],
            close_grid_markup_start: markups[0],
            close_grid_markup_end: markups[1],
            entry_grid_spacing_pct: spacing[0],
            entry_grid_spacing_we_weight: spacing[1],
            close_grid_qty_pct: pcts[0],
            entry_initial_qty_pct: pcts[1] * 0.1,
            unstuck_threshold: pcts[2],
            enforce_exposure_limit: enforce,
            ..params()
        };
        assert_holds::<Long>(&params, size, log_range, shares);
        assert_holds::<Short>(&params, size, log_range, shares);
    }
}
