//! The key file, as the Java s3pipe had it: `aws.id`, `aws.key` and what
//! goes with them, in the syntax of java.util.Properties.
//!
//! A key file that is there must be whole: it never counts as 'nothing here'.
//! It fails with 78 and names the file and, where there is one, the line.

use std::str::Chars;

use super::{BLANKS, Entry, Found, Search, assemble, decode, malformed};
use crate::error::{Error, Exit, Result};
use crate::os::files::{self, Contents};
use crate::protection::{self, Protection};
use crate::sign::Credentials;

const LIMIT: u64 = 64 * 1024;
const NAMES: [&str; 3] = ["aws.id", "aws.key", "aws.token"];

/// The key file that the user named; it must exist.
pub(super) fn named(path: &str) -> Result<Found> {
    load(path)?.ok_or_else(|| Error::new(Exit::Config, path, "no such file"))
}

/// The user's key file, else the machine's.
pub(super) fn default(search: &mut Search) -> Result<Option<Found>> {
    let system = search.system_keyfile.to_string();
    let paths = search.at_home(".s3pipe.properties").into_iter();
    for path in paths.chain([system]) {
        if let Some(found) = load(&path)? {
            return Ok(Some(found));
        }
        search.looked.push(path);
    }
    Ok(None)
}

fn load(path: &str) -> Result<Option<Found>> {
    match files::read_if_there(path, LIMIT)? {
        Some(contents) => interpret(path, &contents).map(Some),
        None => Ok(None),
    }
}

fn interpret(path: &str, contents: &Contents) -> Result<Found> {
    let entries = parse(path, &decode(&contents.bytes))?;
    let unknown = |e: &&Entry| {
        let key = e.key.to_ascii_lowercase();
        key.starts_with("aws.") && !NAMES.contains(&e.key.as_str())
    };
    // A misspelt aws.token would be a puzzle later on. The name itself is not
    // shown: where a separator is missing, it holds the value.
    if let Some(entry) = entries.iter().find(unknown) {
        let why = "unknown setting, only aws.id, aws.key and aws.token start with aws.";
        return Err(malformed(path, entry.line, why));
    }
    if let Some(e) = entries.iter().find(|e| is_misspelt(&e.key)) {
        let why = "unknown setting, which looks like one that encrypts or seals";
        return Err(malformed(path, e.line, why));
    }
    let get = |key: &str| {
        let entry = entries.iter().rfind(|e| e.key == key);
        let value = entry.map(|e| e.text(path)).transpose()?;
        Ok::<_, Error>(value.filter(|text| !text.is_empty()))
    };
    let need = |key: &str| {
        get(key)?.ok_or_else(|| Error::new(Exit::Config, path, format!("{key} is not set")))
    };
    let credentials = Credentials {
        id: need(NAMES[0])?,
        secret: need(NAMES[1])?,
        token: get(NAMES[2])?,
    };
    Ok(Found {
        bucket: get("bucket")?,
        stream: get("stream")?,
        endpoint: get("endpoint")?,
        region: get("region")?,
        prefix: get("prefix")?,
        protection: Protection {
            encrypt_to: get("encrypt-to")?.map_or(Vec::new(), |r| Protection::recipients(&r)),
            identity: get("identity")?,
            hmac_keyfile: get("hmac-keyfile")?,
            sign_key: get("sign-key")?,
            allowed_signers: get("allowed-signers")?,
            signer: get("signer")?,
        },
        fixed: !contents.regular,
        warning: contents.exposed.clone(),
        ..Found::new(
            assemble(path, NAMES, credentials)?,
            format!("key file {path}"),
        )
    })
}

/// A stream must not go without encryption or a seal since a letter is wrong.
fn is_misspelt(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let stems = ["encr", "ident", "hmac", "sign", "allow"];
    stems.iter().any(|stem| lower.starts_with(stem)) && !protection::NAMES.contains(&key)
}

/// The settings of a properties file in their order (the last of a name
/// counts), as java.util.Properties.load describes it. `text` has LF alone
/// at the end of lines. Unlike Java this refuses half a surrogate pair.
fn parse(path: &str, text: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut lines = text.split('\n').zip(1..);
    while let Some((line, number)) = lines.next() {
        let line = line.trim_start_matches(BLANKS);
        if matches!(line, "" | "\\") || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = String::new();
        let mut piece = line;
        while let Some(continued) = continued(piece) {
            logical.push_str(continued);
            let Some((next, _)) = lines.next() else {
                piece = "";
                break;
            };
            piece = next.trim_start_matches(BLANKS);
        }
        logical.push_str(piece);
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Some(key), Some(value)) => entries.push(Entry {
                key,
                value,
                line: number,
            }),
            _ => return Err(malformed(path, number, "malformed \\u escape")),
        }
    }
    Ok(entries)
}

/// The line without its last backslash, if that joins the next line to it:
/// an even number of them at the end stands for backslashes.
fn continued(line: &str) -> Option<&str> {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    (backslashes % 2 == 1).then(|| &line[..line.len() - 1])
}

/// Key and value, both still escaped. The key ends at the first `=`, `:` or
/// blank that has no backslash; around one `=` or `:` there may be blanks.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(BLANKS))
}

/// Resolves escapes; none if a `\u` is malformed.
fn unescape(escaped: &str) -> Option<String> {
    let mut plain = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\x0c'),
            Some('u') => plain.push(unicode(&mut chars)?),
            other => plain.extend(other),
        }
    }
    Some(plain)
}

/// The character of a `\u`, of which `chars` has what follows: one UTF-16
/// unit, or the first of a pair whose other half is the next `\u`.
fn unicode(chars: &mut Chars) -> Option<char> {
    let unit = hex4(chars)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return char::from_u32(unit.into());
    }
    if chars.next()? != '\\' || chars.next()? != 'u' {
        return None;
    }
    char::decode_utf16([unit, hex4(chars)?]).next()?.ok()
}

fn hex4(chars: &mut Chars) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

#[cfg(test)]
#[path = "keyfile_tests.rs"]
mod tests;
