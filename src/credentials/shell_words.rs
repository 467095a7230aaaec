//! A command line as AWS's tools split it: into words, by the quotes of a
//! shell, but without a shell.
//!
//! Text only. What is not closed is `None`; nothing is expanded, and no
//! character but blanks, quotes and the backslash means anything.
//!
//! Source: botocore splits `credential_process` by Python's `shlex.split`,
//! whose POSIX mode this follows.

use std::str::Chars;

/// The words of a command; none if a quote is not closed or a backslash has
/// nothing behind it.
pub(super) fn split(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    // An empty word is one only where it was quoted.
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => single(&mut chars, word.get_or_insert_default())?,
            '"' => double(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// Up to the closing `'` everything stands for itself.
fn single(chars: &mut Chars, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '\'' => return Some(()),
            c => word.push(c),
        }
    }
}

/// Up to the closing `"` a backslash quotes that and itself, and otherwise
/// stands for itself.
fn double(chars: &mut Chars, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => match chars.next()? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// What `shlex.split` (Python 3.11) makes of the same.
    #[test]
    fn splits_as_shlex_does() {
        let cases: [(&str, Option<&[&str]>); 24] = [
            ("", Some(&[])),
            (" \t\r\n", Some(&[])),
            ("a b", Some(&["a", "b"])),
            ("  a\t b\nc\r\nd  ", Some(&["a", "b", "c", "d"])),
            ("a\u{a0}b\x0cc", Some(&["a\u{a0}b\x0cc"])),
            ("'a b' \"c d\"", Some(&["a b", "c d"])),
            ("a'b'\"c\"d", Some(&["abcd"])),
            ("'' \"\" a", Some(&["", "", "a"])),
            ("''''", Some(&[""])),
            (r"a\ b \c \\ \'", Some(&["a b", "c", "\\", "'"])),
            (r"'a\b\' c", Some(&["a\\b\\", "c"])),
            (r#""a\"b\\c\d\$""#, Some(&["a\"b\\c\\d\\$"])),
            (r#""it's" 'say "x"'"#, Some(&["it's", "say \"x\""])),
            ("a\\\nb", Some(&["a\nb"])),
            ("\"a\\\nb\"", Some(&["a\\\nb"])),
            ("# a #b", Some(&["#", "a", "#b"])),
            ("$HOME ~/x * `y` a|b;c&d>e", {
                Some(&["$HOME", "~/x", "*", "`y`", "a|b;c&d>e"])
            }),
            ("größe '😀 x'", Some(&["größe", "😀 x"])),
            ("K=v a=\"b c\"", Some(&["K=v", "a=b c"])),
            ("'a", None),
            ("a \"b", None),
            ("a\\", None),
            ("\"a\\", None),
            ("'a' \"b' c", None),
        ];
        for (command, expected) in cases {
            let words = split(command);
            let words = words
                .as_ref()
                .map(|w| w.iter().map(String::as_str).collect());
            assert_eq!(words, expected.map(<[&str]>::to_vec), "{command:?}");
        }
    }

    /// Words that are quoted, in any of the ways, come back.
    #[test]
    fn what_is_quoted_comes_back() {
        let mut random = Random(11);
        let alphabet = ['a', ' ', '\t', '\n', '\\', '"', '\'', '#', '$', 'é'];
        for _ in 0..5000 {
            let mut quoted = String::new();
            let mut words = Vec::new();
            for _ in 0..random.below(4) {
                let length = random.below(6);
                let any = (0..length).map(|_| alphabet[random.below(alphabet.len())]);
                let word: String = any.collect();
                let text = match random.below(3) {
                    0 => format!("'{}'", word.replace('\'', "'\\''")),
                    1 => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
                    _ if word.is_empty() => "\"\"".to_string(),
                    _ => word.chars().flat_map(|c| ['\\', c]).collect(),
                };
                quoted += &text;
                quoted += [" ", "\n", " \t"][random.below(3)];
                words.push(word);
            }
            assert_eq!(split(&quoted), Some(words), "{quoted:?}");
        }
    }
}
