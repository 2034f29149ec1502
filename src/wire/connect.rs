//! The two text lines in front of a stream through Firecracker's vsock device.
//!
//! A host reaches a guest's vsock port through a Unix socket of the VMM: it writes one line, and if
//! the guest accepts the connection, it reads one line, after which the bytes are the guest's.
//! If nobody listens, the VMM closes the connection without a line.
//! Source: Firecracker `docs/vsock.md`, "Host-Initiated Connections".
//!
//! ```text
//! ConnectLine   43 4F 4E 4E 45 43 54 20   digits   0A      "CONNECT " port "\n"    10 to 19 bytes
//! OkLine        4F 4B 20                  digits   0A      "OK " port "\n"          5 to 14 bytes
//! ```
//!
//! `digits` is a `u32` in decimal with no sign, no leading zero and no space. The port in
//! [`ConnectLine`] is the guest's, the one in [`OkLine`] the one the VMM assigned to the host's
//! end. Anything else is refused at the first byte that makes it certain, so a peer that sends
//! garbage or never ends its line costs at most [`ConnectLine::MAX_LEN`] bytes.
//!
//! The parsers are given everything that has arrived so far and say how much of it was the line:
//! a guest that speaks first may have its bytes in the same read, and they are the caller's.
//!
//! ```
//! use mvm_core::wire::connect::{ConnectLine, OkLine};
//!
//! let mut line = [0; ConnectLine::MAX_LEN];
//! assert_eq!(ConnectLine { port: 52 }.encode(&mut line), b"CONNECT 52\n");
//!
//! assert_eq!(OkLine::parse(b"OK 10737"), Ok(None));
//! let received = b"OK 1073741824\n\0\0\0\x01x";
//! let (ok, consumed) = OkLine::parse(received).unwrap().unwrap();
//! assert_eq!(ok.port, 1_073_741_824);
//! assert_eq!(&received[consumed..], b"\0\0\0\x01x");
//!
//! assert!(OkLine::parse(b"OK not").is_err());
//! ```

/// Digits of the largest port.
const DIGITS_MAX: usize = 10;
const CONNECT: &[u8] = b"CONNECT ";
const OK: &[u8] = b"OK ";

/// Why a line is not the one that was expected. No such line can become one by more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConnectError {
    /// The line starts with something else than the word and the space.
    #[error("unexpected line, it differs at byte {at}")]
    Keyword {
        /// Offset of the first byte that differs.
        at: usize,
    },
    /// There are no digits.
    #[error("no port")]
    NoPort,
    /// A zero is followed by more digits.
    #[error("the port has a leading zero")]
    LeadingZero,
    /// A byte in the port is not a digit.
    #[error("byte {byte:#04x} at {at} is not a digit")]
    NotADigit {
        /// Offset of the byte in the line.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// The port is above 4,294,967,295.
    #[error("the port does not fit 32 bits")]
    PortTooLarge,
    /// The line does not end where the longest one does.
    #[error("the line is longer than {max} bytes")]
    TooLong {
        /// Bytes of the longest line, its end included.
        max: usize,
    },
}
impl_error!(ConnectError);
const _: () = assert!(size_of::<ConnectError>() <= 16);

/// The host's request: `CONNECT <port>\n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // Firecracker's protocol has nothing else to say.
pub struct ConnectLine {
    /// The guest's vsock port.
    pub port: u32,
}

impl ConnectLine {
    /// Bytes of the longest line, its end included: 19.
    pub const MAX_LEN: usize = CONNECT.len() + DIGITS_MAX + 1;

    /// Writes the line to the front of `out` and returns it.
    pub fn encode(self, out: &mut [u8; Self::MAX_LEN]) -> &[u8] {
        encode_line(CONNECT, self.port, out)
    }

    /// Reads the line from the front of everything that has arrived.
    ///
    /// For the far side of the socket: a proxy, or a stand-in for the VMM in tests. Returns the
    /// line and its length in bytes, or `None` while it is incomplete.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]; at the first byte that makes it certain.
    pub fn parse(received: &[u8]) -> Result<Option<(Self, usize)>, ConnectError> {
        parse_line(CONNECT, received).map(|line| line.map(|(port, len)| (Self { port }, len)))
    }
}

/// The VMM's answer: `OK <port>\n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // Firecracker's protocol has nothing else to say.
pub struct OkLine {
    /// The vsock port the VMM assigned to the host's end of the connection.
    pub port: u32,
}

impl OkLine {
    /// Bytes of the longest line, its end included: 14.
    pub const MAX_LEN: usize = OK.len() + DIGITS_MAX + 1;

    /// Writes the line to the front of `out` and returns it.
    pub fn encode(self, out: &mut [u8; Self::MAX_LEN]) -> &[u8] {
        encode_line(OK, self.port, out)
    }

    /// Reads the line from the front of everything that has arrived.
    ///
    /// Returns the line and its length in bytes, or `None` while it is incomplete. What is behind
    /// that length belongs to the stream.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]; at the first byte that makes it certain.
    pub fn parse(received: &[u8]) -> Result<Option<(Self, usize)>, ConnectError> {
        parse_line(OK, received).map(|line| line.map(|(port, len)| (Self { port }, len)))
    }
}

fn encode_line<'o>(word: &[u8], port: u32, out: &'o mut [u8]) -> &'o [u8] {
    let mut digits = [0; DIGITS_MAX];
    let mut rest = port;
    let mut count = 0_usize;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.wrapping_add((rest % 10).to_le_bytes()[0]);
        rest /= 10;
        count = count.saturating_add(1);
        if rest == 0 {
            break;
        }
    }
    let digits = digits
        .get(DIGITS_MAX.saturating_sub(count)..)
        .unwrap_or_default();
    let mut len = 0_usize;
    let line = word.iter().chain(digits).chain(b"\n");
    for (target, byte) in out.iter_mut().zip(line) {
        *target = *byte;
        len = len.saturating_add(1);
    }
    out.get(..len).unwrap_or_default()
}

