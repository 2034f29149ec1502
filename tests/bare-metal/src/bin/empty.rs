//! An image with nothing: what every other one stands on.
#![no_std]
#![no_main]

use bare_metal as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {}
}
