//! The texts that callers choose: string ids, template names, flake references, revision hashes,
//! host names.

use super::{
    flake::{FlakeRefError, validate_flake_ref},
    text::text_newtype,
    validate::{
        IdError, IdKind, RevisionHashError, id_bytes, validate_id, validate_revision_hash,
        validate_template_name,
    },
};
use crate::limits::{DNS_LABEL_MAX, FLAKE_REF_MAX, HOST_NAME_MAX, ID_MAX, REVISION_HASH_MAX};

macro_rules! string_id {
    ($(#[$meta:meta])* $name:ident, $kind:ident, $expecting:literal) => {
        text_newtype! {
            $(#[$meta])*
            $name(ID_MAX, u8), IdError, $expecting,
            validate_id(IdKind::$kind)
        }

        const _: () = assert!(size_of::<$name>() == 64);
    };
}

string_id! {
    /// The id of a tenant; [`validate_id`] is its grammar.
    ///
    /// ```
    /// use mvm_core::naming::TenantId;
    ///
    /// let tenant: TenantId = "acme".parse()?;
    /// assert_eq!(&tenant, "acme");
    /// assert!(TenantId::new("../acme").is_err());
    /// # Ok::<(), mvm_core::naming::IdError>(())
    /// ```
    TenantId, Tenant, "a tenant id"
}

string_id! {
    /// The id of a pool, unique within its tenant; [`validate_id`] is its grammar.
    PoolId, Pool, "a pool id"
}

string_id! {
    /// The id of an instance, unique within its pool; [`validate_id`] is its grammar. Ids that this
    /// crate makes are `i-` and 8 hexadecimal digits, ids from elsewhere need not be.
    InstanceId, Instance, "an instance id"
}

string_id! {
    /// The id of a node of the fleet; [`validate_id`] is its grammar.
    NodeId, Node, "a node id"
}

string_id! {
    /// The id of the holder of a signing key; [`validate_id`] is its grammar.
    SignerId, Signer, "a signer id"
}

string_id! {
    /// The name of a virtual machine outside the fleet's hierarchy; [`validate_id`] is its grammar.
    VmName, Vm, "a VM name"
}

string_id! {
    /// A host name of one label. [`validate_id`] is its grammar, so it is a DNS label (at most 63
    /// bytes, RFC 1123, section 2.1) and fits the kernel's 64 bytes.
    ///
    /// Every instance id is a host name ([`From`]), but is unique only within its pool;
    /// [`unique`](Hostname::unique) is unique in the fleet.
    Hostname, Hostname, "a host name of one label"
}

const _: () = assert!(ID_MAX <= DNS_LABEL_MAX && ID_MAX <= HOST_NAME_MAX);

text_newtype! {
    /// The name of a template; [`validate_template_name`] is its grammar.
    TemplateId(ID_MAX, u8), IdError, "a template name",
    validate_template_name()
}

text_newtype! {
    /// A reference to a Nix flake; [`validate_flake_ref`] is its grammar. More than 1 KiB: keep it
    /// behind a reference.
    FlakeRef(FLAKE_REF_MAX, u16), FlakeRefError, "a flake reference",
    validate_flake_ref()
}

text_newtype! {
    /// The hash that names a revision; [`validate_revision_hash`] is its grammar.
    ///
    /// ```
    /// use mvm_core::naming::{RevisionHash, RevisionHashError};
    ///
    /// assert!(RevisionHash::new("sha256:0425afd5").is_ok());
    /// assert_eq!(RevisionHash::new(".."), Err(RevisionHashError::Dots));
    /// ```
    RevisionHash(REVISION_HASH_MAX, u8), RevisionHashError, "a revision hash",
    validate_revision_hash()
}

impl InstanceId {
    /// An id of bytes; `None` where they are none. What a guest reads ids with: to say what is wrong with
    /// one, as [`new`](Self::new) does, takes a kilobyte of code.
    #[must_use]
    pub fn from_ascii(bytes: &[u8]) -> Option<Self> {
        let mut text = heapless::String::new();
        for byte in id_bytes(bytes)? {
            text.push(char::from(*byte)).ok()?;
        }
        Some(Self(text))
    }

    /// The id that 32 bits of entropy make: `i-` and 8 lower-case hexadecimal digits.
    ///
    /// 32 bits collide: among 9,300 instances with a probability of 1 %. Whoever creates an
    /// instance looks whether the id is taken in its pool. With std, `generate_instance_id` takes
    /// the entropy from the operating system.
    ///
    /// ```
    /// use mvm_core::naming::InstanceId;
    ///
    /// assert_eq!(&InstanceId::from_entropy([0x19, 0x6c, 0x34, 0x1b]), "i-196c341b");
    /// ```
    pub fn from_entropy(entropy: [u8; 4]) -> Self {
        let mut text = heapless::String::new();
        // 10 of 63 bytes: none of the pushes can fail.
        let _ = text.push_str("i-");
        super::digits::push_hex(text.as_mut_view(), &entropy);
        Self(text)
    }
}

impl From<&InstanceId> for Hostname {
    fn from(instance: &InstanceId) -> Self {
        Self(instance.0.clone())
    }
}

impl Hostname {
    /// The caller has made a valid name.
    pub(super) const fn from_stored(text: heapless::String<ID_MAX, u8>) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn an_id_of_bytes_is_one_of_text() {
        let mut texts: alloc::vec::Vec<String> = ["", "i-0a1b2c3d", "a--b", "ä", "a\u{e4}"]
            .map(String::from)
            .into();
        texts.extend([ID_MAX - 1, ID_MAX, ID_MAX + 1].map(|len| "a".repeat(len)));
        for first in 0..128_u8 {
            texts.push(char::from(first).into());
            texts.extend(
                (0..128_u8).map(|last| String::from_iter(['b', first.into(), last.into()])),
            );
            texts.extend(
                (0..128_u8).map(|last| String::from_iter([char::from(first), last.into()])),
            );
        }
        let mut good = 0;
        for text in texts {
            let id = InstanceId::from_ascii(text.as_bytes());
            assert_eq!(id, InstanceId::new(&text).ok(), "{text:?}");
            good += usize::from(id.is_some());
        }
        // One, two and three characters: 36 may stand at an end, 37 in the middle.
        assert_eq!(good, 4 + 36 + 36 * 36 + 37 * 36);
        assert_eq!(InstanceId::from_ascii(b"a\xff"), None);
    }
}
