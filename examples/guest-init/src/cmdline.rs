//! The kernel's command line: the contract between a VMM and the init.
//!
//! | parameter | |
//! | --- | --- |
//! | `mvm.host_key=` | one to four public keys of hosts, 64 hexadecimal digits each, with commas between; needed |
//! | `mvm.instance=` | the instance this guest belongs to; without it the first handshake binds the guest |
//! | `mvm.generation=` | the lowest generation it accepts, from 1; 1 without it; needs `mvm.instance` |
//! | `mvm.port=` | one to four vsock ports, with commas between; 5252 without it |
//! | `mvm.modules=` | names of kernel modules, with commas between, in the order to load them |
//!
//! Each at most once. What follows ` -- ` is the workload: the kernel passes it on as arguments. Parameters
//! that do not begin with `mvm.` belong to others; one that does and is not in the table is an error, for a
//! misspelt one would otherwise be a guest that trusts, or serves, something else than was meant.

use mvm_core::limits::TRUSTED_HOST_KEYS_MAX;
use mvm_core::naming::InstanceId;
use mvm_core::session::{HostPublicKey, TrustedHost, TrustedHosts};

use crate::proc::{ascii, number};

/// Most ports.
pub const PORTS_MAX: usize = 4;
/// The port without `mvm.port=`.
pub const PORT: u32 = 5252;
/// Longest name of a module, in bytes.
pub const MODULE_NAME_MAX: usize = 63;

/// What the command line says.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Hosts that may open sessions; at least one.
    pub hosts: TrustedHosts,
    /// The instance, and the lowest generation.
    pub binding: Option<(InstanceId, u64)>,
    /// The vsock ports; at least one, all different in their low 16 bits.
    ports: [u32; PORTS_MAX],
    port_count: usize,
    modules: &'a [u8],
}

/// What is wrong with the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadParameter<'a> {
    /// The parameter, without its value.
    pub name: &'a [u8],
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is needed.
    Missing,
    /// It is there twice.
    Twice,
    /// The init has no such parameter.
    Unknown,
    /// Its value is not what the table says.
    Value,
    /// More values than the table allows.
    TooMany,
    /// Two ports have the same low 16 bits: their services would be one.
    SameService,
    /// It needs `mvm.instance`.
    NeedsInstance,
}

impl Why {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "is missing",
            Self::Twice => "is there twice",
            Self::Unknown => "is unknown",
            Self::Value => "has a value that it cannot have",
            Self::TooMany => "has too many values",
            Self::SameService => "has two ports with the same low 16 bits",
            Self::NeedsInstance => "needs mvm.instance",
        }
    }
}

const HOST_KEY: &[u8] = b"mvm.host_key";
const INSTANCE: &[u8] = b"mvm.instance";
const GENERATION: &[u8] = b"mvm.generation";
const PORTS: &[u8] = b"mvm.port";
const MODULES: &[u8] = b"mvm.modules";
const NAMES: [&[u8]; 5] = [HOST_KEY, INSTANCE, GENERATION, PORTS, MODULES];

impl<'a> Settings<'a> {
    /// Reads the content of `/proc/cmdline`.
    ///
    /// # Errors
    /// The first parameter that is not as the [module](self) says.
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub fn read(line: &'a [u8]) -> Result<Self, BadParameter<'a>> {
        let mut values: [Option<&'a [u8]>; NAMES.len()] = [None; NAMES.len()];
        let words = Pieces {
            rest: Some(line),
            ends: |byte| byte.is_ascii_whitespace(),
        };
        for word in words {
            if word == b"--" {
                break;
            }
            let mut parts = Pieces {
                rest: Some(unquoted(word)),
                ends: |byte| byte == b'=',
            };
            let name = parts.next().unwrap_or_default();
            if !name.starts_with(b"mvm.") {
                continue;
            }
            let bad = |why| BadParameter { name, why };
            let place = values
                .iter_mut()
                .zip(NAMES)
                .find(|(_, known)| *known == name);
            match place {
                None => return Err(bad(Why::Unknown)),
                Some((Some(_), _)) => return Err(bad(Why::Twice)),
                Some((place, _)) => *place = Some(unquoted(parts.rest.unwrap_or_default())),
            }
        }
        let [keys, instance, generation, ports, modules] = values;
        let modules = modules.unwrap_or_default();
        if !list(modules).all(is_module) {
            return Err(BadParameter {
                name: MODULES,
                why: Why::Value,
            });
        }
        let (ports, port_count) = read_ports(ports)?;
        Ok(Self {
            hosts: read_hosts(keys)?,
            binding: read_binding(instance, generation)?,
            ports,
            port_count,
            modules,
        })
    }

    /// The vsock ports.
    pub fn ports(&self) -> &[u32] {
        self.ports.get(..self.port_count).unwrap_or_default()
    }

    /// Names of the modules to load, in order.
    pub fn modules(&self) -> Pieces<'a> {
        list(self.modules)
    }
}

/// Pieces of a text, and what ends them. What stands in quotes ends none.
#[derive(Debug)]
pub struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    ends: fn(u8) -> bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let mut quoted = false;
        let end = text.iter().position(|byte| {
            quoted ^= *byte == b'"';
            !quoted && (self.ends)(*byte)
        });
        let (piece, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        // Where something ended the piece, there is another, if an empty one.
        self.rest = rest.get(1..);
        Some(piece)
    }
}

