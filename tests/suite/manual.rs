//! The literal displays of the manual pages, as a reader sees them, so that
//! tests can run what stands there and nothing else.
//!
//! An escape that is not known here is a panic: it might be shown as something
//! else than this module makes of it.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::proxy::Proxy;
use crate::support::Server;

/// A display between `.Bd -literal` and `.Ed`.
pub struct Display {
    /// The `.Ss` that it stands under, or `.Sh` where there is none.
    pub heading: String,
    /// Its lines, each with its line feed.
    pub text: String,
}

/// All literal displays of this page, in their order.
pub fn displays(page: &str) -> Vec<Display> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(page);
    let text = fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = Vec::new();
    let mut heading = String::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match &mut open {
            Some(text) if line == ".Ed" => {
                let (heading, text) = (heading.clone(), std::mem::take(text));
                found.push(Display { heading, text });
                open = None;
            }
            Some(text) => *text += &(plain(line) + "\n"),
            None if line.starts_with(".Bd -literal") => open = Some(String::new()),
            None => {
                let title = line.strip_prefix(".Ss ").or(line.strip_prefix(".Sh "));
                heading = title.map_or(heading, String::from);
            }
        }
    }
    assert!(open.is_none(), "{page}: a display without an end");
    found
}

/// The displays under this heading; at least one.
pub fn under(page: &str, heading: &str) -> Vec<String> {
    let mut all = displays(page);
    all.retain(|display| display.heading == heading);
    assert!(!all.is_empty(), "{page}: no display under '{heading}'");
    all.into_iter().map(|display| display.text).collect()
}

/// The one display that begins with this line.
pub fn starting(page: &str, first: &str) -> String {
    let mut all = displays(page);
    all.retain(|display| display.text.lines().next() == Some(first));
    assert_eq!(all.len(), 1, "{page}: displays that begin with '{first}'");
    all.remove(0).text
}

/// A line of roff's literal text without its escapes.
fn plain(line: &str) -> String {
    assert!(
        !line.starts_with(['.', '\'']),
        "a macro in a literal display: {line}"
    );
    let mut text = String::new();
    let mut parts = line.split('\\');
    text += parts.next().unwrap_or_default();
    for part in parts {
        let escapes = [
            ("e", "\\"),
            ("(rs", "\\"),
            ("&", ""),
            ("-", "-"),
            ("(aq", "'"),
            ("(dq", "\""),
            ("(ga", "`"),
            ("(ha", "^"),
            ("(ti", "~"),
        ];
        let found = escapes.iter().find_map(|(escape, stands_for)| {
            let rest = part.strip_prefix(escape)?;
            Some(format!("{stands_for}{rest}"))
        });
        text += &found.unwrap_or_else(|| panic!("an escape unknown to this test: {line}"));
    }
    text
}

/// Has sh run some text in this folder, as it stands, up to the first failure.
/// What s3pipe and aws(1) ask for goes through the proxy; the bucket is in the
/// environment, and so are the keys.
pub fn sh(folder: &Path, server: &Server, proxy: &Proxy, bucket: &str, text: &str) -> Output {
    let bin = folder.join("bin");
    let path = env::var("PATH").expect("PATH");
    let s3pipe = env!("CARGO_BIN_EXE_s3pipe");
    program(&bin, "s3pipe", &format!("exec '{s3pipe}' \"$@\""));
    // Older ones know of no variable for the endpoint.
    let aws = format!(
        "PATH='{path}' exec aws --endpoint-url '{}' \"$@\"",
        proxy.url()
    );
    program(&bin, "aws", &aws);
    let mut sh = Command::new("sh");
    sh.args(["-e", "-c", text])
        .current_dir(folder)
        .stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        if ["AWS_", "S3PIPE_"]
            .iter()
            .any(|start| upper.starts_with(start))
            || upper.ends_with("_PROXY")
        {
            sh.env_remove(&name);
        }
    }
    let none = folder.join("no-such-file");
    sh.env("AWS_CONFIG_FILE", &none)
        .env("AWS_SHARED_CREDENTIALS_FILE", &none)
        .env("AWS_ACCESS_KEY_ID", &server.id)
        .env("AWS_SECRET_ACCESS_KEY", &server.key)
        .env("AWS_DEFAULT_REGION", &server.region)
        .env("AWS_ENDPOINT_URL", proxy.url())
        .env("S3PIPE_BUCKET", bucket)
        .env("PATH", format!("{}:{path}", bin.display()));
    sh.output().expect("sh")
}

/// A script of one line, in this folder.
fn program(folder: &Path, name: &str, line: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("a script");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
}
