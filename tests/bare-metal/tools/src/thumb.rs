//! As much of Thumb-2 as is needed to see where control goes: branches and addresses in registers.

/// What an instruction refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refers {
    /// Control may go there: `bl`, `b`, `b<cond>`, `cbz`, `cbnz`.
    Branch(u32),
    /// The low half of a register is set (`movw`).
    Low { register: u16, half: u16 },
    /// The high half of a register is set (`movt`).
    High { register: u16, half: u16 },
    /// Nothing of interest.
    Nothing,
}

/// Decodes the instruction at `address`; gives its length in bytes.
pub(crate) fn decode(address: u32, code: &[u8]) -> Option<(usize, Refers)> {
    let half = |at: usize| {
        let bytes = code.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let first = half(0)?;
    let pc = address.wrapping_add(4);
    if first >> 11 < 0b11101 {
        let refers = match first {
            // b
            _ if first >> 11 == 0b11100 => {
                Refers::Branch(offset(pc, u32::from(first & 0x7ff) << 1, 12))
            }
            // b<cond>, without udf and svc
            _ if first >> 12 == 0b1101 && (first >> 8) & 0xf < 0xe => {
                Refers::Branch(offset(pc, u32::from(first & 0xff) << 1, 9))
            }
            // cbz, cbnz
            _ if first & 0xf500 == 0xb100 => {
                let distance =
                    u32::from((first >> 9) & 1) << 6 | u32::from((first >> 3) & 0x1f) << 1;
                Refers::Branch(pc.wrapping_add(distance))
            }
            _ => Refers::Nothing,
        };
        return Some((2, refers));
    }
    let second = half(2)?;
    let refers = if first >> 11 == 0b11110 && second >> 15 == 1 {
        let s = u32::from((first >> 10) & 1);
        let j1 = u32::from((second >> 13) & 1);
        let j2 = u32::from((second >> 11) & 1);
        let low = u32::from(second & 0x7ff);
        match (second >> 14 & 1, second >> 12 & 1) {
            // b<cond>.w, without the system instructions
            (0, 0) if (first >> 7) & 7 != 7 => {
                let distance =
                    s << 20 | j2 << 19 | j1 << 18 | u32::from(first & 0x3f) << 12 | low << 1;
                Refers::Branch(offset(pc, distance, 21))
            }
            // b.w and bl
            (0, 1) | (1, 1) => {
                let i1 = !(j1 ^ s) & 1;
                let i2 = !(j2 ^ s) & 1;
                let distance =
                    s << 24 | i1 << 23 | i2 << 22 | u32::from(first & 0x3ff) << 12 | low << 1;
                Refers::Branch(offset(pc, distance, 25))
            }
            _ => Refers::Nothing,
        }
    } else if first & 0xfbf0 == 0xf240 || first & 0xfbf0 == 0xf2c0 {
        let half =
            (first & 0xf) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xff;
        let register = second >> 8 & 0xf;
        if first & 0xfbf0 == 0xf240 {
            Refers::Low { register, half }
        } else {
            Refers::High { register, half }
        }
    } else {
        Refers::Nothing
    };
    Some((4, refers))
}

/// `pc` plus a signed distance of so many bits.
fn offset(pc: u32, distance: u32, bits: u32) -> u32 {
    let shift = 32 - bits;
    let signed = ((distance << shift) as i32) >> shift;
    pc.wrapping_add(signed as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodings as GNU as writes them.
    #[test]
    fn branches() {
        let cases: [(u32, &[u8], Refers); 9] = [
            (0x1000, &[0xfe, 0xe7], Refers::Branch(0x1000)), // b .
            (0x1000, &[0x00, 0xe0], Refers::Branch(0x1004)), // b .+4
            (0x1000, &[0xfe, 0xd0], Refers::Branch(0x1000)), // beq .
            (0x1000, &[0x08, 0xb1], Refers::Branch(0x1006)), // cbz r0, .+6
            (0x1000, &[0xff, 0xf7, 0xfe, 0xff], Refers::Branch(0x1000)), // bl .
            (0x1000, &[0x00, 0xf0, 0x00, 0xf8], Refers::Branch(0x1004)), // bl .+4
            (0x1000, &[0xff, 0xf7, 0xfe, 0xbf], Refers::Branch(0x1000)), // b.w .
            (0x1000, &[0x3f, 0xf4, 0xfe, 0xaf], Refers::Branch(0x1000)), // beq.w .
            (0x1000, &[0x70, 0x47], Refers::Nothing),        // bx lr
        ];
        for (address, code, expected) in cases {
            let (len, refers) = decode(address, code).unwrap();
            assert_eq!((len, refers), (code.len(), expected), "{code:02x?}");
        }
    }

    #[test]
    fn halves() {
        // movw r3, #0x1234; movt r3, #0x2000
        let (_, low) = decode(0, &[0x41, 0xf2, 0x34, 0x23]).unwrap();
        let (_, high) = decode(4, &[0xc2, 0xf2, 0x00, 0x03]).unwrap();
        assert_eq!(
            low,
            Refers::Low {
                register: 3,
                half: 0x1234
            }
        );
        assert_eq!(
            high,
            Refers::High {
                register: 3,
                half: 0x2000
            }
        );
    }
}
