//! By which name a build is found again.

use core::fmt;

use sha2::{Digest, Sha256};

use super::TemplateRevision;

const CONTEXT: &[u8] = b"mvm-core/template-cache-key/v1\0";
const VERSION: &str = "v1-";
const DIGEST_BYTES: usize = 32;

/// The name by which a build is found again: of the hash of the lock file, the profile and the role.
///
/// As a text, version 1 is `v1-` and the 64 hexadecimal digits of the SHA-256 of
///
/// ```text
/// "mvm-core/template-cache-key/v1\0" | len: u64, lock hash | len: u64, profile | len: u64, role    (big-endian)
/// ```
///
/// No two triples have one encoding. [`legacy`](Self::legacy) is 0.13.0's key, to look up what that has built: the
/// digits alone, of the SHA-256 of the three with `:` between them, so that `a:b`, `c` and `a`, `b:c` have one key.
/// A legacy key never equals one of version 1.
///
/// Both are file names. Neither covers the flake itself: two flakes with one lock file have one key, unless the
/// hash of the lock file tells them apart.
///
/// ```
/// use mvm_core::template::CacheKey;
///
/// let key = CacheKey::new("sha256:0425afd5", "minimal", "worker");
/// assert!(key.to_string().starts_with("v1-"));
/// assert_ne!(CacheKey::new("x", "a:b", "c"), CacheKey::new("x", "a", "b:c"));
/// assert_eq!(CacheKey::legacy("x", "a:b", "c"), CacheKey::legacy("x", "a", "b:c"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey {
    legacy: bool,
    digest: [u8; DIGEST_BYTES],
}

impl CacheKey {
    /// The key of a build, version 1.
    #[must_use]
    pub fn new(flake_lock_hash: &str, profile: &str, role: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(CONTEXT);
        for part in [flake_lock_hash, profile, role] {
            // A length has 64 bits at most on every target that there is.
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hasher.update(len.to_be_bytes());
            hasher.update(part.as_bytes());
        }
        Self {
            legacy: false,
            digest: hasher.finalize().into(),
        }
    }

    /// The key that 0.13.0 gives a build: for looking up only.
    #[must_use]
    pub fn legacy(flake_lock_hash: &str, profile: &str, role: &str) -> Self {
        let mut hasher = Sha256::new();
        for part in [flake_lock_hash, ":", profile, ":", role] {
            hasher.update(part.as_bytes());
        }
        Self {
            legacy: true,
            digest: hasher.finalize().into(),
        }
    }
}

impl TemplateRevision {
    /// The key by which this build is stored.
    ///
    /// 0.13.0's function of this name gives what is here [`legacy_cache_key`](Self::legacy_cache_key).
    #[must_use]
    pub fn cache_key(&self) -> CacheKey {
        CacheKey::new(&self.flake_lock_hash, &self.profile, &self.role)
    }

    /// The key by which 0.13.0 stored this build.
    #[must_use]
    pub fn legacy_cache_key(&self) -> CacheKey {
        CacheKey::legacy(&self.flake_lock_hash, &self.profile, &self.role)
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.legacy {
            f.write_str(VERSION)?;
        }
        self.digest
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}
