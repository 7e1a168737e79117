// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Wraps text at the width of a report.

/// The longest line, unless a single word is longer.
pub const WIDTH: usize = 100;

/// Appends `text`. The first line begins with `head`, and the others are indented by the length of
/// `head`.
pub fn push(out: &mut String, head: &str, text: &str) {
    let indent = head.chars().count();
    let mut column = indent;
    out.push_str(head);
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > indent && column + 1 + width > WIDTH {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_between_words() {
        let mut out = String::new();
        push(&mut out, "head  ", &"four ".repeat(40));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("head  four four") && lines[0].len() <= WIDTH);
        assert!(lines[1].starts_with("      four") && lines[1].len() <= WIDTH);
        out.clear();
        push(&mut out, "  ", &"x".repeat(120));
        assert_eq!(out.lines().count(), 1);
    }
}
