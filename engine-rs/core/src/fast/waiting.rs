//! What the orders of a position wait for while the balance hardly moves.
//!
//! Every fill changes the balance, and with it the orders of all positions, but by little. Triggers made for a range of
//! balances outlast many fills of other positions, and with them the candidate minutes.

use crate::grid::SideIndex;
use crate::planner::{Situation, Triggers, triggers};
use crate::types::Position;

/// How far the balance may move, as a share of it, before triggers are made anew.
const ROOM: f64 = 1e-3;

/// By so much the range that triggers are made for is wider than the one they are used in: where rounding decides of
/// which kind an order is, it decides outside.
const MARGIN: f64 = 1e-6;

/// Triggers of a position, and the balances at which they hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) triggers: Triggers,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Waiting {
    /// Triggers at the situation's balance alone.
    pub(super) fn here<S: SideIndex>(s: &Situation<'_>, position: &Position) -> Self {
        Self { triggers: triggers::<S>(s, position), least: s.balance, most: s.balance }
    }

    /// Triggers around the situation's balance, or at it alone where orders of different kinds wait around it.
    pub(super) fn around<S: SideIndex>(s: &Situation<'_>, position: &Position) -> Self {
        let (least, most) = (s.balance * (1.0 - ROOM), s.balance * (1.0 + ROOM));
        let at = |balance: f64| triggers::<S>(&Situation { balance, ..*s }, position);
        let between = || {
            let (low, high) = (at(least * (1.0 - MARGIN)), at(most * (1.0 + MARGIN)));
            Triggers::between::<S>(s.params, &low, &high)
        };
        match (s.balance > 0.0).then(between).flatten() {
            Some(triggers) => Self { triggers, least, most },
            None => Self::here::<S>(s, position),
        }
    }

    /// True if the triggers hold at a balance.
    pub(super) fn hold_at(&self, balance: f64) -> bool {
        self.least <= balance && balance <= self.most
    }
}
