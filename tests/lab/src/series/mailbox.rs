// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads a mailbox of patches (mboxrd, as git format-patch and b4 write it).

/// A mail with a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mail {
    /// Its subject, in one line.
    pub(super) subject: String,
    /// All of it.
    pub(super) text: String,
}

/// The mails that have a diff, in their order. A cover letter has none.
pub(super) fn patches(mailbox: &str) -> Vec<Mail> {
    let mut texts: Vec<String> = Vec::new();
    for line in mailbox.lines() {
        if is_separator(line) || texts.is_empty() {
            texts.push(String::new());
        }
        let text = texts.last_mut().expect("a first line begins a text");
        text.push_str(line);
        text.push('\n');
    }
    let has_diff = |text: &String| text.contains("\n--- ") && text.contains("\n@@ ");
    let mails = texts.into_iter().filter(has_diff).map(|text| Mail {
        subject: subject(&text),
        text,
    });
    mails.collect()
}

/// The line that begins a mail: an address or a commit, and a date.
fn is_separator(line: &str) -> bool {
    line.strip_prefix("From ").is_some_and(|rest| {
        let mut words = rest.split_whitespace();
        let sender = words.next().unwrap_or_default();
        let is_commit = sender.len() >= 40 && sender.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_commit || sender.contains('@')) && words.count() >= 5
    })
}

/// The subject without [PATCH]. A line that begins with a space continues it.
fn subject(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines
        .find_map(|line| line.strip_prefix("Subject: "))
        .unwrap_or("without a subject");
    let more = lines.take_while(|line| line.starts_with([' ', '\t']));
    let words = [first]
        .into_iter()
        .chain(more)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ");
    match words.split_once("] ") {
        Some((tag, rest)) if tag.starts_with('[') => rest.to_owned(),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001";

    #[test]
    fn a_cover_letter_is_no_patch_and_a_long_subject_is_one_line() {
        let diff = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-From here on\n+From there\n";
        let text = format!(
            "{COMMIT}\nSubject: [PATCH 0/2] cover\n\nFrom 2020 on it was so.\n\
             {COMMIT}\nSubject: [PATCH 1/2] fuse: dax: one that\n is long\n\nwhy\n---\n{diff}\
             From a@b.c Mon Sep 17 00:00:00 2001\nSubject: two\n\nwhy\n---\n{diff}"
        );
        let mails = patches(&text);
        let subjects: Vec<_> = mails.iter().map(|mail| mail.subject.as_str()).collect();
        assert_eq!(subjects, ["fuse: dax: one that is long", "two"]);
        assert!(mails[0].text.contains("+From there\n"), "{}", mails[0].text);
    }

    #[test]
    fn a_text_without_a_diff_has_no_patch() {
        assert_eq!(patches("From here\nto there\n"), []);
    }
}
