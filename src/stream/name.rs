//! Stream names, upload ids, and the keys of the objects that hold a stream.
//!
//! Pure text. In a key a stream's name is one segment of `[A-Za-z0-9.-]` and
//! `_XX` escapes, so that no two names share a key and nothing depends on how
//! a server treats `/`, `%`, `..` or letters outside ASCII. The format is
//! documented in s3pipe.5.

use crate::error::{Error, Exit, Result};
use crate::s3::Kind;
use crate::text::hex::{self, Hash};
use crate::text::time::Utc;

/// The longest encoded name, in bytes. S3 allows keys of 1024.
pub const NAME_LIMIT: usize = 200;

/// A stream's name, known to be fit for a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    text: String,
    encoded: String,
}

impl Name {
    /// Check a name as a user gives it. 64 if it is empty or, encoded, longer
    /// than [`NAME_LIMIT`].
    pub fn new(text: &str) -> Result<Name> {
        let encoded = encode(text);
        if text.is_empty() {
            return Err(Error::new(Exit::Usage, "stream", "the name is empty"));
        }
        if encoded.len() > NAME_LIMIT {
            let why = format!(
                "the name is too long: {} bytes as a key, at most {NAME_LIMIT} \
                 (each byte outside A-Z a-z 0-9 . - counts as three)",
                encoded.len()
            );
            return Err(Error::new(Exit::Usage, "stream", why));
        }
        Ok(Name {
            text: text.to_string(),
            encoded,
        })
    }

    /// Read a name back from its form in keys and manifests. None if it is not
    /// exactly what [`Name::new`] would have written.
    pub fn decode(encoded: &str) -> Option<Name> {
        let mut bytes = Vec::with_capacity(encoded.len());
        let mut rest = encoded.bytes();
        while let Some(b) = rest.next() {
            bytes.push(match b {
                b'_' => {
                    let pair = [rest.next()?, rest.next()?];
                    *hex::decode(std::str::from_utf8(&pair).ok()?)?.first()?
                }
                b => b,
            });
        }
        let name = Name::new(&String::from_utf8(bytes).ok()?).ok()?;
        (name.encoded == encoded).then_some(name)
    }

    /// As the user wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it stands in keys and manifests.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// For a line of text: what is not printable is escaped as `\xHH` (bytes
    /// of its UTF-8), a backslash as `\\`, so that a name is always one line.
    pub fn printable(&self) -> String {
        let mut out = String::with_capacity(self.text.len());
        for c in self.text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if c.is_control() || is_invisible(c) => {
                    for b in c.encode_utf8(&mut [0; 4]).bytes() {
                        out.push_str(&format!("\\x{b:02x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out
    }
}

/// Line separators, and the marks that reorder text on a terminal.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' => out.push(b as char),
            b'.' if i > 0 => out.push('.'),
            _ => out.push_str(&format!("_{b:02X}")),
        }
    }
    out
}

/// An upload's id: the time it began and 64 random bits, so ids sort by time
/// and no two uploads share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UploadId(String);

impl UploadId {
    /// `20261122T031500Z-0123456789abcdef`.
    pub fn new(now: Utc, random: [u8; 8]) -> UploadId {
        UploadId(format!("{}-{}", now.basic(), hex::encode(&random)))
    }

