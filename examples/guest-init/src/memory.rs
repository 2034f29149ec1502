//! The memory functions that compiled code calls, which a C library would bring.
#![allow(
    unsafe_code,
    clippy::arithmetic_side_effects,
    reason = "each is what its name says in C"
)]

use core::arch::asm;
use core::ffi::{c_char, c_int, c_void};

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's.
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "2: cbz {n}, 3f", "ldrb {t:w}, [{s}], #1", "strb {t:w}, [{d}], #1", "sub {n}, {n}, #1", "b 2b", "3:",
            n = inout(reg) len => _, s = inout(reg) from => _, d = inout(reg) to => _, t = out(reg) _, options(nostack, preserves_flags)
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    if to.addr().wrapping_sub(from.addr()) >= len {
        // SAFETY: the caller's; from the front nothing is overwritten before it is read.
        return unsafe { memcpy(to, from, len) };
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's; from the back nothing is overwritten before it is read.
    unsafe {
        asm!(
            "std", "rep movsb", "cld",
            inout("rcx") len => _, inout("rdi") to.byte_add(len).byte_sub(1) => _, inout("rsi") from.byte_add(len).byte_sub(1) => _, options(nostack)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            "2: cbz {n}, 3f", "sub {n}, {n}, #1", "ldrb {t:w}, [{s}, {n}]", "strb {t:w}, [{d}, {n}]", "b 2b", "3:",
            n = inout(reg) len => _, s = in(reg) from, d = in(reg) to, t = out(reg) _, options(nostack, preserves_flags)
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, len: usize) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's.
    unsafe {
        asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("eax") byte, options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "2: cbz {n}, 3f", "strb {b:w}, [{d}], #1", "sub {n}, {n}, #1", "b 2b", "3:",
            n = inout(reg) len => _, d = inout(reg) to => _, b = in(reg) byte, options(nostack, preserves_flags)
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const c_void, b: *const c_void, len: usize) -> c_int {
    let (a, b) = (a.cast::<u8>(), b.cast::<u8>());
    let mut at = 0;
    while at < len {
        // SAFETY: the caller's: both have `len` bytes.
        let (a, b) = unsafe { (*a.add(at), *b.add(at)) };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
        at += 1;
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut len = 0;
    // SAFETY: the caller's: there is a zero.
    while unsafe { text.add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const c_void, b: *const c_void, len: usize) -> c_int {
    // SAFETY: the caller's.
    unsafe { memcmp(a, b, len) }
}
