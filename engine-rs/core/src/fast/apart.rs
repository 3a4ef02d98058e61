//! Which coins are among the highest, told by bounds of their averages in each quarter of a block.
//!
//! Of averages of one weight that see nothing negative, each is at minute `n` of a quarter at least its start ×
//! weightⁿ, and at most its end ÷ weight to the power of the minutes that are left. So one is above another in all of the
//! quarter if its start × the weight of all minutes is above the end of the other.

use super::abreast::{QUARTER, QUARTERS};
use super::masks::insert_among;
use crate::isa::dispatched;

/// An average in each quarter: from below, then from above.
pub(super) type Bounds = [f64; 2 * QUARTERS];

/// Minutes at which a coin is among the highest for certain, and at which it is not; at others it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) sure: u64,
    pub(super) never: u64,
}

impl Told {
    /// Minutes at which it is not known.
    pub(super) fn doubt(self) -> u64 {
        !(self.sure | self.never)
    }
}

/// Bounds of an average, given its values where quarters begin and end and what is left of it after one without anything.
#[inline(always)]
pub(super) fn bounds(marks: &[f64; QUARTERS + 1], left: f64) -> Bounds {
    std::array::from_fn(|n| {
        if n < QUARTERS {
            loosened(marks[n] * left)
        } else {
            let most = marks[n - QUARTERS + 1];
            if most.is_nan() { f64::INFINITY } else { most }
        }
    })
}

/// An average from below, with room for rounding; next to zero there is not enough.
#[inline(always)]
fn loosened(least: f64) -> f64 {
    let least = least * (1.0 - 1e-9);
    if least > 1e-290 { least } else { f64::NEG_INFINITY }
}

/// True if an average of which this is left is above one that ends so.
pub(super) fn is_above(left: f64, end: f64) -> bool {
    loosened(left) > end
}

dispatched! {
    /// What bounds tell of each coin, if there are places, one fewer than rows in `highest`, which hold nothing.
    pub(super) fn tell(bounds: &[Bounds], highest: &mut [Bounds], told: &mut Vec<Told>) =
        |bounds: &[Bounds], highest: &mut [Bounds], told: &mut Vec<Told>| {
            for bounds in bounds {
                insert_among(highest, *bounds);
            }
            told.clear();
            let [.., last, next] = highest else { return };
            told.extend(bounds.iter().map(|bounds| {
                let mut told = Told::default();
                for n in 0..QUARTERS {
                    let minutes = ((1 << QUARTER) - 1) << (n * QUARTER);
                    // Bounds from above that get so high are as many as there are places, its own among them.
                    told.sure |= if bounds[n] > next[QUARTERS + n] { minutes } else { 0 };
                    // Bounds from below that get higher are as many as there are places.
                    told.never |= if bounds[QUARTERS + n] < last[n] { minutes } else { 0 };
                }
                told
            }));
        }
}
