//! Where in a document something is: a list on the stack, made into a text only for a problem.

use alloc::string::String;
use core::fmt::{self, Write};

use crate::limits::PATH_NAME_MAX;

/// A place in a document, as a list from the place to the root.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    /// The document itself.
    pub const ROOT: At<'static> = At {
        parent: None,
        step: Step::Root,
    };

    /// A member of the object at this place.
    #[must_use]
    pub const fn member(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Member(name),
        }
    }

    /// An item of the array at this place, counted from 0.
    #[must_use]
    pub const fn item(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Item(index),
        }
    }

    /// The path as a text, `tenants[2].pools[0].flake_ref`; empty for the document itself.
    pub fn path(&self) -> String {
        let mut path = String::new();
        // Writing to a `String` does not fail.
        let _ = write!(path, "{self}");
        path
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Member(name) => {
                let first = self
                    .parent
                    .is_none_or(|parent| matches!(parent.step, Step::Root));
                write_member(f, name, first)
            }
        }
    }
}

/// One step of a path to a member. A name that is no plain word stands in brackets and quotes, as in
/// JSON: `tags["a.b"]`. What a terminal could take for something else is escaped, and of a name that is
/// too long only the beginning is shown.
pub(super) fn write_member(f: &mut impl Write, name: &str, first: bool) -> fmt::Result {
    if is_plain(name.as_bytes()) {
        if !first {
            f.write_char('.')?;
        }
        return f.write_str(name);
    }
    f.write_str("[\"")?;
    for (index, character) in name.chars().enumerate() {
        if index == PATH_NAME_MAX {
            f.write_char('…')?;
            break;
        }
        write_character(f, character)?;
    }
    f.write_str("\"]")
}

/// Whether a name stands in a path as it is.
pub(super) fn is_plain(name: &[u8]) -> bool {
    (1..=PATH_NAME_MAX).contains(&name.len())
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// A character of a string of JSON; what cannot be seen as itself is escaped.
pub(super) fn write_character(f: &mut impl Write, character: char) -> fmt::Result {
    match character {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        _ if is_hidden(character) => character
            .encode_utf16(&mut [0; 2])
            .iter()
            .try_for_each(|unit| write!(f, "\\u{unit:04x}")),
        _ => f.write_char(character),
    }
}

/// Control and format characters, white space other than a space, what joins the character before it.
pub(super) fn is_hidden(character: char) -> bool {
    character != '\'' && character.escape_debug().next() == Some('\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn paths() {
        let root = At::ROOT;
        assert_eq!(root.path(), "");
        let (tenants, item) = (root.member("tenants"), root.item(3));
        assert_eq!(item.path(), "[3]");
        let second = tenants.item(2);
        let pools = second.member("pools");
        assert_eq!(
            pools.item(0).member("flake_ref").to_string(),
            "tenants[2].pools[0].flake_ref"
        );
        assert_eq!(tenants.member("a.b").path(), r#"tenants["a.b"]"#);
        assert_eq!(root.member("").path(), r#"[""]"#);
    }

    #[test]
    fn names_in_paths_are_json_and_do_not_reach_the_terminal() {
        for (name, path) in [
            ("it's", r#"["it's"]"#),
            ("a\"b\\c", r#"["a\"b\\c"]"#),
            ("\n\r\t\0\u{1b}[2J", r#"["\n\r\t\u0000\u001b[2J"]"#),
            ("é日", r#"["é日"]"#),
            ("\u{202e}\u{e0041}", r#"["\u202e\udb40\udc41"]"#),
        ] {
            let shown = At::ROOT.member(name).path();
            assert_eq!(shown, path);
            let json = shown.trim_start_matches('[').trim_end_matches(']');
            assert_eq!(serde_json::from_str::<String>(json).unwrap(), name);
        }
    }

    #[test]
    fn long_names_are_cut() {
        let longest = "a".repeat(PATH_NAME_MAX);
        assert_eq!(At::ROOT.member(&longest).path(), longest);
        let long = "a".repeat(PATH_NAME_MAX + 1);
        assert_eq!(
            At::ROOT.member(&long).path(),
            alloc::format!("[\"{longest}…\"]")
        );
        let odd = "é".repeat(PATH_NAME_MAX);
        assert_eq!(At::ROOT.member(&odd).path(), alloc::format!("[\"{odd}\"]"));
    }
}
