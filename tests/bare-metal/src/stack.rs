//! The stack's high-water mark: paint what lies below, run, look how far the paint is gone.

use core::arch::asm;

const PAINT: u32 = 0x5afe_57ac;
/// Left alone below the painter's own stack pointer: its own frame and that of its callees.
const MARGIN: usize = 128;

unsafe extern "C" {
    // cortex-m-rt's linker script: end of the statics, which is how far down the stack may go.
    static mut __sheap: u32;
}

fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack)) };
    pointer
}

/// Bytes of stack that `run` used below its caller's frame.
#[inline(never)]
pub fn used<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let top = stack_pointer();
    let bottom = (&raw mut __sheap) as usize;
    let end = top - MARGIN;
    let mut at = bottom;
    while at < end {
        // SAFETY: between the end of the statics and the stack pointer nothing lives.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
        at += 4;
    }
    let result = run();
    let mut at = bottom;
    // SAFETY: as above.
    while at < end && unsafe { (at as *const u32).read_volatile() } == PAINT {
        at += 4;
    }
    (result, top - at)
}
