//! What the images share: semihosting, the panic handler, the stack's high-water mark, vectors.
#![no_std]

#[cfg(feature = "defmt")]
pub mod log;
pub mod names;
pub mod program;
pub mod semihosting;
pub mod stack;
pub mod uart;
pub mod vectors;

/// Where every panic ends. A symbol of its own, so that the gate on panic paths can find
/// everything that leads here, and not inlined or merged with anything.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn panicked() -> ! {
    semihosting::exit(semihosting::Exit::Panicked)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    panicked()
}