    /// Check one that was read.
    pub fn parse(text: &str) -> Option<UploadId> {
        let (time, random) = text.split_once('-')?;
        let utc = Utc::parse_basic(time)?;
        let bits: [u8; 8] = hex::decode_array(random)?;
        let id = UploadId::new(utc, bits);
        (id.0 == text).then_some(id)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the upload began, as text that sorts by time, to the second: of two
    /// that began in the same one, chance decides which id is the greater.
    pub fn time(&self) -> &str {
        self.0.split_once('-').map_or("", |(time, _)| time)
    }
}

/// Makes the keys of streams below one prefix.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys that begin with `prefix`, used as it is: a prefix that is to be a
    /// folder ends in a slash.
    pub fn new(prefix: &str) -> Keys {
        Keys {
            prefix: prefix.to_string(),
        }
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What all manifest keys begin with.
    pub fn manifests(&self) -> String {
        format!("{}manifest/", self.prefix)
    }

    /// The manifest, whose PUT is the commit.
    pub fn manifest(&self, name: &Name) -> String {
        format!("{}manifest/{}", self.prefix, name.encoded)
    }

    /// What the records of a stream's uploads begin with.
    pub fn records(&self, name: &Name) -> String {
        format!("{}upload/{}/", self.prefix, name.encoded)
    }

    /// What the keys of all records, indexes and blocks begin with, whatever the
    /// stream.
    pub fn uploads(&self) -> [(Kind, String); 3] {
        [
            (Kind::Record, "upload"),
            (Kind::Index, "index"),
            (Kind::Block, "block"),
        ]
        .map(|(kind, word)| (kind, format!("{}{word}/", self.prefix)))
    }

    /// The record of an upload that is under way.
    pub fn record(&self, name: &Name, upload: &UploadId) -> String {
        format!("{}upload/{}/{}", self.prefix, name.encoded, upload.0)
    }

    /// What all blocks of an upload begin with.
    pub fn blocks(&self, name: &Name, upload: &UploadId) -> String {
        format!("{}block/{}/{}/", self.prefix, name.encoded, upload.0)
    }

    /// A block.
    pub fn block(&self, name: &Name, upload: &UploadId, n: u64, sha256: &Hash) -> String {
        format!(
            "{}{n:010}.{}",
            self.blocks(name, upload),
            hex::encode(sha256)
        )
    }

    /// What all indexes of an upload begin with.
    pub fn indexes(&self, name: &Name, upload: &UploadId) -> String {
        format!("{}index/{}/{}/", self.prefix, name.encoded, upload.0)
    }

    /// An index object.
    pub fn index(&self, name: &Name, upload: &UploadId, n: u64, sha256: &Hash) -> String {
        format!(
            "{}{n:010}.{}",
            self.indexes(name, upload),
            hex::encode(sha256)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_and_do_not_meet() {
        let odd = [
            "bacula-/export",
            "a b",
            "a+b",
            "a%2Fb",
            "a/b",
            "/a",
            "..",
            ".",
            ".a",
            "a.",
            "ü",
            "_",
            "_2F",
            "a\nb",
            "日本",
            "A",
            "a",
            "x_2e",
            "~",
            "100%",
        ];
        let mut seen = std::collections::HashSet::new();
        for text in odd {
            let name = Name::new(text).unwrap();
            assert_eq!(Name::decode(name.encoded()).unwrap().text(), text);
            assert!(seen.insert(name.encoded().to_string()), "{text}");
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            assert!(name.encoded().bytes().all(plain));
        }
        assert_eq!(
            Name::new("bacula-/export").unwrap().encoded(),
            "bacula-_2Fexport"
        );
        assert_eq!(Name::new("..").unwrap().encoded(), "_2E.");
    }

    #[test]
    fn names_have_limits() {
        assert!(Name::new(&"a".repeat(200)).is_ok());
        let e = Name::new(&"a".repeat(201)).unwrap_err();
        assert_eq!(e.exit(), Exit::Usage);
        assert!(Name::new(&"ü".repeat(33)).is_ok());
        assert!(Name::new(&"ü".repeat(34)).is_err());
        assert!(Name::new("").is_err());
    }

    #[test]
    fn only_canonical_encodings_are_names() {
        for bad in [
            "", ".a", "a_", "a_2", "a_2f", "_41", "a b", "_FF", "a/b", "ü", "_ü",
        ] {
            assert_eq!(Name::decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn whatever_decodes_is_canonical() {
        let mut random = crate::testing::Random(7);
        for _ in 0..20_000 {
            let text = random.input("bacula-_2Fexport", b"_2Fa.-/\xc3\xbc");
            let text = String::from_utf8_lossy(&text);
            if let Some(name) = Name::decode(&text) {
                assert_eq!(name.encoded(), text);
                assert_eq!(Name::new(name.text()).unwrap(), name);
            }
        }
    }

    #[test]
    fn printed_names_stay_on_a_line() {
        let name = Name::new("a\nb\\\u{202e}ü").unwrap();
        assert_eq!(name.printable(), "a\\x0ab\\\\\\xe2\\x80\\xaeü");
    }

    #[test]
    fn uploads_sort_by_time() {
        let early = UploadId::new(Utc(1_000_000_000), [0xff; 8]);
        let late = UploadId::new(Utc(1_000_000_001), [0; 8]);
        assert!(early < late);
        assert_eq!(UploadId::parse(early.as_str()), Some(early));
        for bad in [
            "",
            "20010909T014640Z",
            "20010909T014640Z-00",
            "20010909T014640Z-FFFFFFFFFFFFFFFF",
            "20011309T014640Z-ffffffffffffffff",
            "é",
        ] {
            assert_eq!(UploadId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys_are_as_documented() {
        let keys = Keys::new("s3pipe/");
        let name = Name::new("x/y").unwrap();
        let id = UploadId::new(Utc(0), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            keys.block(&name, &id, 7, &[0xab; 32]),
            format!(
                "s3pipe/block/x_2Fy/19700101T000000Z-0102030405060708/0000000007.{}",
                "ab".repeat(32)
            )
        );
        assert_eq!(keys.manifest(&name), "s3pipe/manifest/x_2Fy");
    }
}
