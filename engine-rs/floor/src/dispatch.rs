//! The kernels for each instruction set, and their C interface.

use crate::{Bands, Candles, LANES};
use std::slice::from_raw_parts;

/// Instruction sets for which the kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// What every processor of the target has.
    Baseline,
    /// AVX2.
    Avx2,
    /// AVX-512: F, VL, DQ and BW.
    Avx512,
}

impl Isa {
    /// All that this machine has, worst first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "nothing more to add"))]
        let mut found = vec![Self::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                found.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
            {
                found.push(Self::Avx512);
            }
        }
        found
    }

    /// The instruction set of this number; None if there is none or the machine does not have it.
    fn numbered(number: u32) -> Option<Self> {
        let isa = [Self::Baseline, Self::Avx2, Self::Avx512].get(number as usize).copied()?;
        Self::available().contains(&isa).then_some(isa)
    }
}

/// True if this machine has the instruction set of this number: 0 baseline, 1 AVX2, 2 AVX-512.
#[unsafe(no_mangle)]
pub extern "C" fn passivbot_floor_has(isa: u32) -> bool {
    Isa::numbered(isa).is_some()
}

/// Compile both kernels with some features switched on.
macro_rules! kernels {
    ($module:ident, $features:literal) => {
        #[cfg(target_arch = "x86_64")]
        mod $module {
            use crate::{Bands, Candles, LANES};

            #[target_feature(enable = $features)]
            pub(super) fn scalar(candles: Candles<'_>, bands: &Bands<f64>) -> u64 {
                crate::scalar(candles, bands)
            }

            #[target_feature(enable = $features)]
            pub(super) fn lanes(candles: Candles<'_>, bands: &Bands<[f64; LANES]>) -> [u64; LANES] {
                crate::lanes(candles, bands)
            }
        }
    };
}

kernels!(avx2, "avx2");
kernels!(avx512, "avx512f,avx512vl,avx512dq,avx512bw");

/// # Safety
/// Each pointer leads to `minutes` float64 that are not written to during `'a`.
unsafe fn candles<'a>(high: *const f64, low: *const f64, close: *const f64, minutes: usize) -> Candles<'a> {
    // SAFETY: what the caller promises is what the three calls ask for.
    unsafe {
        Candles {
            high: from_raw_parts(high, minutes),
            low: from_raw_parts(low, minutes),
            close: from_raw_parts(close, minutes),
        }
    }
}

/// [`crate::scalar`] with the instruction set of this number; `u64::MAX` if the machine does not have it.
///
/// # Safety
/// `high`, `low` and `close` lead to `minutes` float64 each, `bands` to three smoothing factors and two factors of the
/// bands; all are aligned, not null, and not written to during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn passivbot_floor_scalar(
    high: *const f64,
    low: *const f64,
    close: *const f64,
    minutes: usize,
    bands: *const Bands<f64>,
    isa: u32,
) -> u64 {
    let Some(isa) = Isa::numbered(isa) else { return u64::MAX };
    // SAFETY: as the caller promises; `Bands` is laid out as C does it.
    let (candles, bands) = unsafe { (candles(high, low, close, minutes), &*bands) };
    match isa {
        Isa::Baseline => crate::scalar(candles, bands),
        // SAFETY: `numbered` gives only what the processor was seen to have.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::scalar(candles, bands) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::scalar(candles, bands) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => u64::MAX,
    }
}

/// [`crate::lanes`] with the instruction set of this number. False if the machine does not have it.
///
/// # Safety
/// As [`passivbot_floor_scalar`], with eight numbers for each of `bands`; `beyond` leads to room for eight counts that
/// nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn passivbot_floor_lanes(
    high: *const f64,
    low: *const f64,
    close: *const f64,
    minutes: usize,
    bands: *const Bands<[f64; LANES]>,
    beyond: *mut [u64; LANES],
    isa: u32,
) -> bool {
    let Some(isa) = Isa::numbered(isa) else { return false };
    // SAFETY: as the caller promises; `Bands` is laid out as C does it.
    let (candles, bands) = unsafe { (candles(high, low, close, minutes), &*bands) };
    let counts = match isa {
        Isa::Baseline => crate::lanes(candles, bands),
        // SAFETY: `numbered` gives only what the processor was seen to have.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::lanes(candles, bands) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::lanes(candles, bands) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => return false,
    };
    // SAFETY: as the caller promises.
    unsafe { beyond.write(counts) };
    true
}
