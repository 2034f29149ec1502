//! From the first instruction to where connections can be served.

use core::ffi::CStr;

use guest_init::proc::ascii;
use mvm_core::session::GuestKey;
use mvm_core::signing::SECRET_TEXT_MAX;
use zeroize::Zeroize;

use crate::failed;
use crate::kernel::{
    self, BUSY, EXIST, Errno, INTR, INVAL, NAMETOOLONG, NODEV, NOENT, NOEXEC, NOSUID, NOTDIR,
    RDONLY, open, random,
};

/// Mounts what the kernel offers. What is mounted already is left as it is.
pub(crate) fn mount_all() {
    let quiet = NOSUID | NOEXEC;
    mount_one(c"devtmpfs", c"/dev", quiet);
    mount_one(c"proc", c"/proc", quiet | NODEV);
    mount_one(c"sysfs", c"/sys", quiet | NODEV);
}

#[inline(never)]
fn mount_one(kind: &CStr, path: &CStr, flags: usize) {
    match kernel::mount(kind, path, flags) {
        Ok(()) | Err(BUSY) => {}
        Err(error) => failed("cannot mount $: error #", path.to_bytes(), error),
    }
}

/// Reads a file from its beginning, as much as fits.
pub(crate) fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Errno> {
    let file = open(path, RDONLY)?;
    let mut end: usize = 0;
    loop {
        let space = buffer.get_mut(end..).unwrap_or_default();
        if space.is_empty() {
            break;
        }
        match kernel::read(&file, space) {
            Ok(0) => break,
            Ok(got) => end = end.saturating_add(got),
            Err(INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get_mut(..end).unwrap_or_default())
}

/// Loads the modules in order, and gives how many were not loaded. One that is not loaded may still not be
/// needed, so the others are loaded too.
pub(crate) fn load_modules<'a>(names: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut missing: u32 = 0;
    for name in names {
        match load_module(name) {
            Ok(()) | Err(EXIST) => {}
            Err(error) => {
                failed("cannot load module $: error #", name, error);
                missing = missing.saturating_add(1);
            }
        }
    }
    missing
}

/// What the name of a module's file ends with. Debian and Ubuntu compress modules.
const SUFFIXES: [&[u8]; 4] = [b".ko", b".ko.xz", b".ko.zst", b".ko.gz"];

fn load_module(name: &[u8]) -> Result<(), Errno> {
    for (at, suffix) in SUFFIXES.into_iter().enumerate() {
        let mut path = [0; 96];
        let mut places = path.iter_mut();
        for part in [b"/lib/modules/", name, suffix, b"\0"] {
            // The longest name fits.
            for byte in part {
                if let Some(place) = places.next() {
                    *place = *byte;
                }
            }
        }
        let path = CStr::from_bytes_until_nul(&path).map_err(|_| NAMETOOLONG)?;
        match open(path, RDONLY) {
            Ok(file) => return kernel::load_module(&file, at > 0),
            Err(NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Err(NOENT)
}

const KEY_FILE: &CStr = c"/etc/mvm/guest.key";

/// The guest's key: of its file, or a new one where there is no file.
///
/// # Errors
/// In words, with the kernel's code.
pub(crate) fn guest_key() -> Result<GuestKey, (&'static str, Errno)> {
    let mut text = [0; SECRET_TEXT_MAX + 1];
    let key = match read_file(KEY_FILE, &mut text) {
        Ok(text) => match ascii(text).map(GuestKey::from_text) {
            Some(Ok(key)) => Ok(key),
            _ => Err((
                "/etc/mvm/guest.key is not a guest's secret key: error #",
                INVAL,
            )),
        },
        Err(NOENT | NOTDIR) => {
            let mut seed = random().map_err(|error| ("no entropy for a key: error #", error))?;
            let key = GuestKey::from_seed(&seed);
            seed.zeroize();
            Ok(key)
        }
        Err(error) => Err(("cannot read /etc/mvm/guest.key: error #", error)),
    };
    text.zeroize();
    key
}
