//! Which secret goes to which host, in which header.
//!
//! A guest never sees the value of a secret in its environment: it has a placeholder there, and what
//! sends requests for it puts the value into the header for the one host that the secret is bound to.
//!
//! # Syntax
//! ```text
//! KEY:host                    the value is that of the variable KEY, the header Authorization
//! KEY:host:header             another header
//! KEY=value:host              this value
//! KEY=value:host:header
//! ```
//!
//! A value may hold `:` and `=`, and the text is read from its end, so that no part of the value becomes a
//! host or a header:
//!
//! - What follows the last `:` is the host if it has a dot (no header has one), or if there is no
//!   other `:` behind the `=`.
//! - Otherwise it is the header, if it looks like one that carries credentials ([`is_credential_header`]) and a
//!   host *with a dot* stands before it.
//! - Everything else is refused as [ambiguous](BindingError::Ambiguous): `KEY=a:b:c` could be the value `a` for the
//!   host `b`, or the value `a:b` for the host `c`. Put the value into the environment, and write `KEY:b:c`.
//!
//! One text is still read in a way that may not be meant: in `KEY=sk:abc.def:x-token` the end is taken for a host and
//! a header, although it could be a value and a host that is named like a header. Values from the environment
//! have no such case.
//!
//! 0.13.0 read from the beginning, and sent a part of the value to wherever another part of it said.
//!
//! ```
//! use mvm_core::secret_binding::{BindingError, SecretBinding};
//!
//! let binding: SecretBinding = "KEY=user:p=w:api.example.org:X-Token".parse()?;
//! assert_eq!(binding.target_host.as_str(), "api.example.org");
//! assert_eq!(binding.header.as_str(), "X-Token");
//! assert_eq!(binding.value.as_ref().unwrap().secret_str(), "user:p=w");
//! // Neither shows the value.
//! assert_eq!(binding.to_string(), "KEY:api.example.org:X-Token");
//! assert!(!format!("{binding:?}").contains("user"));
//!
//! assert_eq!("KEY=a:b:c".parse::<SecretBinding>().unwrap_err(), BindingError::Ambiguous);
//! # Ok::<(), BindingError>(())
//! ```

mod resolve;
mod secret;
mod words;

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use thiserror_no_std::Error;

use super::document::{Text, document};
use super::text::TextError;

pub use resolve::{ResolveError, ResolvedBinding, ResolvedSecrets};
pub use secret::{SecretText, SecretValue};
pub use words::{EnvVar, HeaderName, TargetHost};

const AUTHORIZATION: &str = "Authorization";

/// What the guest's environment has in place of a value, followed by the name of the variable.
pub const PLACEHOLDER_PREFIX: &str = "mvm-managed:";

/// Why something is no secret binding. Nothing of the value is in it; positions are byte offsets from 0 in
/// the part that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BindingError {
    /// There is no host.
    #[error("expected KEY:host, KEY:host:header, KEY=value:host or KEY=value:host:header")]
    Shape,
    /// Not the name of an environment variable.
    #[error("not the name of an environment variable: {0}")]
    EnvVar(TextError),
    /// Not a host.
    #[error("not a host name or IPv4 address: {0}")]
    Host(TextError),
    /// Not a header.
    #[error("not the name of a header: {0}")]
    Header(TextError),
    /// Not a value that a header can carry.
    #[error("not a value for a header: {0}")]
    Value(TextError),
    /// It cannot be told where the value ends.
    #[error(
        "ambiguous: the value may end at one ':' or at another; put it into the environment and leave `=value` out"
    )]
    Ambiguous,
}

impl_error!(BindingError);

fn authorization<'a>() -> Text<'a> {
    Text::from(AUTHORIZATION)
}

document! {
    @derive(Debug, serde::Serialize)
    /// A secret, the one host that it may be sent to, and the header that carries it.
    ///
    /// Its JSON has the value in it: the document is as secret as that.
    pub struct SecretBinding {
        /// The variable that the guest sees, and whose value in the host's environment is the secret if
        /// there is no [`value`](Self::value).
        env_var: EnvVar,
        /// Where it may be sent.
        target_host: TargetHost,
        /// The header that carries it. Default `Authorization`.
        header: HeaderName [default = "authorization"],
        /// The secret. Without it, the variable's value on the host.
        value: Option<SecretValue> [; skip_serializing_if = "Option::is_none"],
    }
}

