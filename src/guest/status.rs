//! Readiness, as facts and not as a verdict.

use core::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lifecycle::{Lifecycle, Phase};
use crate::limits::{COMPONENT_NAME_MAX, STATUS_COMPONENTS_MAX};
use crate::wire::fields::Writer;

/// Name of a component: 1 to [`COMPONENT_NAME_MAX`] bytes of printable ASCII without the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(transparent)]
pub struct ComponentName<'a>(&'a str);

/// Why a text is no name of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ComponentNameError {
    /// It is empty.
    #[error("the name of a component is empty")]
    Empty,
    /// It is too long.
    #[error("the name of a component has {len} bytes, {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A byte is not printable ASCII, or is a space.
    #[error("byte {byte:#04x} at {at} in the name of a component")]
    InvalidByte {
        /// Offset of the byte.
        at: usize,
        /// The byte.
        byte: u8,
    },
}
impl_error!(ComponentNameError);

impl<'a> ComponentName<'a> {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// See [`ComponentNameError`].
    pub fn new(name: &'a str) -> Result<Self, ComponentNameError> {
        let len = name.len();
        if len == 0 {
            return Err(ComponentNameError::Empty);
        }
        if len > COMPONENT_NAME_MAX {
            let max = COMPONENT_NAME_MAX;
            return Err(ComponentNameError::TooLong { len, max });
        }
        for (at, byte) in name.bytes().enumerate() {
            if !byte.is_ascii_graphic() {
                return Err(ComponentNameError::InvalidByte { at, byte });
            }
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for ComponentName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ComponentName<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <&str>::deserialize(deserializer)?;
        Self::new(name).map_err(|_| D::Error::custom("invalid name of a component"))
    }
}

/// What the guest knows of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(from = "(u8, u32)", into = "(u8, u32)")]
#[non_exhaustive]
pub enum ComponentState {
    /// Nothing is known. Code 0.
    Unknown,
    /// It has been started and does not serve yet. Code 1.
    Starting,
    /// It serves. Code 2.
    Ready,
    /// It failed. Code 3.
    Failed {
        /// A code of the component's own.
        code: u32,
    },
    /// A state of a later version; not ready as far as this one knows.
    Other(OtherState),
}

/// A state that this version has no name for. Only decoding makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OtherState {
    code: u8,
    detail: u32,
}

impl OtherState {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.code
    }

    /// Its detail.
    #[must_use]
    pub const fn detail(self) -> u32 {
        self.detail
    }
}

impl From<(u8, u32)> for ComponentState {
    // A known state with a detail it has not is read as that state; writing it back gives other
    // bytes, and the codec refuses the message for that.
    fn from((code, detail): (u8, u32)) -> Self {
        match code {
            0 => Self::Unknown,
            1 => Self::Starting,
            2 => Self::Ready,
            3 => Self::Failed { code: detail },
            _ => Self::Other(OtherState { code, detail }),
        }
    }
}

impl From<ComponentState> for (u8, u32) {
    fn from(state: ComponentState) -> Self {
        match state {
            ComponentState::Unknown => (0, 0),
            ComponentState::Starting => (1, 0),
            ComponentState::Ready => (2, 0),
            ComponentState::Failed { code } => (3, code),
            ComponentState::Other(OtherState { code, detail }) => (code, detail),
        }
    }
}

/// One component of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // What travels is fixed by the layout.
pub struct Component<'a> {
    /// What the guest's program calls it.
    #[serde(borrow)]
    pub name: ComponentName<'a>,
    /// Its state.
    pub state: ComponentState,
    /// For how long it has been in this state, in milliseconds of the guest's monotonic clock.
    pub since_ms: u64,
}

/// Up to [`STATUS_COMPONENTS_MAX`] components, in the order the guest gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Components<'a>(heapless::Vec<Component<'a>, STATUS_COMPONENTS_MAX>);

/// There are [`STATUS_COMPONENTS_MAX`] components already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("more than {max} components in a status")]
#[non_exhaustive]
pub struct TooManyComponents {
    /// The limit.
    pub max: usize,
}
impl_error!(TooManyComponents);

impl<'a> Components<'a> {
    /// No component.
    #[must_use]
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Adds one at the end.
    ///
    /// # Errors
    ///
    /// There is no room for it; the list is as it was.
    pub fn push(&mut self, component: Component<'a>) -> Result<(), TooManyComponents> {
        let max = STATUS_COMPONENTS_MAX;
        self.0
            .push(component)
            .map_err(|_| TooManyComponents { max })
    }

