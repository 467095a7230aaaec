//! The key file, as the Java s3pipe had it: `aws.id`, `aws.key` and what
//! goes with them, in the syntax of java.util.Properties.
//!
//! A key file that is there must be whole: it never counts as 'nothing here'.
//! It fails with 78 and names the file and, where there is one, the line.

#![forbid(unsafe_code)]

use super::{BLANKS, Entry, Found, Search, assemble, decode, malformed};
use crate::error::{Error, Exit, Result};
use crate::os::files::{self, Contents};
use crate::protection::{self, Protection};
use crate::sign::Credentials;
use std::str::Chars;

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
mod tests {
    use super::super::testing::Dir;
    use super::*;
    use crate::testing::Random;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let entries = parse("f", &decode(text.as_bytes())).unwrap();
        entries.into_iter().map(|e| (e.key, e.value)).collect()
    }

    /// What java.util.Properties (OpenJDK 17) makes of the same text.
    #[test]
    fn reads_as_java_does() {
        let cases = [
            ("a=1\nb:2\nc 3\nd\t4\ne\x0c5", "a=1 b=2 c=3 d=4 e=5"),
            ("  a  =  1\n\tb \t: 2\n c   3", "a=1 b=2 c=3"),
            ("a==1\nb:=2\nc = :3\nd", "a==1 b==2 c=:3 d="),
            ("#a=1\n  !b=2\n\n \t\x0c\nc=#3", "c=#3"),
            (
                "a\\=b=1\nc\\:d:2\ne\\ f 3\n\\#g=4",
                "a=b=1 c:d=2 e f=3 #g=4",
            ),
            ("a=\\t\\n\\r\\f\\q\\\\", "a=\t\n\r\x0cq\\"),
            ("a=\\u0041\\u00e9\\uD83D\\uDE00\n\\u0062=2", "a=Aé😀 b=2"),
            ("a=1\\\n   2\\\r\n\t3\nb=4", "a=123 b=4"),
            ("a=1\\\\\nb=2\\\\\\\n3", "a=1\\ b=2\\3"),
            ("a=1\\\n# 2\n#c\\\nb=3", "a=1# 2 b=3"),
            ("a=1\\\n\nb=2\\", "a=1 b=2"),
            ("\\\n# 1\n\\\n b=2\n\\\n\nc", "b=2 c="),
            ("a=1\rb=2\r\nc=3", "a=1 b=2 c=3"),
            ("a=1\\ \\\n  \\ 2", "a=1  2"),
        ];
        for (text, expected) in cases {
            let shown: Vec<_> = pairs(text)
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            assert_eq!(shown.join(" "), expected, "{text:?}");
        }
        // Blanks at the end belong to the value.
        assert_eq!(pairs("a = 1 \t\n"), [("a".to_string(), "1 \t".to_string())]);
    }

    #[test]
    fn malformed_escapes_name_the_line() {
        for bad in [
            "\\u12", "\\u12g4", "\\u", "\\u+123", "\\ud800", "\\ud800x", "\\udc00",
        ] {
            let e = parse("f", &format!("a=1\n\nhush={bad}")).unwrap_err();
            assert_eq!(e.exit(), Exit::Config);
            assert_eq!(e.to_string(), "f:3: malformed \\u escape", "{bad}");
        }
    }

    #[test]
    fn all_settings() {
        let dir = Dir::new();
        let path = dir.write(
            "k",
            "# as of 2007\naws.id=old\naws.id = AKIA1 \naws.key: a/b+c= \t\naws.token=t\n\
             bucket=b\nstream=s t\nendpoint=http://x:1\nregion=r\nprefix=\nother=x\n",
        );
        let found = named(&path).unwrap();
        let credentials = &found.credentials;
        assert_eq!(
            (&*credentials.id, &*credentials.secret),
            ("AKIA1", "a/b+c=")
        );
        assert_eq!(credentials.token.as_deref(), Some("t"));
        assert_eq!(found.bucket.as_deref(), Some("b"));
        assert_eq!(found.stream.as_deref(), Some("s t"));
        assert_eq!(found.endpoint.as_deref(), Some("http://x:1"));
        assert_eq!(found.region.as_deref(), Some("r"));
        assert_eq!(found.prefix, None);
        assert_eq!(found.source, format!("key file {path}"));
        assert!(!found.fixed && found.warning.is_none());
    }

    #[test]
    fn refused() {
        let dir = Dir::new();
        let cases = [
            ("aws.id=a", ": aws.key is not set"),
            ("aws.key=hush", ": aws.id is not set"),
            ("aws.id=a\naws.key=", ": aws.key is not set"),
            (
                "aws.id=a\naws.key=b\naws.tokn=hush",
                ":3: unknown setting, only",
            ),
            ("aws.id=a\naws.keyhush", ":2: unknown setting, only"),
            ("AWS.ID=hush\naws.key=b", ":1: unknown setting, only"),
            (
                "aws.id=a\naws.key=hu\\nsh",
                ":2: aws.key goes on in the next line",
            ),
            (
                "aws.id=a\naws.key=b\nbucket=hu\\tsh",
                ":3: bucket has a control character",
            ),
            ("aws.id=hu sh\naws.key=b", ": aws.id has a character"),
        ];
        for (text, expected) in cases {
            let path = dir.write("k", text);
            let e = named(&path).unwrap_err();
            assert_eq!(e.exit(), Exit::Config);
            let shown = e.to_string();
            assert!(shown.starts_with(&format!("{path}{expected}")), "{shown}");
            assert!(!shown.contains("hu"), "{shown}");
        }
    }

    #[test]
    fn a_pipe_will_do() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"aws.id=a\naws.key=b").unwrap();
        drop(writer);
        let found = named(&format!("/dev/fd/{}", reader.as_raw_fd())).unwrap();
        assert!(found.fixed && found.warning.is_none());
        assert_eq!(found.credentials.id, "a");
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let mut random = Random(7);
        let alphabet = [
            'a', '=', ':', ' ', '\t', '\x0c', '\n', '\r', '\\', '#', '!', 'u', 'é', '😀',
        ];
        for _ in 0..2000 {
            let mut word = || -> String {
                let length = random.below(8);
                (0..length)
                    .map(|_| alphabet[random.below(alphabet.len())])
                    .collect()
            };
            let (key, value) = (word(), word());
            let escape = |text: &str| -> String {
                let units = text.encode_utf16();
                units.map(|unit| format!("\\u{unit:04x}")).collect()
            };
            let text = format!("{}\\\n  ={}", escape(&key), escape(&value));
            assert_eq!(pairs(&text), [(key, value)], "{text}");
        }
    }

    #[test]
    fn any_input_is_parsed_or_refused() {
        let good = "aws.id = A\\u0041\naws.key: b\\\n  c\n# x\nbucket b\n";
        let mut random = Random(1);
        let (mut parsed, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let text = decode(&random.input(good, b"\\\\\\\n\r\t =:#!ud8cA."));
            match parse("f", &text) {
                Ok(entries) => {
                    let size: usize = entries.iter().map(|e| e.key.len() + e.value.len()).sum();
                    assert!(size <= text.len() && entries.len() <= text.split('\n').count());
                    parsed += 1;
                }
                Err(e) => {
                    assert_eq!(e.exit(), Exit::Config);
                    refused += 1;
                }
            }
        }
        assert!(parsed > 1000 && refused > 1000, "{parsed} {refused}");
    }
}
