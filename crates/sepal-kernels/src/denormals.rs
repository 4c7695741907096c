//! Denormal numbers: up to a hundred times slower than others, and without meaning in a network.

/// Makes this thread treat denormal numbers as zero while it lives, where the processor can.
pub(crate) struct FlushDenormals {
    before: control::Word,
}

impl FlushDenormals {
    pub(crate) fn new() -> Self {
        let before = control::read();
        control::write(before | control::FLUSH);
        Self { before }
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        control::write(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
mod control {
    pub(super) type Word = u32;
    /// Results to zero, operands to zero.
    pub(super) const FLUSH: Word = 1 << 15 | 1 << 6;

    pub(super) fn read() -> Word {
        let mut word = 0;
        // SAFETY: stores the control register to a local; every x86-64 processor has it.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack, preserves_flags)) };
        word
    }

    pub(super) fn write(word: Word) {
        // SAFETY: `word` differs from one read from the register only in the bits of `FLUSH`, which Rust code does not
        // rely on inside kernels.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod control {
    pub(super) type Word = u64;
    /// Results and operands to zero.
    pub(super) const FLUSH: Word = 1 << 24;

    pub(super) fn read() -> Word {
        let word;
        // SAFETY: copies the control register, which programs may read.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack, preserves_flags)) };
        word
    }

    pub(super) fn write(word: Word) {
        // SAFETY: `word` differs from one read from the register only in the bit of `FLUSH`, which Rust code does not
        // rely on inside kernels. Not `nomem`, so that no computation on memory moves across.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags)) };
    }
}

/// Processors without such a setting, or none that is known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod control {
    pub(super) type Word = u8;
    pub(super) const FLUSH: Word = 0;

    pub(super) fn read() -> Word {
        0
    }

    pub(super) fn write(_: Word) {}
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn denormals_are_zero_inside_and_numbers_outside() {
        let half = |x: f32| black_box(black_box(x) * black_box(0.5));
        let inside = {
            let _quiet = FlushDenormals::new();
            half(f32::MIN_POSITIVE)
        };
        assert_eq!(inside, 0.0);
        assert!(half(f32::MIN_POSITIVE) > 0.0);
    }
}
