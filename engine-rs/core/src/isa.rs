//! Instruction sets: what the loops of the fast path are compiled for, chosen when the program runs.
//!
//! A wheel has to run on every processor of its architecture, so nothing is built for one machine. The results are
//! the same bits on all sets: none of them fuses or reorders an operation.

/// An instruction set that this processor has.
///
/// A value of this type is the proof of that: beside [`Isa::BASELINE`] there are only those that [`Isa::available`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// What every processor of the architecture has: SSE2 on x86-64, NEON on aarch64.
    pub const BASELINE: Self = Self(Set::Baseline);

    /// Those that this processor has, worst first.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "there is only one"))]
        let mut sets = vec![Self::BASELINE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                sets.push(Self(Set::Avx2));
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
            {
                sets.push(Self(Set::Avx512));
            }
        }
        sets
    }

    /// The best that this processor has.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::BASELINE)
    }

    /// The available set of that name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// `baseline`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// How many chains of eight numbers each advance together at best: as many as its registers hold.
    pub(crate) fn chains(self) -> usize {
        match self.0 {
            Set::Baseline => 2,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => 3,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => 6,
        }
    }

    pub(crate) fn set(self) -> Set {
        self.0
    }
}

/// Defines a function that runs its body compiled for the instruction set of its first argument. The body is given as
/// a function that is inlined into each variant.
macro_rules! dispatched {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $body:expr) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) $(-> $result)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512($($arg: $type),*) $(-> $result)? {
                    $body($($arg),*)
                }
                match isa.set() {
                    $crate::isa::Set::Baseline => {}
                    // SAFETY: the processor has AVX2, else there would be no such `Isa`.
                    $crate::isa::Set::Avx2 => return unsafe { avx2($($arg),*) },
                    // SAFETY: the processor has these parts of AVX-512, else there would be no such `Isa`.
                    $crate::isa::Set::Avx512 => return unsafe { avx512($($arg),*) },
                }
            }
            let _ = isa;
            $body($($arg),*)
        }
    };
}
pub(crate) use dispatched;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_found_by_name() {
        let sets = Isa::available();
        assert_eq!(sets[0], Isa::BASELINE);
        assert_eq!(sets.last(), Some(&Isa::detect()));
        for isa in sets {
            assert_eq!(Isa::named(isa.name()), Some(isa));
        }
        assert_eq!(Isa::named("mmx"), None);
    }
}
