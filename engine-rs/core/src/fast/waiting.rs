//! What the orders of a position wait for while the balance hardly moves.
//!
//! Every fill changes the balance, and with it the orders of all positions, but by little. Triggers made for a range of
//! balances outlast many fills of other positions, and with them the candidate minutes.

use crate::grid::SideIndex;
use crate::planner::{Situation, Triggers, triggers};
use crate::types::Position;

/// How far the balance may move, as a share of it, before triggers are made anew.
const ROOM: f64 = 4e-3;

/// The same on the side of the balance where orders of another kind wait.
const NEAR: f64 = 1e-4;

/// The same of a lone coin: hardly anything but its own fills moves the balance.
const LONE_ROOM: f64 = 1e-3;

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

    /// Triggers around the situation's balance, or at it alone where orders of different kinds wait around it. `many`: fills
    /// of many others may move it.
    pub(super) fn around<S: SideIndex>(s: &Situation<'_>, position: &Position, many: bool) -> Self {
        let at = |balance: f64| triggers::<S>(&Situation { balance, ..*s }, position);
        let down = |room: f64| s.balance * (1.0 - room);
        let up = |room: f64| s.balance * (1.0 + room);
        let below = |room: f64| at(down(room) * (1.0 - MARGIN));
        let above = |room: f64| at(up(room) * (1.0 + MARGIN));
        let between = |(low, less): (&Triggers, f64), (high, more): (&Triggers, f64)| {
            let triggers = Triggers::between::<S>(s.params, low, high)?;
            Some(Self { triggers, least: down(less), most: up(more) })
        };
        let find = || {
            let room = if many { ROOM } else { LONE_ROOM };
            let (low, high) = (below(room), above(room));
            let found = between((&low, room), (&high, room));
            if found.is_some() || !many {
                return found;
            }
            // A position at its limit stays there, with orders of another kind on one side of the balance.
            between((&below(NEAR), NEAR), (&high, room))
                .or_else(|| between((&low, room), (&above(NEAR), NEAR)))
        };
        let found = (s.balance > 0.0).then(find).flatten();
        found.unwrap_or_else(|| Self::here::<S>(s, position))
    }

    /// True if the triggers hold at a balance.
    pub(super) fn hold_at(&self, balance: f64) -> bool {
        self.least <= balance && balance <= self.most
    }
}
