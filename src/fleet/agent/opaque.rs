//! What is passed on without being looked at.

use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fleet::document::plain_fields;

/// JSON in a vocabulary of others, passed on as it is: what a guest's agent is asked and answers, events of a
/// coordinator.
///
/// Nobody here knows what is in it: environment variables, tokens, files. So `Debug` shows which kind of value it is
/// and no more; it is written to JSON as it is.
///
/// ```
/// use mvm_core::agent::OpaqueJson;
/// use serde_json::json;
///
/// let request = OpaqueJson::from(json!({"Exec": {"env": {"TOKEN": "hunter2"}}}));
/// assert_eq!(format!("{request:?}"), "OpaqueJson(an object with 1 member)");
/// assert_eq!(request.secret_value()["Exec"]["env"]["TOKEN"], "hunter2");
/// ```
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpaqueJson(Value);

impl OpaqueJson {
    /// The value. It may hold secrets.
    #[must_use]
    pub const fn secret_value(&self) -> &Value {
        &self.0
    }

    /// The value, for keeping. It may hold secrets.
    #[must_use]
    pub fn into_secret_value(self) -> Value {
        self.0
    }
}

impl From<Value> for OpaqueJson {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl fmt::Debug for OpaqueJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueJson(")?;
        match &self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(_) => f.write_str("a boolean"),
            Value::Number(_) => f.write_str("a number"),
            Value::String(text) => write!(f, "a string of {} bytes", text.len()),
            Value::Array(values) => write!(f, "an array of {}", values.len()),
            Value::Object(members) => {
                let end = if members.len() == 1 { "" } else { "s" };
                write!(f, "an object with {} member{end}", members.len())
            }
        }?;
        f.write_str(")")
    }
}

plain_fields! {
    OpaqueJson,
}
