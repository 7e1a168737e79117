// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Makes text from guests and kernels safe for a terminal's lines.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// One line without control characters. These could move the cursor, or begin a line that looks
/// like a result.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// The number of columns of a line.
pub fn width(line: &str) -> usize {
    line.width()
}

/// One line of at most `columns`. A cut line ends with `~`.
pub fn clip(text: &str, columns: usize) -> String {
    let line = one_line(text);
    if width(&line) <= columns {
        return line;
    }
    let mut clipped = prefix(&line, columns.saturating_sub(1)).to_owned();
    clipped.push('~');
    clipped
}

/// Lines of at most `columns`, broken at spaces if possible.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in one_line(text).split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > columns {
            let part = prefix(word, columns);
            lines.push(part.to_owned());
            word = &word[part.len()..];
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The longest prefix of at most `columns`, but at least one character, so that a caller's loop
/// advances.
fn prefix(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > columns && at > 0 {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(one_line("a\x1b[31mb\r\nc\0 \n"), "a\\u{1b}[31mb\\r c\\u{0}");
    }

    #[test]
    fn lines_keep_to_their_columns() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdefg", 6), "abcde~");
        assert_eq!(clip("日本語", 5), "日本~");
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"]);
        assert!(wrap(" ", 4).is_empty());
    }
}
