//! Whether the matrix sees anything: builds of the program with one mistake in
//! each, of the kind that it is there to find. Every one must be found out by
//! one combination at least of those that are named beside it.
//!
//! The mistakes are made in a copy of the source, so that the source itself
//! knows nothing of them. One whose place is not found any more is an error: it
//! is to be made anew.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::combine::{Mode, combinations, traces};
use crate::runs::Site;
use crate::{run_all, say};

/// A mistake.
struct Mutant {
    /// What the program does then.
    name: &'static str,
    /// Where in `src`.
    file: &'static str,
    /// The text there, once, and what takes its place.
    text: [&'static str; 2],
    /// What finds it out: a part of the combinations' names.
    found_by: &'static str,
}

const fn mutant(
    name: &'static str,
    file: &'static str,
    text: [&'static str; 2],
    found_by: &'static str,
) -> Mutant {
    Mutant {
        name,
        file,
        text,
        found_by,
    }
}

#[rustfmt::skip] // A table.
const MUTANTS: &[Mutant] = &[
    mutant("any success proves a PUT", "s3/ops.rs",
        ["            200 => return None,\n", "            200..=299 => return None,\n"],
        "upload/PUT-block-0#1/bare-20"),
    mutant("a page proves a PUT", "s3/ops.rs",
        ["200 if !body.is_empty() =>", "200 if false =>"],
        "upload/PUT-block-0#1/page-200-etag"),
    mutant("an answer before the body proves a PUT", "s3/ops.rs",
        ["_ if !answer.whole =>", "_ if false =>"],
        "upload/PUT-block-0#1/early-200"),
    mutant("no ETag is needed", "s3/ops.rs",
        ["200 if !self.no_etags && answer", "200 if false && answer"],
        "upload/PUT-block-0#1/no-etag-not-done"),
    mutant("another checksum is no matter", "s3/ops.rs",
        ["200 if sum.is_some_and", "200 if false && sum.is_some_and"],
        "upload/PUT-block-0#1/wrong-checksum"),
    mutant("any success proves a DELETE", "s3/deletion.rs",
        ["            204 => return Ok(()),\n", "            201..=299 => return Ok(()),\n"],
        "upload/DELETE-record#1/bare-20"),
    mutant("a page proves a DELETE", "s3/deletion.rs",
        ["200 if body.is_empty() =>", "200 =>"],
        "upload/DELETE-record#1/page-200"),
    mutant("a deletion is not looked at", "remove.rs",
        ["        client.delete_watched(key, Kind::Manifest, gone)?;\n        if gone(client)? {",
         "        client.delete_watched(key, Kind::Manifest, gone)?;\n        if true {"],
        "delete/DELETE-manifest#1/not-done"),
    mutant("the order of a listing is not looked at", "s3/listing.rs",
        ["            ordered: true,", "            ordered: false,"],
        "verify/service/"),
    mutant("an upload is removed without a second look", "remove.rs",
        ["    for reading in 0..READINGS {\n        if reading > 0 {", "    if true {\n        return Ok(false);\n    }\n    for reading in 0..READINGS {\n        if reading > 0 {"],
        "clean/GET-manifest#"),
    mutant("strays are removed of a stream that is not whole", "remove.rs",
        ["        Err(client.error(Exit::Data, Some(&key), why))\n    })?;\n    Ok(strays)",
         "        let _ = why;\n        Ok(())\n    })?;\n    Ok(strays)"],
        "clean-damaged"),
    mutant("young uploads are removed", "clean.rs",
        ["newest < limit)", "newest < limit || true)"],
        "clean/service"),
    mutant("indexes may claim fewer bytes", "manifest.rs",
        ["if !fits {", "if false {"],
        "download/GET-manifest#1/claims-nothing"),
    mutant("a block's hash is not looked at", "block.rs",
        ["if found == self.sha256 {", "if true {"],
        "download/GET-block-0#1/flipped"),
    mutant("an index's hash is not looked at", "s3/ops.rs",
        ["} else if found != sha256 {", "} else if false && found != sha256 {"],
        "download/GET-index-0#1/flipped-no-etag"),
    mutant("an MD5 of version 1 is not looked at", "legacy.rs",
        ["if md5.is_some_and", "if false && md5.is_some_and"],
        "v1-download/GET-v1-block-0#1/"),
    mutant("a success proves the commit", "commit.rs",
        ["        let Some(found) = seen_after(", "        if sent.is_ok() {\n            return Ok(true);\n        }\n        let Some(found) = seen_after("],
        "upload/PUT-manifest#1/not-done"),
    mutant("any 404 means that there is no object", "s3/attempt.rs",
        ["let anonymous = ", "let anonymous = false && "],
        "download/GET-manifest#1/page-404"),
    mutant("data that is wrong once is wrong", "s3/fault.rs",
        ["Fault::Foreign { .. } | Fault::Wrong { .. } => Verdict::Again,",
         "Fault::Foreign { .. } => Verdict::Again,\n        Fault::Wrong { exit, .. } => Verdict::Final(*exit),"],
        "verify/GET-block-0#1/flipped"),
    mutant("ETags are compared as they were sent", "commit.rs",
        ["Some(412) if untouched => client.toggle_etag_quotes(),", "Some(412) if untouched => {}"],
        "upload-force/service/conditions-unquoted"),
    mutant("conditions are needed", "commit.rs",
        ["Some(501) if self.conditional => self.conditional = false,", ""],
        "upload-force/service/conditions-501"),
    mutant("redirects are followed", "http.rs",
        [".max_redirects(0)", ".max_redirects(3)"],
        "list/GET-list-manifest#1/redirect-30"),
    mutant("the secret is told", "s3/attempt.rs",
        ["        let why = refusal.why();\n",
         "        let why = format!(\"{} {}\", refusal.why(), self.setup.credentials.secret);\n"],
        "info/GET-manifest#1/bare-404/always"),
    mutant("a key that is listed twice is shown twice", "admin.rs",
        ["    names.dedup();\n", ""],
        "list/GET-list-manifest#1/list-doubled"),
    mutant("patience has no end", "s3/client.rs",
        ["Limits::new(setup.patience,", "Limits::new(None,"],
        "info/GET-manifest#1/bare-503/always"),
    mutant("what makes no sense is for ever", "s3/fault.rs",
        ["Fault::Foreign { .. } | Fault::Wrong { .. } => Verdict::Again,",
         "Fault::Foreign { exit, .. } => Verdict::Final(*exit),\n        Fault::Wrong { .. } => Verdict::Again,"],
        "info/GET-manifest#1/page-200/once"),
    mutant("a block of the same number is the same block", "sending.rs",
        [".contains(&(block.length, sha256))", ".iter().any(|(length, _)| *length == block.length)"],
        "upload-resume/service/pages"),
    mutant("a finding is not counted", "verify.rs",
        ["                self.bad += 1;\n", ""],
        "verify-damaged/service/no-etags"),
    mutant("what was replaced stays", "upload.rs",
        ["let replaced = remove_upload(client, keys, &old.name, &old.upload);",
         "let replaced = if true { Ok(true) } else { remove_upload(client, keys, &old.name, &old.upload) };"],
        "upload-force/service/no-etags"),
    mutant("nothing is looked at after the commit", "upload.rs",
        ["    last_look(client, keys, &record)?;\n", ""],
        "upload/service/no-etags"),
    mutant("the record is not looked at before the commit", "commit.rs",
        ["let owned = record::check(client, self.keys, record, self.so_far());",
         "let owned: Result<()> = { let _ = record; Ok(()) };"],
        "upload/service/no-etags"),
    mutant("a stream is deleted before its record", "remove.rs",
        ["    client.delete(&keys.record(name, id), Kind::Record)?;\n    let key = keys.manifest(name);",
         "    let key = keys.manifest(name);"],
        "delete/service/no-etags"),
];

impl Mutant {
    /// Its file, with the mistake in it.
    fn source(&self) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let source = fs::read_to_string(path.join(self.file)).expect("a source file");
        let [from, to] = self.text;
        let places = source.matches(from).count();
        assert_eq!(places, 1, "{}: places in {}", self.name, self.file);
        source.replace(from, to)
    }
}

/// The folder that holds the copy, and what is built of it.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants")
}

