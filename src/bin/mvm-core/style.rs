//! How words look on a terminal, and what they may not do to it.

use alloc::string::String;

use clap::builder::styling::{AnsiColor, Style};

/// How a word looks on a terminal.
pub(crate) type Look = Style;

pub(crate) const GOOD: Look = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Look = AnsiColor::Red.on_default().bold();
pub(crate) const DOUBTFUL: Look = AnsiColor::Yellow.on_default().bold();
pub(crate) const BOLD: Look = Style::new().bold();
pub(crate) const DIM: Look = Style::new().dimmed();

/// A text whose control and format characters are escaped: what a document or a file's name says does not write to
/// the terminal.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let plain = matches!(character, '\'' | '"' | '\\');
        if plain || character.escape_debug().len() == 1 {
            shown.push(character);
        } else {
            shown.extend(character.escape_debug());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_does_not_write_to_the_terminal() {
        for (text, shown) in [
            ("it's \"é\" \\ ☃", "it's \"é\" \\ ☃"),
            ("\u{1b}[2J\n\r\u{7}", "\\u{1b}[2J\\n\\r\\u{7}"),
            ("a\u{202e}b\u{200b}", "a\\u{202e}b\\u{200b}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
