//! Where a pool and an instance stand in the hierarchy.

use core::{fmt, str::FromStr};

use thiserror_no_std::Error;

use super::{IdError, IdKind, InstanceId, PoolId, TenantId, digits::cut, validate_id};

/// Why a text is not a path of the hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PathError {
    /// Too few segments or too many.
    #[error("path has {found} segments, expected {expected} ({})", shape(.expected))]
    Segments {
        /// How many there are; 1 in the empty text.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A segment is not an id; the error says of which kind.
    #[error("{0}")]
    Id(IdError),
}

impl_error!(PathError);
const _: () = assert!(size_of::<PathError>() <= 32);

const fn shape(expected: &usize) -> &'static str {
    match *expected {
        2 => "tenant/pool",
        _ => "tenant/pool/instance",
    }
}

impl From<IdError> for PathError {
    fn from(error: IdError) -> Self {
        Self::Id(error)
    }
}

/// A pool and the tenant that it belongs to; as a text `tenant/pool`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PoolPath {
    /// The tenant.
    pub tenant: TenantId,
    /// The pool.
    pub pool: PoolId,
}

/// An instance with its pool and its tenant; as a text `tenant/pool/instance`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InstancePath {
    /// The tenant.
    pub tenant: TenantId,
    /// The pool.
    pub pool: PoolId,
    /// The instance.
    pub instance: InstanceId,
}

/// Reads `tenant/pool`: exactly two segments, each a valid id.
///
/// # Errors
/// [`PathError::Segments`], else [`PathError::Id`] for the first segment that is not an id.
///
/// # Examples
/// ```
/// use mvm_core::naming::{PathError, parse_pool_path};
///
/// assert_eq!(&parse_pool_path("acme/workers")?.pool, "workers");
/// assert!(parse_pool_path("../workers").is_err());
/// assert!(parse_pool_path("acme/workers/").is_err());
/// # Ok::<(), PathError>(())
/// ```
pub fn parse_pool_path(text: &str) -> Result<PoolPath, PathError> {
    let [tenant, pool, _] = segments(text, 2)?;
    Ok(PoolPath {
        tenant: TenantId::checked(tenant),
        pool: PoolId::checked(pool),
    })
}

/// Reads `tenant/pool/instance`: exactly three segments, each a valid id.
///
/// # Errors
/// [`PathError::Segments`], else [`PathError::Id`] for the first segment that is not an id.
///
/// # Examples
/// ```
/// use mvm_core::naming::{PathError, parse_instance_path};
///
/// let path = parse_instance_path("acme/workers/i-196c341b")?;
/// assert_eq!(&path.instance, "i-196c341b");
/// assert_eq!(path.to_string(), "acme/workers/i-196c341b");
///
/// let error = parse_instance_path("acme/workers").unwrap_err();
/// assert_eq!(error.to_string(), "path has 2 segments, expected 3 (tenant/pool/instance)");
/// # Ok::<(), PathError>(())
/// ```
pub fn parse_instance_path(text: &str) -> Result<InstancePath, PathError> {
    let [tenant, pool, instance] = segments(text, 3)?;
    Ok(InstancePath {
        tenant: TenantId::checked(tenant),
        pool: PoolId::checked(pool),
        instance: InstanceId::checked(instance),
    })
}

/// The segments of a text, each checked, if there are so many, and empty ones behind them.
#[inline(never)]
fn segments(text: &str, expected: usize) -> Result<[&str; 3], PathError> {
    let mut found = [""; 3];
    let mut count = 0usize;
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (segment, tail) = match cut(text, b'/') {
            Some((segment, tail)) => (segment, Some(tail)),
            None => (text, None),
        };
        if let Some(slot) = found.get_mut(count) {
            *slot = segment;
        }
        count = count.wrapping_add(1);
        rest = tail;
    }
    if count != expected {
        return Err(PathError::Segments {
            found: count,
            expected,
        });
    }
    let kinds = [IdKind::Tenant, IdKind::Pool, IdKind::Instance];
    for (segment, kind) in found.iter().zip(kinds).take(expected) {
        validate_id(segment, kind)?;
    }
    Ok(found)
}

impl InstancePath {
    /// The path of its pool.
    pub fn pool_path(&self) -> PoolPath {
        PoolPath {
            tenant: self.tenant.clone(),
            pool: self.pool.clone(),
        }
    }
}

impl fmt::Display for PoolPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.pool)
    }
}

impl fmt::Display for InstancePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.pool, self.instance)
    }
}

macro_rules! path_from_str {
    ($name:ident, $parse:ident) => {
        impl FromStr for $name {
            type Err = PathError;

            fn from_str(text: &str) -> Result<Self, PathError> {
                $parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = PathError;

            fn try_from(text: &str) -> Result<Self, PathError> {
                $parse(text)
            }
        }
    };
}

path_from_str!(PoolPath, parse_pool_path);
path_from_str!(InstancePath, parse_instance_path);