    /// The components.
    #[must_use]
    pub fn as_slice(&self) -> &[Component<'a>] {
        &self.0
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Components<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", self.as_slice());
    }
}

impl Serialize for Components<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for component in &self.0 {
            seq.serialize_element(component)?;
        }
        seq.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Components<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<'a>(core::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for List<'a> {
            type Value = Components<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of components")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Components<'a>, A::Error> {
                let mut list = Components::new();
                while let Some(component) = seq.next_element()? {
                    list.push(component)
                        .map_err(|_| A::Error::custom("too many components"))?;
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(List(core::marker::PhantomData))
    }
}

/// Answer to [`Call::Status`](super::Call::Status).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct StatusReport<'a> {
    /// Where the guest is in its life.
    pub phase: Phase,
    /// The generation in which it was last awake, or `None` before its first session.
    pub generation: Option<u64>,
    /// Time since the guest's program started, in milliseconds of its monotonic clock.
    pub uptime_ms: u64,
    /// Its components.
    #[serde(borrow)]
    pub components: Components<'a>,
}

impl<'a> StatusReport<'a> {
    /// A report of what `lifecycle` knows, without components.
    #[must_use]
    pub const fn new(lifecycle: &Lifecycle, uptime_ms: u64) -> Self {
        Self {
            phase: lifecycle.phase(),
            generation: lifecycle.generation(),
            uptime_ms,
            components: Components::new(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.byte(self.phase.code());
        match self.generation {
            None => writer.byte(0),
            Some(generation) => {
                writer.byte(1);
                writer.varint(generation);
            }
        }
        writer.varint(self.uptime_ms);
        let components = self.components.as_slice();
        // There are at most 16.
        writer.byte(u8::try_from(components.len()).unwrap_or(u8::MAX));
        for component in components {
            let (code, detail) = component.state.into();
            writer.bytes(component.name.0.as_bytes());
            writer.byte(code);
            writer.varint(u64::from(detail));
            writer.varint(component.since_ms);
        }
    }

    /// Whether the guest is awake and every component is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let ready = |component: &Component<'_>| component.state == ComponentState::Ready;
        self.phase == Phase::AWAKE && self.components.as_slice().iter().all(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        assert_eq!(
            ComponentName::new("sshd@1.service").unwrap().as_str(),
            "sshd@1.service"
        );
        assert!(ComponentName::new(&"x".repeat(32)).is_ok());
        let cases = [
            ("", ComponentNameError::Empty),
            ("a b", ComponentNameError::InvalidByte { at: 1, byte: b' ' }),
            (
                "\x1b[2J",
                ComponentNameError::InvalidByte { at: 0, byte: 0x1B },
            ),
            ("é", ComponentNameError::InvalidByte { at: 0, byte: 0xC3 }),
            (
                "a\x7f",
                ComponentNameError::InvalidByte { at: 1, byte: 0x7F },
            ),
        ];
        for (name, error) in cases {
            assert_eq!(ComponentName::new(name), Err(error));
        }
        assert_eq!(
            ComponentName::new(&"x".repeat(33)),
            Err(ComponentNameError::TooLong { len: 33, max: 32 })
        );
    }

    #[test]
    fn a_list_takes_sixteen() {
        let component = Component {
            name: ComponentName::new("a").unwrap(),
            state: ComponentState::Ready,
            since_ms: 0,
        };
        let mut list = Components::new();
        for _ in 0..STATUS_COMPONENTS_MAX {
            list.push(component).unwrap();
        }
        assert_eq!(list.push(component), Err(TooManyComponents { max: 16 }));
        assert_eq!(list.as_slice().len(), 16);
    }

    #[test]
    fn ready_is_awake_with_every_component_ready() {
        let mut report = StatusReport::new(&Lifecycle::booted(), 1);
        assert!(report.is_ready());
        let name = ComponentName::new("db").unwrap();
        for state in [
            ComponentState::Unknown,
            ComponentState::Starting,
            ComponentState::Failed { code: 1 },
            ComponentState::from((9, 0)),
        ] {
            let mut components = Components::new();
            let since_ms = 5;
            components
                .push(Component {
                    name,
                    state,
                    since_ms,
                })
                .unwrap();
            report.components = components;
            assert!(!report.is_ready(), "{state:?}");
        }
        assert!(!StatusReport::new(&Lifecycle::asleep(), 1).is_ready());
    }
}