impl SecretBinding {
    /// The secret of a variable, sent to a host in the header `Authorization`.
    #[must_use]
    pub fn new(env_var: EnvVar, target_host: TargetHost) -> Self {
        Self {
            env_var,
            target_host,
            header: HeaderName::authorization(),
            value: None,
        }
    }

    /// In another header.
    #[must_use]
    pub fn with_header(self, header: HeaderName) -> Self {
        Self { header, ..self }
    }

    /// With this value instead of the variable's.
    #[must_use]
    pub fn with_value(self, value: SecretValue) -> Self {
        let value = Some(value);
        Self { value, ..self }
    }

    /// What the guest's variable has in place of the value.
    #[must_use]
    pub fn placeholder(&self) -> String {
        placeholder(&self.env_var)
    }

    /// [`EnvVar::file_name`].
    #[must_use]
    pub fn secret_filename(&self) -> String {
        self.env_var.file_name()
    }
}

fn placeholder(env_var: &EnvVar) -> String {
    alloc::format!("{PLACEHOLDER_PREFIX}{env_var}")
}

impl fmt::Display for SecretBinding {
    /// The syntax without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.env_var, self.target_host)?;
        if self.header.as_str() != AUTHORIZATION {
            write!(f, ":{}", self.header)?;
        }
        Ok(())
    }
}

/// Whether a header is known to carry credentials, so that it is not taken for a host: `Authorization`,
/// `Cookie`, and whatever begins with `X-` or ends with `-Authorization`, `-Key`, `-Token` or `-Secret`, in any case of
/// letters.
///
/// It matters only behind a `=value`; elsewhere a header is one because of where it stands.
#[must_use]
pub fn is_credential_header(header: &str) -> bool {
    const WHOLE: [&str; 2] = ["authorization", "cookie"];
    const ENDS: [&str; 4] = ["-authorization", "-key", "-token", "-secret"];
    let header = header.to_ascii_lowercase();
    WHOLE.contains(&header.as_str())
        || header.starts_with("x-")
        || ENDS.iter().any(|end| header.ends_with(end))
}

impl FromStr for SecretBinding {
    type Err = BindingError;

    fn from_str(text: &str) -> Result<Self, BindingError> {
        let end = text.find([':', '=']).ok_or(BindingError::Shape)?;
        let (key, rest) = text.split_at(end);
        let env_var = EnvVar::new(key).map_err(BindingError::EnvVar)?;
        let (value, host, header) = match rest.strip_prefix('=') {
            Some(rest) => explicit(rest)?,
            None => {
                let rest = rest.strip_prefix(':').unwrap_or(rest);
                match rest.split_once(':') {
                    Some((host, header)) => (None, host, Some(header)),
                    None => (None, rest, None),
                }
            }
        };
        let target_host = TargetHost::new(host).map_err(BindingError::Host)?;
        let header = match header {
            Some(header) => HeaderName::new(header).map_err(BindingError::Header)?,
            None => HeaderName::authorization(),
        };
        let value = match value {
            Some(value) => Some(SecretValue::new(value.into()).map_err(BindingError::Value)?),
            None => None,
        };
        Ok(Self {
            env_var,
            target_host,
            header,
            value,
        })
    }
}

/// A value, a host, and perhaps a header.
type Parts<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

/// Takes `value:host` or `value:host:header` apart. The module's documentation has the rules.
fn explicit(text: &str) -> Result<Parts<'_>, BindingError> {
    let (before, last) = text.rsplit_once(':').ok_or(BindingError::Shape)?;
    if last.is_empty() {
        return Err(BindingError::Host(TextError::Empty));
    }
    if last.contains('.') {
        return Ok((Some(before), last, None));
    }
    match before.rsplit_once(':') {
        None => Ok((Some(before), last, None)),
        Some((value, host)) if host.contains('.') && is_credential_header(last) => {
            Ok((Some(value), host, Some(last)))
        }
        Some(_) => Err(BindingError::Ambiguous),
    }
}