/// Without the quotes that may be around it.
fn unquoted(text: &[u8]) -> &[u8] {
    let text = match text {
        [b'"', rest @ ..] => rest,
        all => all,
    };
    match text {
        [rest @ .., b'"'] => rest,
        all => all,
    }
}

/// The values of a list; none of an empty one.
fn list(values: &[u8]) -> Pieces<'_> {
    Pieces {
        rest: (!values.is_empty()).then_some(values),
        ends: |byte| byte == b',',
    }
}

/// A file name that leads nowhere else.
fn is_module(name: &[u8]) -> bool {
    (1..=MODULE_NAME_MAX).contains(&name.len())
        && name
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-'))
}

fn read_hosts(keys: Option<&[u8]>) -> Result<TrustedHosts, BadParameter<'static>> {
    let bad = |why| BadParameter {
        name: HOST_KEY,
        why,
    };
    let mut hosts = TrustedHosts::new();
    for key in list(keys.ok_or(bad(Why::Missing))?) {
        let key = ascii(key).and_then(|key| HostPublicKey::from_hex(key).ok());
        let key = key.ok_or(bad(Why::Value))?;
        hosts
            .insert(TrustedHost::new(key))
            .map_err(|_| bad(Why::TooMany))?;
    }
    if hosts.as_slice().is_empty() {
        Err(bad(Why::Value))
    } else {
        Ok(hosts)
    }
}
const _: () = assert!(TRUSTED_HOST_KEYS_MAX == 4);

fn read_binding(
    instance: Option<&[u8]>,
    generation: Option<&[u8]>,
) -> Result<Option<(InstanceId, u64)>, BadParameter<'static>> {
    let floor = match generation {
        None => 1,
        Some(text) => match number(text) {
            Some(floor) if floor > 0 => floor,
            _ => {
                return Err(BadParameter {
                    name: GENERATION,
                    why: Why::Value,
                });
            }
        },
    };
    match instance {
        None if generation.is_some() => Err(BadParameter {
            name: GENERATION,
            why: Why::NeedsInstance,
        }),
        None => Ok(None),
        Some(id) => match InstanceId::from_ascii(id) {
            Some(id) => Ok(Some((id, floor))),
            None => Err(BadParameter {
                name: INSTANCE,
                why: Why::Value,
            }),
        },
    }
}

fn read_ports(values: Option<&[u8]>) -> Result<([u32; PORTS_MAX], usize), BadParameter<'static>> {
    let bad = |why| BadParameter { name: PORTS, why };
    let mut ports = [PORT, 0, 0, 0];
    let Some(values) = values else {
        return Ok((ports, 1));
    };
    let mut count: usize = 0;
    for text in list(values) {
        // The last one is the kernel's "any".
        let port = number(text)
            .and_then(|port| u32::try_from(port).ok())
            .filter(|port| *port != u32::MAX);
        let port = port.ok_or(bad(Why::Value))?;
        let earlier = ports.get(..count).unwrap_or_default();
        if earlier.iter().any(|other| service(*other) == service(port)) {
            return Err(bad(Why::SameService));
        }
        *ports.get_mut(count).ok_or(bad(Why::TooMany))? = port;
        count = count.saturating_add(1);
    }
    if count == 0 {
        Err(bad(Why::Value))
    } else {
        Ok((ports, count))
    }
}

