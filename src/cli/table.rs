//! The table of options, and the page that shows it.

use super::Command::{self, Clean, Delete, Download, Info, List, Upload, Verify};

/// An option: short and long name, its argument (if any), what it does, and
/// the commands that know it (all, if none is named).
pub struct Spec(
    pub &'static str,
    pub &'static str,
    pub &'static str,
    pub &'static str,
    pub &'static [Command],
);

const STREAMS: &[Command] = &[Upload, Download, List, Info, Verify, Delete, Clean];
const NAMED: &[Command] = &[Upload, Download, Info, Verify, Delete];
const SEALED: &[Command] = &[Upload, Download, List, Info, Verify];
const READING: &[Command] = &[Download, List, Info, Verify];

/// All of them.
#[rustfmt::skip] // One option a line.
pub const OPTIONS: [Spec; 40] = [
    Spec("b", "bucket", "BUCKET", "the bucket", &[]),
    Spec("s", "stream", "NAME", "the stream", NAMED),
    Spec("k", "keyfile", "FILE", "access key, more", &[]),
    Spec("", "profile", "NAME", "one in AWS's files", &[]),
    Spec("", "region", "REGION", "default us-east-1", &[]),
    Spec("", "endpoint", "URL", "not Amazon's", &[]),
    Spec("", "prefix", "PREFIX", "default s3pipe/", STREAMS),
    Spec("", "addressing", "HOW", "auto|path|virtual", &[]),
    Spec("", "blocksize", "SIZE", "64K to 1G, or 16M", &[Upload]),
    Spec("j", "jobs", "N", "1 to 64, or 4", &[Upload, Download, Verify]),
    Spec("", "limit-rate", "RATE", "10M, or 20Mbit", &[Upload, Download, Verify]),
    Spec("", "patience", "TIME", "keep at it, or 24h", &[]),
    Spec("", "retry", "N", "try again so often", &[]),
    Spec("", "timeout", "TIME", "stall, or 60s", &[]),
    Spec("f", "force", "", "replace; or none", &[Upload, Delete]),
    Spec("", "resume", "", "one broken off", &[Upload]),
    Spec("", "min-size", "SIZE", "refuse less", &[Upload]),
    Spec("", "size", "SIZE", "refuse any other", &[Upload]),
    Spec("", "offset", "BYTE", "begin with this", &[Download]),
    Spec("", "length", "BYTES", "so many, or all", &[Download]),
    Spec("", "encrypt-to", "WHOM", "age's, or @FILE", &[Upload]),
    Spec("", "identity", "FILE", "decrypt with this", &[Download]),
    Spec("", "hmac-keyfile", "FILE", "seal, or check", SEALED),
    Spec("", "sign-key", "FILE", "sign (ssh-keygen)", &[Upload]),
    Spec("", "allowed-signers", "F", "keys that count", READING),
    Spec("", "signer", "WHO", "must have signed", READING),
    Spec("H", "header", "'N: V'", "or @FILE with some", &[]),
    Spec("", "signature", "HOW", "v4 or v2", &[]),
    Spec("", "ca-file", "FILE", "trust these (PEM)", &[]),
    Spec("l", "", "", "times and sizes", &[List]),
    Spec("", "incomplete", "", "never committed", &[List]),
    Spec("", "raw", "", "as it is stored", &[Info, Download]),
    Spec("", "quick", "", "by listings only", &[Verify]),
    Spec("", "older-than", "TIME", "spare later, or 7d", &[Clean]),
    Spec("n", "dry-run", "", "only show", &[Clean]),
    Spec("q", "quiet", "", "say less", &[]),
    Spec("v", "verbose", "", "say every request", &[]),
    Spec("", "progress", "", "meter in any case", &[Upload, Download, Verify]),
    Spec("h", "help", "", "this", &[]),
    Spec("V", "version", "", "the version", &[]),
];

const USAGE: &str = "\
usage: s3pipe [options] upload | download -s NAME [-- command ...]
       s3pipe [options] list | info | verify | delete | clean
       s3pipe [options] createbucket | deletebucket -b BUCKET (see s3pipe(1))
";

/// What fits on a terminal of 24 lines and 80 columns.
pub fn usage() -> String {
    let cell = |spec: &Spec| {
        let Spec(short, long, hint, help, _) = spec;
        let name = if short.is_empty() {
            format!("--{long}")
        } else {
            format!("-{short}")
        };
        format!("{:<21}{help}", format!("{name} {hint}"))
    };
    let rows = OPTIONS.len().div_ceil(2);
    let mut text = String::from(USAGE);
    for (row, spec) in OPTIONS[..rows].iter().enumerate() {
        let right = OPTIONS.get(rows + row).map(cell).unwrap_or_default();
        let line = format!("{:<39} {right}", cell(spec));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
