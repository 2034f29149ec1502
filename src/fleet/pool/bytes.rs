//! Numbers of bytes for people.

use alloc::format;
use alloc::string::String;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A number of bytes for people, as 0.13.0 writes it: whole bytes below 1 KiB, and above KiB, MiB or
/// GiB with one digit behind the point. There is no greater unit.
///
/// ```
/// use mvm_core::pool::format_bytes;
///
/// assert_eq!(format_bytes(1023), "1023 B");
/// assert_eq!(format_bytes(47_400_000), "45.2 MiB");
/// assert_eq!(format_bytes(1 << 40), "1024.0 GiB");
/// ```
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        GIB.. => (GIB, "GiB"),
        MIB.. => (MIB, "MiB"),
        KIB.. => (KIB, "KiB"),
        _ => return format!("{bytes} B"),
    };
    format!("{:.1} {name}", float(bytes) / float(unit))
}

/// The nearest `f64`: both halves are exact, so the sum is rounded once.
fn float(number: u64) -> f64 {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    let high = u32::from_be_bytes([a, b, c, d]);
    let low = u32::from_be_bytes([e, f, g, h]);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}
