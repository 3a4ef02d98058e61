//! Candles on their way from memory while others are computed.

use std::ops::Range;

/// Numbers of a line of the processor's caches.
const LINE: usize = 8;

/// Ask for a part of a column to be at hand soon. A hint: it changes no result, and is nothing where there is none.
#[inline(always)]
pub(super) fn prefetch(column: &[f64], range: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    for line in column.get(range).unwrap_or_default().chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of the architecture, the address is one of a living slice, and nothing is read from it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (column, range, LINE);
}
