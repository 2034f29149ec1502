//! `defmt::Format` of the texts: the text itself. (Errors and numbers derive it.)

use defmt::{Format, Formatter, write};

use super::{
    BridgeName, FlakeRef, Hostname, InstanceId, Literal, MacAddr, NodeId, PoolId, RevisionHash,
    ShortName, SignerId, SocketBase, SocketPath, TapName, TemplateId, TenantId, VmName,
};

macro_rules! format_as_str {
    ($($name:ty),+ $(,)?) => {$(
        impl Format for $name {
            fn format(&self, f: Formatter<'_>) {
                write!(f, "{=str}", self.as_str());
            }
        }
    )+};
}

format_as_str!(
    BridgeName,
    FlakeRef,
    Hostname,
    InstanceId,
    NodeId,
    PoolId,
    RevisionHash,
    ShortName,
    SignerId,
    SocketBase<'_>,
    SocketPath,
    TapName,
    TemplateId,
    TenantId,
    VmName,
);

impl Format for MacAddr {
    fn format(&self, f: Formatter<'_>) {
        let [a, b, c, d, e, g] = self.octets();
        write!(
            f,
            "{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}",
            a, b, c, d, e, g
        );
    }
}

impl<T> Format for Literal<T> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=str}", self.text());
    }
}
