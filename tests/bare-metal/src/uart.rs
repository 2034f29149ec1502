//! The first UART of the lm3s6965: bytes in and out by polling. For images whose input the
//! compiler must not know.

const DATA: *mut u32 = 0x4000_c000 as *mut u32;
const FLAGS: *const u32 = 0x4000_c018 as *const u32;
const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;

/// Waits for a byte.
pub fn read() -> u8 {
    // SAFETY: the registers of this microcontroller's UART.
    unsafe {
        while FLAGS.read_volatile() & RECEIVE_EMPTY != 0 {}
        DATA.read_volatile() as u8
    }
}

/// Reads so many bytes.
pub fn fill(into: &mut [u8]) {
    for byte in into {
        *byte = read();
    }
}

/// Sends bytes.
pub fn write(bytes: &[u8]) {
    for byte in bytes {
        // SAFETY: as above.
        unsafe {
            while FLAGS.read_volatile() & TRANSMIT_FULL != 0 {}
            DATA.write_volatile(u32::from(*byte));
        }
    }
}