fn parse_line(word: &[u8], received: &[u8]) -> Result<Option<(u32, usize)>, ConnectError> {
    let mut port = 0_u32;
    let mut digits = 0_usize;
    for (at, &byte) in received.iter().enumerate() {
        if let Some(&expected) = word.get(at) {
            if byte != expected {
                return Err(ConnectError::Keyword { at });
            }
            continue;
        }
        match byte {
            b'\n' if digits == 0 => return Err(ConnectError::NoPort),
            b'\n' => return Ok(Some((port, at.saturating_add(1)))),
            _ if digits == DIGITS_MAX => {
                let max = word.len().saturating_add(DIGITS_MAX + 1);
                return Err(ConnectError::TooLong { max });
            }
            b'0'..=b'9' if digits == 1 && port == 0 => return Err(ConnectError::LeadingZero),
            b'0'..=b'9' => {
                port = port
                    .checked_mul(10)
                    .and_then(|port| port.checked_add(u32::from(byte.wrapping_sub(b'0'))))
                    .ok_or(ConnectError::PortTooLarge)?;
                digits = digits.saturating_add(1);
            }
            _ => return Err(ConnectError::NotADigit { at, byte }),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_encoded_and_parsed_back() {
        for port in [0, 1, 9, 10, 52, 1024, 1_073_741_824, u32::MAX - 1, u32::MAX] {
            let mut out = [0xEE; ConnectLine::MAX_LEN];
            let line = ConnectLine { port }.encode(&mut out);
            assert_eq!(line, alloc::format!("CONNECT {port}\n").as_bytes());
            assert_eq!(
                ConnectLine::parse(line),
                Ok(Some((ConnectLine { port }, line.len())))
            );
            let mut out = [0xEE; OkLine::MAX_LEN];
            let line = OkLine { port }.encode(&mut out);
            assert_eq!(line, alloc::format!("OK {port}\n").as_bytes());
            // Every prefix is incomplete, and what follows the line is not touched.
            for cut in 0..line.len() {
                assert_eq!(OkLine::parse(&line[..cut]), Ok(None), "{cut}");
            }
            let behind = [line, b"\n\0OK 7\n"].concat();
            assert_eq!(
                OkLine::parse(&behind),
                Ok(Some((OkLine { port }, line.len())))
            );
        }
    }

    #[test]
    fn anything_else_is_refused_at_the_first_certain_byte() {
        use ConnectError::*;
        let cases: &[(&[u8], ConnectError)] = &[
            (b"X", Keyword { at: 0 }),
            (b"ok 1\n", Keyword { at: 0 }),
            (b" OK 1\n", Keyword { at: 0 }),
            (b"OKAY", Keyword { at: 2 }),
            (b"OK\n", Keyword { at: 2 }),
            (b"OK\t1\n", Keyword { at: 2 }),
            (b"CONNECT 52\n", Keyword { at: 0 }),
            (b"OK \n", NoPort),
            (b"OK  ", NotADigit { at: 3, byte: b' ' }),
            (b"OK +", NotADigit { at: 3, byte: b'+' }),
            (b"OK -1\n", NotADigit { at: 3, byte: b'-' }),
            (b"OK n", NotADigit { at: 3, byte: b'n' }),
            (b"OK 1\r", NotADigit { at: 4, byte: b'\r' }),
            (b"OK 1 ", NotADigit { at: 4, byte: b' ' }),
            (b"OK 1\0", NotADigit { at: 4, byte: 0 }),
            (b"OK 0x", NotADigit { at: 4, byte: b'x' }),
            (b"OK \xD9\xA1", NotADigit { at: 3, byte: 0xD9 }),
            (b"OK 00", LeadingZero),
            (b"OK 01\n", LeadingZero),
            (b"OK 4294967296", PortTooLarge),
            (b"OK 9999999999", PortTooLarge),
            (b"OK 42949672950", TooLong { max: 14 }),
            (b"OK 1000000000 ", TooLong { max: 14 }),
        ];
        for (line, error) in cases {
            assert_eq!(OkLine::parse(line), Err(*error), "{line:?}");
            // Nothing that follows can repair it.
            assert_eq!(OkLine::parse(&[line, &b" 52\n"[..]].concat()), Err(*error));
        }
        // The last byte shown is the first that makes it certain, where the case says no more.
        for (line, error) in cases {
            let certain = match error {
                Keyword { at } | NotADigit { at, .. } => at + 1,
                LeadingZero => 5,
                _ => line.len(),
            };
            assert_eq!(OkLine::parse(&line[..certain - 1]), Ok(None), "{line:?}");
            assert_eq!(OkLine::parse(&line[..certain]), Err(*error), "{line:?}");
        }
        assert_eq!(ConnectLine::parse(b"OK"), Err(Keyword { at: 0 }));
    }

    #[test]
    fn an_endless_line_costs_no_more_than_the_longest_one() {
        let endless = [&b"OK 1"[..], &[b'1'; 4096]].concat();
        assert_eq!(OkLine::parse(&endless[..13]), Ok(None));
        assert_eq!(
            OkLine::parse(&endless[..OkLine::MAX_LEN]),
            Err(ConnectError::TooLong { max: 14 })
        );
        assert_eq!(OkLine::MAX_LEN, 14);
        assert_eq!(ConnectLine::MAX_LEN, 19);
    }
}
