//! Keys as text, for files: one line that says what it holds.
//!
//! ```text
//! mvm-core-key v1 <usage> <secret|public> <64 hexadecimal digits>\n
//! ```
//!
//! The usage is `document`, `host` or `guest`. The line is read strictly: single spaces, nothing
//! before or after but one optional newline. Bare hexadecimal digits, as older tools wrote them,
//! are not a key file.

use core::fmt;

use thiserror_no_std::Error;
use zeroize::Zeroize;

use super::{HexError, KeyError, PublicKey, SecretKey, Usage, hex};

/// Longest text of a secret key, in bytes.
pub const SECRET_TEXT_MAX: usize = 97;
/// Longest text of a public key, in bytes.
pub const PUBLIC_TEXT_MAX: usize = 97;

const MAGIC: &[u8] = b"mvm-core-key";
const VERSION: &[u8] = b"v1";
const SECRET: &[u8] = b"secret";
const PUBLIC: &[u8] = b"public";

/// Why text is not the key that was asked for. It never echoes the text: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum KeyTextError {
    /// Not a key file at all.
    #[error("not a key file: it does not begin with `mvm-core-key v1`")]
    NotAKey,
    /// A key file of a later version.
    #[error("a key file of a version this program does not know; upgrade it")]
    UnknownVersion,
    /// The key is for something else.
    #[error("the key is not for this usage ({expected})")]
    WrongUsage {
        /// The usage that was asked for.
        expected: &'static str,
    },
    /// A public key where a secret one is needed, or the other way round.
    #[error("the file does not hold a {expected} key")]
    WrongHalf {
        /// `secret` or `public`, as asked for.
        expected: &'static str,
    },
    /// Not exactly five fields with single spaces and at most one newline.
    #[error("a key file has five fields on one line")]
    Malformed,
    /// The digits are malformed.
    #[error("{0}")]
    Hex(HexError),
    /// The digits are not a public key.
    #[error("{0}")]
    Key(KeyError),
}

impl_error!(KeyTextError);

/// The text form of a secret key; wiped when dropped.
pub struct SecretText(heapless::Vec<u8, SECRET_TEXT_MAX, u8>);

impl SecretText {
    /// The line, with its newline.
    #[must_use]
    pub fn secret_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

fn line(usage: &str, half: &[u8], bytes: &[u8], emit: &mut impl FnMut(u8)) {
    for field in [MAGIC, VERSION, usage.as_bytes(), half] {
        for byte in field {
            emit(*byte);
        }
        emit(b' ');
    }
    hex::digits(bytes, &mut *emit);
    emit(b'\n');
}

fn parse(
    text: &str,
    usage: &'static str,
    half: &'static [u8],
    out: &mut [u8; 32],
) -> Result<(), KeyTextError> {
    let line = text.as_bytes();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut fields = line.split(|byte| *byte == b' ');
    if fields.next() != Some(MAGIC) {
        return Err(KeyTextError::NotAKey);
    }
    match fields.next() {
        Some(VERSION) => {}
        Some([b'v', b'0'..=b'9', ..]) => return Err(KeyTextError::UnknownVersion),
        _ => return Err(KeyTextError::NotAKey),
    }
    if fields.next() != Some(usage.as_bytes()) {
        return Err(KeyTextError::WrongUsage { expected: usage });
    }
    if fields.next() != Some(half) {
        let expected = if half == SECRET { "secret" } else { "public" };
        return Err(KeyTextError::WrongHalf { expected });
    }
    match (fields.next(), fields.next()) {
        (Some(digits), None) => hex::decode(digits, out).map_err(KeyTextError::Hex),
        _ => Err(KeyTextError::Malformed),
    }
}

impl<U: Usage> SecretKey<U> {
    /// The line for a secret key file, to be stored readable by its owner alone.
    ///
    /// ```
    /// use mvm_core::signing::DocumentKey;
    /// let key = DocumentKey::from_seed(&[1; 32]);
    /// let text = key.to_text();
    /// assert!(text.secret_str().starts_with("mvm-core-key v1 document secret 0101"));
    /// assert_eq!(DocumentKey::from_text(text.secret_str()).unwrap().public(), key.public());
    /// ```
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        // The capacity is asserted below to hold the longest line.
        let mut text = SecretText(heapless::Vec::new());
        line(U::LABEL, SECRET, self.secret_seed(), &mut |byte| {
            let _ = text.0.push(byte);
        });
        text
    }

