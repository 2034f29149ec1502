//! Where in a text the values of a document stand.
//!
//! One pass over the text, which only goes into values on the way to a wanted one and passes over the
//! others. Time grows with the text and the paths, recursion is as deep as the longest path, memory is a
//! node for each step of a path.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;

use super::at::{is_plain, write_member};
use super::problem::Position;

/// The places of the values at some paths, which are as [`At`](super::At) shows them.
#[derive(Default)]
pub(super) struct Places<'p> {
    root: Node<'p>,
}

/// A step of one or more paths.
#[derive(Default)]
struct Node<'p> {
    /// By name, as a path shows it.
    members: BTreeMap<&'p str, Node<'p>>,
    items: BTreeMap<usize, Node<'p>>,
    /// Where its name begins.
    name: Option<usize>,
    /// Where its value begins.
    value: Option<usize>,
    /// Where the last of its members begins, and its name, where the text ends right behind that name.
    broken: Option<(usize, String)>,
}

/// What was found of a path.
pub(super) struct Place<'a> {
    /// Where the name of the member begins; for an item, where its value begins.
    pub(super) name: usize,
    /// Where the value begins.
    pub(super) value: usize,
    /// How many bytes of the path there are values for.
    pub(super) len: usize,
    /// The text ends right behind the name of a member of this value: the name, and where it begins.
    pub(super) broken: Option<(usize, &'a str)>,
}

impl<'p> Places<'p> {
    /// Wants the place of a path.
    pub(super) fn want(&mut self, path: &'p str) {
        let mut node = &mut self.root;
        for (step, _) in steps(path) {
            node = match step {
                Step::Member(name) => node.members.entry(name).or_default(),
                Step::Item(index) => node.items.entry(index).or_default(),
            };
        }
    }

    /// Looks for the places. The text need not be complete: what is behind its end, or behind something
    /// that is not JSON, is not found.
    pub(super) fn find(&mut self, text: &[u8]) {
        let _ = Scanner { text, at: 0 }.value(&mut self.root);
    }

    /// The place of a path, or of the last value on the way to it that there is.
    pub(super) fn place(&self, path: &str) -> Place<'_> {
        let mut node = &self.root;
        let mut place = Place {
            name: node.value.unwrap_or(0),
            value: node.value.unwrap_or(0),
            len: 0,
            broken: None,
        };
        for (step, len) in steps(path) {
            let next = match step {
                Step::Member(name) => node.members.get(name),
                Step::Item(index) => node.items.get(&index),
            };
            // A member that occurs twice counts where it occurs last, as for the parser of a map. What
            // was found below the first is before that.
            let Some((next, name)) =
                next.and_then(|next| Some((next, next.name.filter(|name| *name > place.value)?)))
            else {
                return place;
            };
            node = next;
            place.name = name;
            place.value = node.value.unwrap_or(name);
            place.len = len;
        }
        place.broken = node.broken.as_ref().map(|(at, name)| (*at, name.as_str()));
        place
    }
}

/// A step of a path.
enum Step<'p> {
    /// The name as it is, or in brackets and quotes.
    Member(&'p str),
    Item(usize),
}

/// The steps of a path, each with the length of the path up to its end.
fn steps(path: &str) -> impl Iterator<Item = (Step<'_>, usize)> {
    let mut rest = path;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (step, behind) = if rest.starts_with("[\"") {
            let (name, behind) = rest.split_at_checked(quoted_len(rest))?;
            (Step::Member(name), behind)
        } else if let Some(behind) = rest.strip_prefix('[') {
            let (index, behind) = behind.split_once(']')?;
            (Step::Item(index.parse().ok()?), behind)
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, behind) = name.split_at_checked(end)?;
            (Step::Member(name), behind)
        };
        rest = behind;
        Some((step, path.len().saturating_sub(rest.len())))
    })
}

/// The length of `["…"]` at the beginning of a path.
fn quoted_len(path: &str) -> usize {
    let mut escaped = false;
    let end = path.bytes().skip(2).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(path.len(), |end| end.saturating_add(4))
}

