//! Names of a fixed length for what may have a name too long: short names, and host names of one
//! label.

use heapless::String;
use sha2::{Digest, Sha512_256};
use thiserror_no_std::Error;

use super::{
    Hostname, InstancePath, PoolPath,
    digits::{is_base32, push_base32},
    text::{store, text_traits},
};
use crate::limits::ID_MAX;

const CONTEXT: &[u8] = b"mvm-core/short-name/v1\0";
const SHORT_PREFIX: char = '_';
/// 26 digits of 5 bits: 130 bits.
const SHORT_DIGITS: usize = 26;
/// The length of a short name.
pub(super) const SHORT_BYTES: usize = 1 + SHORT_DIGITS;

/// A short, stable, collision-resistant name for something whose own name may be too long: `_` and
/// 26 digits of base 32 (`0-9`, `a-z` without `i`, `l`, `o`, `u`). Never a valid id, because no id
/// contains `_`.
///
/// The digits are the first 130 bits, most significant first, of the SHA-512/256 of
///
/// ```text
/// "mvm-core/short-name/v1\0" | n: u32 | len: u32, part 1 | … | len: u32, part n      (big-endian)
/// ```
///
/// with the parts `instance`, tenant, pool, instance, or `pool`, tenant, pool, or `network` and the name
/// of a development network. No two lists of parts have one encoding; to find two with one short name
/// takes about 2^65 hashes.
///
/// ```
/// use mvm_core::naming::{ShortName, parse_instance_path};
///
/// let path = parse_instance_path("acme/workers/i-196c341b")?;
/// assert_eq!(ShortName::of_instance(&path).as_str(), "_v8shygpk8aat62v1xqm44wp7jk");
/// # Ok::<(), mvm_core::naming::PathError>(())
/// ```
#[derive(Clone)]
pub struct ShortName(String<SHORT_BYTES, u8>);

impl ShortName {
    /// The short name of an instance.
    pub fn of_instance(path: &InstancePath) -> Self {
        Self::of(&["instance", &path.tenant, &path.pool, &path.instance])
    }

    /// The short name of a pool.
    pub fn of_pool(path: &PoolPath) -> Self {
        Self::of(&["pool", &path.tenant, &path.pool])
    }

    /// The short name of what the first part says, with names that are unique together.
    pub(crate) fn of(parts: &[&str]) -> Self {
        let width = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        let mut hasher = Sha512_256::new();
        hasher.update(CONTEXT);
        hasher.update(width(parts.len()));
        for part in parts {
            hasher.update(width(part.len()));
            hasher.update(part.as_bytes());
        }
        let mut text = String::new();
        let _ = text.push(SHORT_PREFIX);
        push_base32(
            text.as_mut_view(),
            hasher.finalize().as_slice(),
            SHORT_DIGITS,
        );
        Self(text)
    }

    /// Reads a short name, as a program does that finds one in a directory.
    ///
    /// # Errors
    /// [`ShortNameError`] if it is not `_` and 26 digits.
    pub fn parse(text: &str) -> Result<Self, ShortNameError> {
        let digits = text.strip_prefix(SHORT_PREFIX).ok_or(ShortNameError)?;
        if digits.len() != SHORT_DIGITS || !digits.bytes().all(is_base32) {
            return Err(ShortNameError);
        }
        Ok(Self(store(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The 26 digits without the `_`: for names in which only letters and digits may stand.
    pub fn digits(&self) -> &str {
        self.as_str().strip_prefix(SHORT_PREFIX).unwrap_or_default()
    }
}

text_traits!(ShortName, ShortNameError, parse);

/// The text is not `_` and 26 digits of base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("not a short name: expected '_' and 26 of 0-9 and a-z without i, l, o, u")]
pub struct ShortNameError;

impl_error!(ShortNameError);

/// The bytes of an instance id that begin a [`unique`](Hostname::unique) host name.
const HOSTNAME_HEAD_BYTES: usize = ID_MAX - 1 - SHORT_DIGITS;

impl Hostname {
    /// A host name that no other instance of the fleet has: the first 36 bytes of the instance id,
    /// `-` and the 26 digits of its [`ShortName`]; at most 63 bytes.
    ///
    /// ```
    /// use mvm_core::naming::{Hostname, parse_instance_path};
    ///
    /// let path = parse_instance_path("acme/workers/i-196c341b")?;
    /// assert_eq!(&Hostname::from(&path.instance), "i-196c341b");
    /// assert_eq!(&Hostname::unique(&path), "i-196c341b-v8shygpk8aat62v1xqm44wp7jk");
    /// # Ok::<(), mvm_core::naming::PathError>(())
    /// ```
    pub fn unique(path: &InstancePath) -> Self {
        let id = path.instance.as_str();
        let head = id.get(..HOSTNAME_HEAD_BYTES).unwrap_or(id);
        let mut text = String::new();
        let short = ShortName::of_instance(path);
        for part in [head, "-", short.digits()] {
            let _ = text.push_str(part);
        }
        Self::from_stored(text)
    }
}