    /// Reads what [`to_text`](Self::to_text) gave.
    ///
    /// # Errors
    /// Every [`KeyTextError`] but [`KeyTextError::Key`].
    pub fn from_text(text: &str) -> Result<Self, KeyTextError> {
        let mut seed = [0; 32];
        let result = parse(text, U::LABEL, SECRET, &mut seed).map(|()| Self::from_seed(&seed));
        seed.zeroize();
        result
    }

    /// Reads a seed of 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`HexError`].
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        let mut seed = [0; 32];
        let result = hex::decode(text.as_bytes(), &mut seed).map(|()| Self::from_seed(&seed));
        seed.zeroize();
        result
    }
}

impl<U: Usage> PublicKey<U> {
    /// The line for a public key file.
    #[must_use]
    pub fn to_text(&self) -> heapless::String<PUBLIC_TEXT_MAX, u8> {
        let mut text = heapless::String::new();
        line(U::LABEL, PUBLIC, self.as_bytes(), &mut |byte| {
            let _ = text.push(char::from(byte));
        });
        text
    }

    /// Reads what [`to_text`](Self::to_text) gave.
    ///
    /// # Errors
    /// Every [`KeyTextError`].
    pub fn from_text(text: &str) -> Result<Self, KeyTextError> {
        let mut bytes = [0; 32];
        parse(text, U::LABEL, PUBLIC, &mut bytes)?;
        Self::from_bytes(&bytes).map_err(KeyTextError::Key)
    }
}

// The longest label fits: 12 + 1 + 2 + 1 + 8 + 1 + 6 + 1 + 64 + 1 bytes.
const _: () =
    assert!(12 + 1 + 2 + 1 + super::Document::LABEL.len() + 1 + 6 + 1 + 64 < SECRET_TEXT_MAX);
const _: () = assert!(super::Document::LABEL.len() >= super::Guest::LABEL.len());
const _: () = assert!(super::Document::LABEL.len() >= super::Host::LABEL.len());

#[cfg(test)]
mod tests {
    use super::super::{Document, DocumentKey, Guest, Host};
    use super::*;

    #[test]
    fn a_key_file_is_read_only_as_what_it_says() {
        let secret = SecretKey::<Host>::from_seed(&[3; 32]);
        let text = secret.to_text();
        let text = text.secret_str();
        assert!(SecretKey::<Host>::from_text(text).is_ok());
        assert!(SecretKey::<Host>::from_text(text.trim_end()).is_ok());
        assert_eq!(
            SecretKey::<Guest>::from_text(text).err(),
            Some(KeyTextError::WrongUsage { expected: "guest" })
        );
        assert_eq!(
            SecretKey::<Document>::from_text(text).err(),
            Some(KeyTextError::WrongUsage {
                expected: "document"
            })
        );
        assert_eq!(
            PublicKey::<Host>::from_text(text).err(),
            Some(KeyTextError::WrongHalf { expected: "public" })
        );
    }

    #[test]
    fn malformed_texts_are_refused_with_their_reason() {
        let good = DocumentKey::from_seed(&[9; 32]).public().to_text();
        let digits = &good[good.len() - 65..good.len() - 1];
        let parse = |text: &str| PublicKey::<Document>::from_text(text).err();
        assert_eq!(parse(&good), None);
        assert_eq!(parse(""), Some(KeyTextError::NotAKey));
        assert_eq!(parse(digits), Some(KeyTextError::NotAKey));
        assert_eq!(
            parse(&good.replace("v1", "v2")),
            Some(KeyTextError::UnknownVersion)
        );
        assert!(parse(&good.replace(" document", "  document")).is_some());
        assert!(parse(&std::format!("{good}\n")).is_some());
        assert_eq!(
            parse(&good.replace("public ", "public x ")),
            Some(KeyTextError::Malformed)
        );
        assert!(matches!(
            parse(&good.replace(digits, &digits[1..])),
            Some(KeyTextError::Hex(_))
        ));
        let weak = std::format!("01{}", "0".repeat(62));
        assert_eq!(
            parse(&good.replace(digits, &weak)),
            Some(KeyTextError::Key(KeyError::Weak))
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = DocumentKey::from_seed(&[0xab; 32]);
        let shown = std::format!("{key:?} {:?}", key.to_text());
        assert!(!shown.contains("abab"), "{shown}");
    }
}
