//! The syntax of AWS's shared files: sections in brackets, settings, and
//! settings whose value is a block of indented ones.
//!
//! Where AWS's tools differ this reads what any of them does: as botocore has
//! it, a line is a continuation if it is indented deeper than its setting,
//! and `:` separates too; as the other SDKs have it, ` #` and ` ;` begin a
//! comment, and sections and settings may come twice (the last counts). It
//! knows no profiles and opens no file. It fails with 78 at what has no place
//! in such a file, and shows no line, which may hold a secret.

use super::{Entry, malformed};
use crate::error::Result;

/// A section as it stands in the file: its name with whatever quotes it has,
/// and its settings in their order, names in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
}

/// Reads a file's text, which has LF alone at the end of lines. Lines that
/// continue a value are joined to it by LF.
pub(super) fn parse(path: &str, text: &str) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut indent = 0;
    for (raw, number) in text.split('\n').zip(1..) {
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let depth = raw.len() - raw.trim_start().len();
        let last = sections.last_mut().and_then(|s| s.entries.last_mut());
        if let (Some(entry), true) = (last, depth > indent) {
            entry.value.push('\n');
            entry.value.push_str(line);
            continue;
        }
        indent = depth;
        if let Some(header) = line.strip_prefix('[') {
            let name = header_name(header)
                .ok_or_else(|| malformed(path, number, "not a section's [name]"))?;
            sections.push(Section {
                name: name.to_string(),
                entries: Vec::new(),
            });
            continue;
        }
        let (Some(section), Some((key, value))) = (sections.last_mut(), setting(line)) else {
            return Err(malformed(path, number, "not a setting in a section"));
        };
        section.entries.push(Entry {
            key: key.to_ascii_lowercase(),
            value: value.to_string(),
            line: number,
        });
    }
    Ok(sections)
}

/// The value of `key` in a block of indented settings; empty is as unset.
pub(super) fn nested(path: &str, block: &Entry, key: &str) -> Result<Option<Entry>> {
    let refuse = || {
        let why = format!("{} is no block of indented settings", block.key);
        malformed(path, block.line, why)
    };
    let body = block.value.strip_prefix('\n').ok_or_else(refuse)?;
    let mut found = "";
    for line in body.split('\n') {
        let (name, value) = line.split_once('=').ok_or_else(refuse)?;
        if name.trim_end() == key {
            found = value.trim_start();
        }
    }
    Ok((!found.is_empty()).then(|| Entry {
        key: key.to_string(),
        value: found.to_string(),
        line: block.line,
    }))
}

/// The name between brackets, of which the first is gone already; only a
/// comment may follow.
fn header_name(header: &str) -> Option<&str> {
    let (name, rest) = header.split_once(']')?;
    let rest = rest.trim_start();
    let name = name.trim();
    (!name.is_empty() && (rest.is_empty() || rest.starts_with(['#', ';']))).then_some(name)
}

/// Name and value of a setting, without the comment.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(['=', ':'])?;
    let key = key.trim_end();
    let comment = value
        .char_indices()
        .zip(value.chars().skip(1))
        .find(|((_, c), next)| c.is_whitespace() && matches!(next, '#' | ';'));
    let end = comment.map_or(value.len(), |((at, _), _)| at);
    (!key.is_empty()).then(|| (key, value[..end].trim()))
}

#[cfg(test)]
#[path = "ini_tests.rs"]
mod tests;
