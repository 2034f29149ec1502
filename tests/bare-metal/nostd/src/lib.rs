//! Links the library into a final artifact on targets that have no std.
#![no_std]

use mvm_core as _;

#[cfg(feature = "alloc")]
mod heap;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
