//! The parts of a binding that are not secret.

use alloc::boxed::Box;
use alloc::string::String;
use core::net::Ipv4Addr;

use super::BindingError;
use crate::fleet::document::{Reason, text_fields};
use crate::fleet::text::{TextError, boxed_text};
use crate::limits::{DNS_LABEL_MAX, DNS_NAME_MAX, ENV_VAR_MAX, HEADER_NAME_MAX};

/// The name of an environment variable: 1 to 128 of `[0-9A-Za-z_.]`, the first a letter or `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvVar(Box<str>);

/// Where a secret may be sent: a DNS name (RFC 1123, section 2.1) or an IPv4 address, without a port and
/// without a dot at the end. Names are not followed to addresses, and their case is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetHost(Box<str>);

/// The name of an HTTP header: 1 to 128 of `[0-9A-Za-z_-]`, the first a letter. RFC 9110 (section 5.1)
/// allows further characters, which no header for credentials has; without them a port and a host are
/// never taken for a header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(Box<str>);

/// Checks length and alphabet: the first byte of a text by `first`, the others by `rest`.
fn check(
    text: &str,
    max: usize,
    first: fn(u8) -> bool,
    rest: fn(u8) -> bool,
) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    let len = text.len();
    if len > max {
        return Err(TextError::TooLong { len, max });
    }
    let wrong = text.bytes().enumerate().position(|(at, byte)| {
        let allowed = if at == 0 { first } else { rest };
        !allowed(byte)
    });
    match wrong {
        Some(at) => Err(TextError::InvalidCharacter { at }),
        None => Ok(()),
    }
}

impl EnvVar {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        check(
            text,
            ENV_VAR_MAX,
            |byte| byte.is_ascii_alphabetic() || byte == b'_',
            |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'),
        )?;
        Ok(Self(text.into()))
    }

    /// The name of the file that the secret of this variable is in: lower case, dots made `_`. It is a
    /// single component of a path; two variables may have the same one.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.as_str().to_ascii_lowercase().replace('.', "_")
    }
}

impl TargetHost {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        check(text, DNS_NAME_MAX, is_host_byte, is_host_byte)?;
        let mut at = 0_usize;
        let mut last = "";
        for label in text.split('.') {
            let (len, max) = (label.len(), DNS_LABEL_MAX);
            if len > max {
                return Err(TextError::TooLong { len, max });
            }
            let end = at.saturating_add(len);
            if label.is_empty() || label.starts_with('-') {
                return Err(TextError::InvalidCharacter { at });
            }
            if label.ends_with('-') {
                let at = end.saturating_sub(1);
                return Err(TextError::InvalidCharacter { at });
            }
            at = end.saturating_add(1);
            last = label;
        }
        // No top-level domain is a number: whoever reads `10.0.0.256` takes it for an address.
        if last.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<Ipv4Addr>().is_err() {
            let at = text.len().saturating_sub(last.len());
            return Err(TextError::InvalidCharacter { at });
        }
        Ok(Self(text.into()))
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
}

impl HeaderName {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        check(
            text,
            HEADER_NAME_MAX,
            |byte| byte.is_ascii_alphabetic(),
            |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
        )?;
        Ok(Self(text.into()))
    }

    /// `Authorization`.
    #[must_use]
    pub fn authorization() -> Self {
        Self(super::AUTHORIZATION.into())
    }
}

boxed_text!(EnvVar, TextError);
boxed_text!(TargetHost, TextError);
boxed_text!(HeaderName, TextError);

text_fields! {
    borrowed EnvVar => |error| Reason::Binding(BindingError::EnvVar(error));
    borrowed TargetHost => |error| Reason::Binding(BindingError::Host(error));
    borrowed HeaderName => |error| Reason::Binding(BindingError::Header(error));
}
