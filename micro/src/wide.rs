//! Plain loops over arrays, compiled for every instruction set: the compiler makes vectors of them.

use crate::InstructionSet;

/// A loop that vectors help.
pub trait Loop {
    /// What it finds.
    type Found;

    /// Runs it. To be compiled for a set it must be inlined, and all that it calls.
    fn run(self) -> Self::Found;
}

impl InstructionSet {
    /// Runs a loop, compiled for this set; as for [`InstructionSet::Portable`] where the machine lacks it. Nothing is contracted to
    /// other operations, so all sets give the same bits.
    pub fn run<L: Loop>(self, work: L) -> L::Found {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has the instructions.
            InstructionSet::Avx512 if self.is_available() => unsafe { avx512(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has the instructions.
            InstructionSet::Avx2 if self.is_available() => unsafe { avx2(work) },
            InstructionSet::Avx512 | InstructionSet::Avx2 | InstructionSet::Neon | InstructionSet::Portable => {
                work.run()
            }
        }
    }
}

/// # Safety
/// The machine has the instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<L: Loop>(work: L) -> L::Found {
    work.run()
}

/// # Safety
/// The machine has the instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Loop>(work: L) -> L::Found {
    work.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dot<'a>(&'a [f32], &'a [f32]);

    impl Loop for Dot<'_> {
        type Found = f32;

        #[inline(always)]
        fn run(self) -> f32 {
            self.0.iter().zip(self.1).fold(0.0, |sum, (x, y)| sum + x * y)
        }
    }

    #[test]
    fn all_sets_give_the_same_bits() {
        let x: Vec<f32> = (0..1000).map(|k| (k as f32 * 0.37).sin()).collect();
        let y: Vec<f32> = (0..1000).map(|k| (k as f32 * 0.73).cos()).collect();
        let plain = Dot(&x, &y).run();
        assert_ne!(plain, 0.0);
        for set in InstructionSet::ALL {
            assert_eq!(set.run(Dot(&x, &y)).to_bits(), plain.to_bits(), "{set}");
        }
    }
}
