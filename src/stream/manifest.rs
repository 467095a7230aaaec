//! The text of manifests, indexes and upload records (format version 2).
//!
//! Pure text, documented line by line in s3pipe.5. There is exactly one way to
//! write each of them, and whatever differs from it is refused: a gap, a
//! duplicate, a wrong total, an unknown line, a missing end. Sizes are bounded,
//! so a hostile object costs a bounded amount of memory.

use crate::protection::age::Encryption;
use crate::protection::seal::Seal;
use crate::stream::name::{Name, UploadId};
use crate::text::hex::{self, Hash};
use crate::text::time::Utc;

/// Blocks per index object.
pub const INDEX_BLOCKS: u64 = 10_000;

/// The largest index that is read, in bytes.
pub const INDEX_LIMIT: usize = INDEX_BLOCKS as usize * 87;

/// The largest manifest that is written or read, in bytes: room for a billion
/// blocks.
pub const MANIFEST_LIMIT: usize = 16 << 20;

/// The most that one index takes in a manifest, in bytes.
pub const INDEX_REF_LIMIT: usize = 128;

/// The largest upload record, in bytes.
pub const RECORD_LIMIT: usize = 4096;

/// The block sizes that are written and accepted, in bytes.
pub const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

/// Why a text was refused.
pub type Refused = String;

/// A committed stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Whose manifest it is: the name is inside, so that one stored under
    /// another name is noticed.
    pub name: Name,
    /// The upload that the stream consists of.
    pub upload: UploadId,
    /// When the upload began.
    pub created: Utc,
    /// Bytes of every block but the last.
    pub blocksize: u64,
    /// What the blocks hold.
    pub encryption: Encryption,
    /// The index objects, in order.
    pub indexes: Vec<IndexRef>,
    /// Seals over what is above them, well formed but not checked.
    pub seals: Vec<Seal>,
}

/// What the manifest says of one index object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRef {
    /// How many blocks it lists.
    pub blocks: u64,
    /// How many bytes those blocks hold.
    pub bytes: u64,
    /// The SHA-256 of the index object.
    pub sha256: Hash,
}

/// What an index says of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Its number in the stream, from 0.
    pub number: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Hash,
}

/// An upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The stream.
    pub name: Name,
    /// The upload.
    pub upload: UploadId,
    /// When it began.
    pub created: Utc,
    /// Bytes of every block but the last.
    pub blocksize: u64,
    /// Random; another process that takes the upload over writes another one.
    pub nonce: [u8; 16],
}

impl Manifest {
    /// Blocks of the whole stream.
    pub fn blocks(&self) -> u64 {
        self.indexes.iter().map(|i| i.blocks).sum()
    }

    /// Bytes of the whole stream.
    pub fn bytes(&self) -> u64 {
        self.indexes.iter().map(|i| i.bytes).sum()
    }

    /// The object's text.
    pub fn to_text(&self) -> String {
        let mut out = self.body();
        out.extend(self.seals.iter().map(Seal::line));
        out
    }

    /// The same without seals: what the first of them covers.
    pub fn body(&self) -> String {
        let mut out = format!(
            "s3pipe-manifest 2\nstream {}\nupload {}\ncreated {}\nblocksize {}\nhash sha256\nencryption {}\n",
            self.name.encoded(),
            self.upload.as_str(),
            self.created.rfc3339(),
            self.blocksize,
            self.encryption.word()
        );
        for (n, index) in self.indexes.iter().enumerate() {
            let sha256 = hex::encode(&index.sha256);
            out.push_str(&format!(
                "index {n:010} {} {} {sha256}\n",
                index.blocks, index.bytes
            ));
        }
        let indexes = self.indexes.len();
        out.push_str(&format!(
            "end {indexes} {} {}\n",
            self.blocks(),
            self.bytes()
        ));
        out
    }