/// `None` is the end of the text, or something that is not JSON.
struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Goes to the first byte behind this one that `wanted` holds for.
    fn go_to(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        let Some(len) = rest.iter().position(|byte| wanted(*byte)) else {
            self.at = self.text.len();
            return None;
        };
        self.at = self.at.saturating_add(len);
        self.peek()
    }

    /// Goes to the next byte that is not white space.
    fn go_on(&mut self) -> Option<u8> {
        self.go_to(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    fn value(&mut self, node: &mut Node<'_>) -> Option<()> {
        let first = self.go_on();
        // Where the text ends in front of a value, that is where it would begin.
        node.value = Some(self.at);
        node.broken = None;
        let first = first?;
        match first {
            b'{' => self.object(node),
            b'[' if !node.items.is_empty() => self.array(node),
            _ => self.skip(),
        }
    }

    fn object(&mut self, node: &mut Node<'_>) -> Option<()> {
        self.step();
        loop {
            match self.go_on()? {
                b'}' => {
                    self.step();
                    return Some(());
                }
                b',' => self.step(),
                b'"' => {
                    let begin = self.at;
                    self.string()?;
                    let name = shown(self.text.get(begin..self.at)?)?;
                    let mut member = node.members.get_mut(name.as_ref());
                    if let Some(member) = &mut member {
                        member.name = Some(begin);
                        member.value = None;
                        member.broken = None;
                    }
                    if self.at == self.text.len() {
                        node.broken = Some((begin, name.into_owned()));
                        return None;
                    }
                    self.member(member)?;
                }
                _ => return None,
            }
        }
    }

    /// What is behind the name of a member.
    fn member(&mut self, member: Option<&mut Node<'_>>) -> Option<()> {
        if self.go_on()? != b':' {
            return None;
        }
        self.step();
        match member {
            Some(member) => self.value(member),
            None => self.skip(),
        }
    }

    fn array(&mut self, node: &mut Node<'_>) -> Option<()> {
        self.step();
        if self.go_on() == Some(b']') {
            self.step();
            return Some(());
        }
        let mut index = 0_usize;
        loop {
            self.go_on();
            match node.items.get_mut(&index) {
                Some(item) => {
                    item.name = Some(self.at);
                    self.value(item)?;
                }
                None => self.skip()?,
            }
            let more = self.go_on()? == b',';
            self.step();
            if !more {
                return Some(());
            }
            index = index.saturating_add(1);
        }
    }

    /// Goes behind the string that begins here.
    fn string(&mut self) -> Option<()> {
        self.step();
        loop {
            match self.go_to(|byte| matches!(byte, b'"' | b'\\'))? {
                b'"' => {
                    self.step();
                    return Some(());
                }
                _ => {
                    self.step();
                    self.step();
                }
            }
        }
    }

    /// Goes behind the next value, without recursion.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.go_on()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.step();
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.step();
                }
                b',' | b':' => {
                    self.step();
                    continue;
                }
                _ => {
                    // A number or a word.
                    self.go_to(|byte| {
                        matches!(
                            byte,
                            b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'
                        )
                    });
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// The name of a member, which stands in quotes, as a path shows it.
fn shown(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if is_plain(inner) {
        return core::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    let name: String = serde_json::from_slice(quoted).ok()?;
    let mut shown = String::new();
    write_member(&mut shown, &name, true).ok()?;
    Some(Cow::Owned(shown))
}

/// Turns offsets into lines and columns. A line ends at a line feed; whether a carriage return is before
/// it makes no difference.
pub(super) struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    position: Position,
}

impl<'t> Lines<'t> {
    pub(super) const fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            position: Position { line: 1, column: 1 },
        }
    }

    /// Where the character with this byte is. Offsets come in order.
    pub(super) fn position(&mut self, offset: usize) -> Position {
        let passed = self.text.get(self.at..offset).unwrap_or_default();
        for byte in passed {
            match byte {
                b'\n' => {
                    self.position.line = self.position.line.saturating_add(1);
                    self.position.column = 1;
                }
                // Not a byte that goes on with a character.
                byte if byte & 0xC0 != 0x80 => {
                    self.position.column = self.position.column.saturating_add(1);
                }
                _ => {}
            }
        }
        self.at = self.at.max(offset);
        self.position
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::at::At;
    use super::*;

    fn place(text: &str, path: &str) -> (usize, usize, usize) {
        let mut places = Places::default();
        places.want(path);
        places.find(text.as_bytes());
        let place = places.place(path);
        (place.name, place.value, place.len)
    }

    #[test]
    fn values_and_names() {
        let text = r#" {"a": [1, {"b":"}]"}], "a.b" : {"":null} ,"\u00e9\"": true}"#;
        for (path, name, value) in [
            ("", 1, 1),
            ("a", 2, 7),
            ("a[0]", 8, 8),
            ("a[1].b", 12, 16),
            (r#"["a.b"]"#, 24, 32),
            (r#"["a.b"][""]"#, 33, 36),
            (r#"["é\""]"#, 43, 55),
        ] {
            assert_eq!(place(text, path), (name, value, path.len()), "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_where_its_object_is() {
        let text = r#"{"a": [{}, {"b": 1}], "c": 7}"#;
        for (path, value, len) in [
            ("x", 0, 0),
            ("a[1].x", 11, 4),
            ("a[2].b", 6, 1),
            ("a[0].b.c.d", 7, 4),
            ("c.d", 27, 1),
            ("c[0]", 27, 1),
            ("a.b", 6, 1),
        ] {
            let (_, found, resolved) = place(text, path);
            assert_eq!((found, resolved), (value, len), "{path}");
        }
    }

    #[test]
    fn the_last_of_the_same_name_counts() {
        let text = r#"{"a": {"b": 1, "c": 2}, "a": {"c": 3}}"#;
        assert_eq!(place(text, "a.c"), (30, 35, 3));
        // Not the one of the first.
        assert_eq!(place(text, "a.b"), (24, 29, 1));
        assert_eq!(place(r#"{"a": {"b": 1}, "a": 2}"#, "a.b").1, 21);
    }

    #[test]
    fn texts_that_end_early_or_are_not_json() {
        let whole = r#"{"a": [1, {"b": "x\""}], "c": 7}"#;
        for end in 0..=whole.len() {
            let (_, value, len) = place(&whole[..end], "c");
            let expected = match end {
                0..28 => (0, 0),
                28 => (25, 1),
                _ => (end.min(30), 1),
            };
            assert_eq!((value, len), expected, "{end}");
        }
        for text in [
            "",
            "{",
            "{]",
            "{\"a\" 1}",
            "{\"a\": }",
            "}",
            "{\"a",
            "{\"a\\",
            "[,,",
            "{\"\\x\": 1}",
        ] {
            let _ = place(text, "a.b[0]");
        }
        let mut places = Places::default();
        places.want("a[1]");
        places.find(br#"{"a": [0, {"b": 1, "b.c""#);
        assert_eq!(places.place("a[1]").broken, Some((19, r#"["b.c"]"#)));
        assert_eq!(places.place("a").broken, None);
    }

    #[test]
    fn deep_and_wide() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(place(&alloc::format!("{{\"a\": {deep}"), "b").2, 0);
        let path = "[0]".repeat(127);
        assert_eq!(place(&deep, &path), (127, 127, path.len()));
    }

    #[test]
    fn lines_and_columns() {
        let text = "a\nbé\r\n\r\n日本\u{301}x\n";
        let mut lines = Lines::new(text.as_bytes());
        let mut expected = Position { line: 1, column: 1 };
        for (offset, character) in text.char_indices() {
            assert_eq!(lines.position(offset), expected, "{offset}");
            // Twice is the same.
            assert_eq!(lines.position(offset), expected);
            expected.column += 1;
            if character == '\n' {
                expected = Position {
                    line: expected.line + 1,
                    column: 1,
                };
            }
        }
        assert_eq!(lines.position(text.len()), Position { line: 5, column: 1 });
        assert_eq!(
            lines.position(text.len() + 1),
            Position { line: 5, column: 1 }
        );
    }

    /// A value with a given shape.
    #[derive(Debug, Clone)]
    enum Json {
        Scalar(&'static str),
        Array(Vec<Json>),
        Object(Vec<(String, Json)>),
    }

    fn json() -> impl Strategy<Value = Json> {
        let scalar = prop::sample::select(alloc::vec![
            "0",
            "-1.5e+3",
            "true",
            "null",
            "\"\"",
            "\"}]{[,:\"",
            "\"\\\\\"",
            "\"\\\"\"",
            "\"é\\u00e9\"",
        ]);
        let name = prop_oneof![
            "[a-c]{1,2}",
            prop::sample::select(alloc::vec![
                "", ".", "[0]", "a.b", "\"", "\\", "\"]", "é", "\n", "]"
            ])
            .prop_map(String::from),
        ];
        scalar
            .prop_map(Json::Scalar)
            .prop_recursive(5, 40, 5, move |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
                    prop::collection::btree_map(name.clone(), inner, 0..5)
                        .prop_map(|members| Json::Object(members.into_iter().collect())),
                ]
            })
    }

    /// Writes `json`, and every place in it.
    fn write(
        json: &Json,
        at: &At<'_>,
        space: &str,
        text: &mut String,
        name: Option<usize>,
        all: &mut Vec<(String, usize, usize)>,
    ) {
        let begin = text.len();
        all.push((at.path(), name.unwrap_or(begin), begin));
        match json {
            Json::Scalar(scalar) => text.push_str(scalar),
            Json::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(space);
                    write(item, &at.item(index), space, text, None, all);
                    text.push_str(space);
                }
                text.push(']');
            }
            Json::Object(members) => {
                text.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(space);
                    let begin = text.len();
                    text.push_str(&serde_json::to_string(name).unwrap());
                    text.push_str(space);
                    text.push(':');
                    text.push_str(space);
                    write(member, &at.member(name), space, text, Some(begin), all);
                    text.push_str(space);
                }
                text.push('}');
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Every place of a random text is found, by itself and among all others.
        #[test]
        fn all_places_are_found(json in json(), space in "[ \t\r\n]{0,2}") {
            let mut text = space.clone();
            let mut all = Vec::new();
            write(&json, &At::ROOT, &space, &mut text, None, &mut all);
            let mut places = Places::default();
            for (path, ..) in &all {
                places.want(path);
            }
            places.find(text.as_bytes());
            for (path, name, value) in &all {
                let found = places.place(path);
                prop_assert_eq!((found.name, found.value, found.len), (*name, *value, path.len()), "{}", path);
                prop_assert_eq!(place(&text, path), (*name, *value, path.len()), "{}", path);
            }
        }

        /// Whatever the text is, nothing goes wrong and nothing is found behind its end.
        #[test]
        fn any_text(text in "[\\[\\]{}:,\"\\\\a0 ]{0,40}", path in "(a|\\.a|\\[0\\]|\\[\"a\"\\]){0,4}") {
            let (name, value, len) = place(&text, &path);
            prop_assert!(name <= text.len() && value <= text.len() && len <= path.len());
        }
    }
}
