//! defmt's logger: frames go to the file `defmt.bin` on the host.

use crate::semihosting::File;

struct ToFile {
    file: Option<File>,
    encoder: defmt::Encoder,
}

static mut LOGGER: ToFile = ToFile {
    file: None,
    encoder: defmt::Encoder::new(),
};

fn put(bytes: &[u8]) {
    // SAFETY: one core, no interrupt handler: nobody else holds it.
    let logger = unsafe { &mut *(&raw mut LOGGER) };
    logger
        .file
        .get_or_insert_with(|| File::create(c"defmt.bin"))
        .write(bytes);
}

#[defmt::global_logger]
struct Logger;

// SAFETY: one core, no interrupt handler, and the image does not log while it logs.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: as above.
        unsafe { (*(&raw mut LOGGER)).encoder.start_frame(put) }
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: as above.
        unsafe { (*(&raw mut LOGGER)).encoder.end_frame(put) }
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: as above.
        unsafe { (*(&raw mut LOGGER)).encoder.write(bytes, put) }
    }
}
