//! Where variables come from, and what is asked of them.

use alloc::string::String;
use std::ffi::OsString;

/// A source of environment variables.
///
/// [`ProcessVariables`] is the environment of the process; a closure from a name to a value is one
/// too, for tests and for programs that have read their variables elsewhere.
pub trait Variables {
    /// The value of a variable, `None` if it is unset.
    fn variable(&self, name: &str) -> Option<OsString>;
}

impl<F: Fn(&str) -> Option<OsString>> Variables for F {
    fn variable(&self, name: &str) -> Option<OsString> {
        self(name)
    }
}

/// The environment of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessVariables;

impl Variables for ProcessVariables {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// What a source of variables decides; the rules are on the page of the
/// [module](crate::config).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings<V = ProcessVariables> {
    variables: V,
}

/// What a variable says.
pub(in crate::host) enum Value {
    Unset,
    NotUnicode,
    Text(String),
}

impl Settings {
    /// From the environment of the process.
    #[must_use]
    pub const fn of_process() -> Self {
        Self::new(ProcessVariables)
    }
}

impl<V> Settings<V> {
    /// From any source of variables.
    #[must_use]
    pub const fn new(variables: V) -> Self {
        Self { variables }
    }
}

impl<V: Variables> Settings<V> {
    /// Whether `MVM_PRODUCTION` is `1`, or `true` in any case.
    ///
    /// ```
    /// use mvm_core::config::Settings;
    /// assert!(Settings::new(|_: &str| Some("True".into())).is_production_mode());
    /// assert!(!Settings::new(|_: &str| Some("yes".into())).is_production_mode());
    /// ```
    #[must_use]
    pub fn is_production_mode(&self) -> bool {
        self.text("MVM_PRODUCTION")
            .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// A variable with its empty value told as unset.
    pub(in crate::host) fn value(&self, name: &str) -> Value {
        match self.variables.variable(name).map(OsString::into_string) {
            None => Value::Unset,
            Some(Ok(text)) if text.is_empty() => Value::Unset,
            Some(Ok(text)) => Value::Text(text),
            Some(Err(_)) => Value::NotUnicode,
        }
    }

    /// A variable that counts as unset where it is not UTF-8.
    pub(in crate::host) fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Value::Text(text) => Some(text),
            Value::Unset | Value::NotUnicode => None,
        }
    }
}

/// [`Settings::is_production_mode`] in the environment of the process.
#[must_use]
pub fn is_production_mode() -> bool {
    Settings::of_process().is_production_mode()
}