/// Copies the program's source, without its tests and benches.
fn copy() {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")), folder());
    let manifest = fs::read_to_string(from.join("Cargo.toml")).expect("Cargo.toml");
    let mut kept = true;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            kept = !line.starts_with("[[");
        }
        kept
    });
    let manifest: String = lines.map(|line| format!("{line}\n")).collect();
    fs::create_dir_all(&to).expect("a folder");
    fs::write(to.join("Cargo.toml"), manifest + "[workspace]\n").expect("a manifest");
    fs::copy(from.join("Cargo.lock"), to.join("Cargo.lock")).expect("a lock file");
    copy_folder(&from.join("src"), &to.join("src"));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            let text = fs::read(&path).expect("a source file");
            // What is the same is left alone, and not built again.
            if fs::read(&target).ok().as_ref() != Some(&text) {
                fs::write(&target, text).expect("a copy");
            }
        }
    }
}

/// Builds the copy; where the program is then.
fn build() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--locked", "--quiet", "--bin", "s3pipe"])
        .args(["--target-dir", "target"])
        .current_dir(folder())
        .env("RUSTFLAGS", "--cap-lints=allow")
        .status();
    assert!(built.expect("cargo").success(), "it does not build");
    folder().join("target/debug/s3pipe")
}

/// How many of the combinations with this in their names are wrong.
fn count_wrong(binary: PathBuf, found_by: &str) -> usize {
    let scenario = found_by.split('/').next().expect("a name");
    let site = Site::new(binary);
    // Steps that the model does not know are a panic.
    let traced = || traces(&site, |name| name == scenario);
    let Ok(traces) = catch_unwind(AssertUnwindSafe(traced)) else {
        return 1;
    };
    let mut all = combinations(&traces, Mode::Check);
    all.retain(|combination| combination.to_string().contains(found_by));
    assert!(
        !all.is_empty(),
        "no combination has '{found_by}' in its name"
    );
    run_all(&site, &all).len()
}

#[test]
fn every_mutant_has_its_place() {
    for mutant in MUTANTS {
        mutant.source();
    }
}

/// For `S3PIPE_MATRIX=mutants`: it builds the program some thirty times.
#[test]
fn every_mutant_is_found_out() {
    if env::var("S3PIPE_MATRIX").as_deref() != Ok("mutants") {
        return;
    }
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        copy();
        let path = folder().join("src").join(mutant.file);
        fs::write(&path, mutant.source()).expect("a mutant");
        let wrong = count_wrong(build(), mutant.found_by);
        say(&format!("mutant: {}: {wrong} found it out", mutant.name));
        if wrong == 0 {
            missed.push(mutant.name);
        }
    }
    copy();
    let binary = build();
    for mutant in MUTANTS {
        let wrong = count_wrong(binary.clone(), mutant.found_by);
        assert_eq!(wrong, 0, "{}: no mutant, and wrong", mutant.found_by);
    }
    assert!(missed.is_empty(), "not found out: {missed:?}");
}
