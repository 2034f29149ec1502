//! Ids, names derived from them, and their validation.

#[cfg(feature = "defmt")]
mod defmt_format;
mod digits;
mod flake;
mod ids;
mod mac;
mod net;
mod path;
mod short;
mod socket;
mod text;
mod validate;

pub use self::{
    flake::{FlakeRefError, validate_flake_ref},
    ids::{
        FlakeRef, Hostname, InstanceId, NodeId, PoolId, RevisionHash, SignerId, TemplateId,
        TenantId, VmName,
    },
    mac::MacAddr,
    net::{BridgeName, HostOffset, NetError, TapName, TenantNetId},
    path::{InstancePath, PathError, PoolPath, parse_instance_path, parse_pool_path},
    short::{ShortName, ShortNameError},
    socket::{SocketBase, SocketBaseError, SocketFile, SocketPath, SocketPathError, SunPath},
    text::Literal,
    validate::{
        IdError, IdKind, RevisionHashError, validate_id, validate_revision_hash,
        validate_template_name, validate_vm_name,
    },
};