/// The service of a session at `port`: its low 16 bits.
pub const fn service(port: u32) -> u16 {
    let [.., high, low] = port.to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvm_core::session::HostKey;

    fn key(seed: u8) -> String {
        HostKey::from_seed(&[seed; 32]).public().to_string()
    }

    fn why(line: &str) -> (String, Why) {
        let bad = Settings::read(line.as_bytes()).unwrap_err();
        (String::from_utf8(bad.name.into()).unwrap(), bad.why)
    }

    #[test]
    fn everything_is_read() {
        let line = format!(
            "console=ttyS0 panic=-1 mvm.host_key={},{} quiet mvm.instance=i-0a1b2c3d mvm.generation=7 \
             \"mvm.port=5252,70000\" mvm.modules=virtio_ring,vsock -- /bin/app mvm.port=x\n",
            key(1),
            key(2)
        );
        let settings = Settings::read(line.as_bytes()).unwrap();
        let hosts: Vec<String> = settings
            .hosts
            .as_slice()
            .iter()
            .map(|host| host.key.to_string())
            .collect();
        assert_eq!(hosts, [key(1), key(2)]);
        assert_eq!(
            settings.binding,
            Some((InstanceId::new("i-0a1b2c3d").unwrap(), 7))
        );
        assert_eq!(settings.ports(), [5252, 70000]);
        assert_eq!(
            settings.modules().collect::<Vec<_>>(),
            [&b"virtio_ring"[..], b"vsock"]
        );
    }

    #[test]
    fn a_key_is_all_that_is_needed() {
        let line = format!("mvm.host_key=\"{}\"", key(1));
        let settings = Settings::read(line.as_bytes()).unwrap();
        assert_eq!(settings.binding, None);
        assert_eq!(settings.ports(), [5252]);
        assert_eq!(settings.modules().count(), 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = format!("mvm.host_key={} ", key(1));
        let five = (1..=5).map(key).collect::<Vec<_>>().join(",");
        let cases = [
            (String::from("quiet"), "mvm.host_key", Why::Missing),
            (String::from("mvm.host_key="), "mvm.host_key", Why::Value),
            (String::from("mvm.host_key=abc"), "mvm.host_key", Why::Value),
            (
                format!("mvm.host_key={}", "0".repeat(64)),
                "mvm.host_key",
                Why::Value,
            ),
            (format!("mvm.host_key={five}"), "mvm.host_key", Why::TooMany),
            (format!("{good}{good}"), "mvm.host_key", Why::Twice),
            (format!("{good}mvm.hostkey=1"), "mvm.hostkey", Why::Unknown),
            (format!("{good}mvm."), "mvm.", Why::Unknown),
            (
                format!("{good}mvm.instance=\"web 1\""),
                "mvm.instance",
                Why::Value,
            ),
            (
                format!("{good}mvm.generation=1"),
                "mvm.generation",
                Why::NeedsInstance,
            ),
            (
                format!("{good}mvm.instance=i-0a1b2c3d mvm.generation=0"),
                "mvm.generation",
                Why::Value,
            ),
            (
                format!("{good}mvm.instance=i-0a1b2c3d mvm.generation=-1"),
                "mvm.generation",
                Why::Value,
            ),
            (format!("{good}mvm.port="), "mvm.port", Why::Value),
            (format!("{good}mvm.port=4294967295"), "mvm.port", Why::Value),
            (
                format!("{good}mvm.port=1,2,3,4,5"),
                "mvm.port",
                Why::TooMany,
            ),
            (
                format!("{good}mvm.port=1,65537"),
                "mvm.port",
                Why::SameService,
            ),
            (
                format!("{good}mvm.modules=../evil"),
                "mvm.modules",
                Why::Value,
            ),
            (format!("{good}mvm.modules=a,,b"), "mvm.modules", Why::Value),
            (
                format!("{good}mvm.modules={}", "a".repeat(64)),
                "mvm.modules",
                Why::Value,
            ),
        ];
        for (line, name, reason) in cases {
            assert_eq!(why(&line), (name.into(), reason), "{line}");
        }
    }

    #[test]
    fn no_line_makes_it_panic() {
        let parts = [
            "mvm.", "host_key", "=", ",", "\"", " ", "--", "port", "é", "1", "\n",
        ];
        for a in parts {
            for b in parts {
                for c in parts {
                    for d in parts {
                        let _ = Settings::read(format!("{a}{b}{c}{d}").as_bytes());
                    }
                }
            }
        }
    }
}
