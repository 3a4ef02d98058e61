//! Room for the fills of a run, from one run to the next on the same thread.
//!
//! A list that grows anew in each run is copied at every doubling, and an allocator that gives the pages back between
//! two batches lets the kernel clear them again each time.

use std::cell::RefCell;

use super::FillFacts;
use crate::fast::TOGETHER;

/// Lists that are kept: as many as runs go side by side.
const LISTS: usize = TOGETHER;

/// Fills of the longest list that is kept, 768 KiB: a run with more has more to do than to grow a list.
const FILLS: usize = 1 << 14;

thread_local! {
    static SPARE: RefCell<Vec<Vec<FillFacts>>> = const { RefCell::new(Vec::new()) };
}

/// An empty list, with room if there is one to spare.
pub(crate) fn take() -> Vec<FillFacts> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Keep the room of a list that is not needed any more.
pub(crate) fn give(mut fills: Vec<FillFacts>) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < LISTS && fills.capacity() <= FILLS {
            fills.clear();
            spare.push(fills);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fills(capacity: usize) -> Vec<FillFacts> {
        let mut fills = Vec::with_capacity(capacity);
        fills.push(FillFacts { minute: 1, key: 0, pnl: 0.0, balance: 1.0, turnover: 1.0, flat_after: false });
        fills
    }

    #[test]
    fn room_is_used_again_and_holds_no_fill() {
        assert_eq!(take().capacity(), 0);
        give(fills(100));
        let again = take();
        assert!(again.is_empty() && again.capacity() >= 100);
        assert_eq!(take().capacity(), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        give(fills(FILLS + 1));
        assert_eq!(take().capacity(), 0);
        (0..2 * LISTS).for_each(|_| give(fills(100)));
        assert_eq!((0..2 * LISTS).filter(|_| take().capacity() > 0).count(), LISTS);
    }
}