    /// Read one back.
    pub fn parse(object: &[u8]) -> Result<Manifest, Refused> {
        let text = text_of(object, MANIFEST_LIMIT)?;
        let mut lines = LineParser::new(text, "s3pipe-manifest")?;
        let name = lines.name()?;
        let upload = lines.upload()?;
        let created = lines.created()?;
        let blocksize = lines.blocksize()?;
        lines.exactly("hash", "sha256")?;
        let encryption = lines.encryption()?;
        let mut indexes = Vec::new();
        let (mut blocks, mut bytes) = (0u64, 0u64);
        while let Some(line) = lines.take_if("index")? {
            let index = index_ref(line).ok_or_else(|| lines.bad("index"))?;
            // Only the stream's last block may be short. So no index can claim fewer
            // bytes than its blocks hold.
            let full = index.blocks * blocksize;
            let before = blocks.checked_mul(blocksize);
            let fits = before == Some(bytes)
                && index.bytes <= full
                && index.bytes > full - blocksize
                && bytes.checked_add(full).is_some();
            if !fits {
                return Err(lines.bad("index"));
            }
            blocks += index.blocks;
            bytes += index.bytes;
            indexes.push(index);
        }
        lines.exactly("end", &format!("{} {blocks} {bytes}", indexes.len()))?;
        let seals = lines.seals()?;
        lines.finish()?;
        let manifest = Manifest {
            name,
            upload,
            created,
            blocksize,
            encryption,
            indexes,
            seals,
        };
        canonical(text, &manifest.to_text())?;
        Ok(manifest)
    }
}

fn index_ref(line: &str) -> Option<IndexRef> {
    let mut fields = line.split(' ').skip(1);
    let blocks = fields.next()?.parse().ok()?;
    let bytes = fields.next()?.parse::<u64>().ok()?;
    let sha256 = hex::decode_array(fields.next()?)?;
    let sane = (1..=INDEX_BLOCKS).contains(&blocks) && bytes <= blocks * BLOCK_SIZES.end();
    (sane && fields.next().is_none()).then_some(IndexRef {
        blocks,
        bytes,
        sha256,
    })
}

/// The line of one block in an index.
pub fn index_line(block: &BlockRef) -> String {
    let BlockRef {
        number,
        length,
        sha256,
    } = block;
    format!("{number:010} {length} {}\n", hex::encode(sha256))
}

/// How long the text of an index is, in bytes, whose blocks begin with number
/// `first` and fill what the manifest says: it follows from that alone.
pub fn index_length(index: &IndexRef, first: u64, blocksize: u64) -> usize {
    let digits = |n: u64| n.to_string().len();
    let rest = index.bytes - (index.blocks - 1) * blocksize;
    let lengths = (0..index.blocks).map(|i| {
        let last = i + 1 == index.blocks;
        let length = digits(if last { rest } else { blocksize });
        // Two blanks, the hash in hex, and the end of the line.
        digits(first + i).max(10) + length + 2 + 64 + 1
    });
    lengths.sum()
}

/// Read an index whose blocks begin with number `first`; `last` says that it
/// ends the stream, so that its last block may be short.
pub fn parse_index(
    object: &[u8],
    expected: &IndexRef,
    first: u64,
    blocksize: u64,
    last: bool,
) -> Result<Vec<BlockRef>, Refused> {
    let text = text_of(object, INDEX_LIMIT)?;
    let mut blocks = Vec::with_capacity(expected.blocks as usize);
    let mut bytes = 0;
    for (i, line) in text.lines().enumerate() {
        let bad = || format!("line {} is not a block's", i + 1);
        let mut fields = line.split(' ');
        let mut field = || fields.next().ok_or_else(bad);
        let number = field()?.parse().map_err(|_| bad())?;
        let length = field()?.parse().map_err(|_| bad())?;
        let sha256 = hex::decode_array(field()?).ok_or_else(bad)?;
        let block = BlockRef {
            number,
            length,
            sha256,
        };
        if index_line(&block).trim_end() != line {
            return Err(bad());
        }
        let number_fits = number == first + i as u64;
        let may_be_short = last && i as u64 + 1 == expected.blocks;
        let length_fits = length == blocksize || (may_be_short && (1..blocksize).contains(&length));
        if !number_fits || !length_fits {
            return Err(format!("line {}: block {number} does not fit here", i + 1));
        }
        bytes += length;
        blocks.push(block);
    }
    if blocks.len() as u64 != expected.blocks || bytes != expected.bytes || !text.ends_with('\n') {
        return Err("its totals are not the manifest's".into());
    }
    Ok(blocks)
}

impl Record {
    /// The object's text.
    pub fn to_text(&self) -> String {
        format!(
            "s3pipe-upload 2\nstream {}\nupload {}\ncreated {}\nblocksize {}\nnonce {}\n",
            self.name.encoded(),
            self.upload.as_str(),
            self.created.rfc3339(),
            self.blocksize,
            hex::encode(&self.nonce)
        )
    }

    /// Read one back.
    pub fn parse(object: &[u8]) -> Result<Record, Refused> {
        let text = text_of(object, RECORD_LIMIT)?;
        let mut lines = LineParser::new(text, "s3pipe-upload")?;
        let name = lines.name()?;
        let upload = lines.upload()?;
        let created = lines.created()?;
        let blocksize = lines.blocksize()?;
        let nonce = lines.field("nonce")?;
        let nonce = hex::decode_array(nonce);
        let nonce = nonce.ok_or_else(|| lines.bad("nonce"))?;
        lines.finish()?;
        let record = Record {
            name,
            upload,
            created,
            blocksize,
            nonce,
        };
        canonical(text, &record.to_text())?;
        Ok(record)
    }
}

fn text_of(object: &[u8], limit: usize) -> Result<&str, Refused> {
    if object.len() > limit {
        return Err(format!("larger than {limit} bytes"));
    }
    std::str::from_utf8(object).map_err(|_| "not UTF-8 text".into())
}

/// What was read must be what we would have written: leading zeros, capitals
/// and blanks that the parser let pass end here.
fn canonical(read: &str, written: &str) -> Result<(), Refused> {
    if read == written {
        Ok(())
    } else {
        Err("not in canonical form".into())
    }
}

/// The lines of a header, taken one by one.
struct LineParser<'a> {
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
    number: usize,
}

impl<'a> LineParser<'a> {
    fn new(text: &'a str, kind: &str) -> Result<LineParser<'a>, Refused> {
        let mut lines = LineParser {
            rest: text.split('\n').peekable(),
            number: 0,
        };
        let first = lines.rest.next().unwrap_or("");
        lines.number = 1;
        match first.strip_prefix(kind).and_then(|v| v.strip_prefix(' ')) {
            Some("2") => Ok(lines),
            Some(version) => {
                let version: String = version.chars().take(20).collect();
                Err(format!(
                    "format version {version}, which this program does not know"
                ))
            }
            None => Err(format!("does not begin with '{kind} 2'")),
        }
    }

    fn bad(&self, what: &str) -> Refused {
        format!("line {}: bad or missing '{what}'", self.number)
    }

    /// The rest of the next line if it begins with this word.
    fn take_if(&mut self, word: &str) -> Result<Option<&'a str>, Refused> {
        let line = self.rest.peek().copied().unwrap_or("");
        let rest = line.strip_prefix(word).and_then(|r| r.strip_prefix(' '));
        if rest.is_some() {
            self.rest.next();
            self.number += 1;
        }
        Ok(rest)
    }

    fn field(&mut self, word: &str) -> Result<&'a str, Refused> {
        let field = self.take_if(word)?;
        field.ok_or_else(|| format!("line {}: no '{word}' line", self.number + 1))
    }

    fn exactly(&mut self, word: &str, value: &str) -> Result<(), Refused> {
        if self.field(word)? == value {
            Ok(())
        } else {
            Err(format!("line {}: {word} is not {value}", self.number))
        }
    }

    fn name(&mut self) -> Result<Name, Refused> {
        Name::decode(self.field("stream")?).ok_or_else(|| self.bad("stream"))
    }

    fn upload(&mut self) -> Result<UploadId, Refused> {
        UploadId::parse(self.field("upload")?).ok_or_else(|| self.bad("upload"))
    }

    fn created(&mut self) -> Result<Utc, Refused> {
        Utc::parse_rfc3339(self.field("created")?).ok_or_else(|| self.bad("created"))
    }

    fn blocksize(&mut self) -> Result<u64, Refused> {
        let size = self.field("blocksize")?.parse().ok();
        size.filter(|s| BLOCK_SIZES.contains(s))
            .ok_or_else(|| self.bad("blocksize"))
    }

    fn encryption(&mut self) -> Result<Encryption, Refused> {
        let found = Encryption::parse(self.field("encryption")?);
        found.ok_or_else(|| format!("line {}: encryption is not none or age", self.number))
    }

    /// Each kind once, in their order.
    fn seals(&mut self) -> Result<Vec<Seal>, Refused> {
        let mut seals: Vec<Seal> = Vec::new();
        while let Some(line) = self.take_if("seal")? {
            let last = seals.last().map_or(0, Seal::rank);
            let seal = Seal::parse(line).filter(|seal| seal.rank() > last);
            seals.push(seal.ok_or_else(|| self.bad("seal"))?);
        }
        Ok(seals)
    }

    /// Nothing but the final newline may be left.
    fn finish(&mut self) -> Result<(), Refused> {
        match (self.rest.next(), self.rest.next()) {
            (Some(""), None) => Ok(()),
            _ => Err(format!("line {}: unexpected text", self.number + 1)),
        }
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
