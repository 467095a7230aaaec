//! One program with all mutants in it, of which the environment says which one
//! is switched on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use tinyjson::JsonValue;

use crate::table::MUTANTS;

/// This package.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Where the mutated one is made.
const MADE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/mutated");

/// It has another name, so that cargo never takes the one for the other.
const NAME: &str = "name = \"s3pipe\"";
const RENAMED: &str = "name = \"s3pipe-mutated\"";
const TARGETS: &str = "[workspace]\n[lib]\nname = \"s3pipe\"\n\
    [[bin]]\nname = \"s3pipe\"\npath = \"src/main.rs\"\n";

/// What the mutated program has besides.
const SWITCH: &str = r#"
/// Whether this mutant is switched on.
pub fn mutant(name: &str) -> bool {
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let on = ON.get_or_init(|| std::env::var("S3PIPE_MUTANT").ok());
    on.as_deref() == Some(name)
}
"#;

/// Makes the mutated program, and gives its path.
pub fn mutated() -> PathBuf {
    let made = Path::new(MADE);
    let sources = made.join("src");
    if sources.exists() {
        fs::remove_dir_all(&sources).expect("the old sources go");
    }
    copy(&Path::new(HERE).join("src"), &sources);
    for (file, more) in [("Cargo.toml", TARGETS), ("Cargo.lock", "")] {
        let text = fs::read_to_string(format!("{HERE}/{file}")).expect(file);
        let renamed = without_tests(&text).replacen(NAME, RENAMED, 1);
        fs::write(made.join(file), renamed + more).expect(file);
    }
    mutate(&sources);
    let [program] = built(&mut cargo(&["build", "--bin", "s3pipe"], made), ["s3pipe"]);
    assert!(
        program.starts_with(made),
        "{} is not ours",
        program.display()
    );
    program
}

/// Builds the tests, and gives the paths of these two: the matrix and the suite.
pub fn tests() -> [PathBuf; 2] {
    let args = ["test", "--no-run", "--test", "matrix", "--test", "suite"];
    built(&mut cargo(&args, Path::new(HERE)), ["matrix", "suite"])
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("sources") {
        let path = entry.expect("sources").path();
        let copied = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).expect("a copy");
        }
    }
}

/// What is built of the mutated package is its program alone.
fn without_tests(manifest: &str) -> String {
    let mut keep = true;
    let kept = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            keep = !["[[test]]", "[[bench]]"].contains(line);
        }
        keep
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// Changes the sources.
fn mutate(sources: &Path) {
    for (file, text) in spoilt() {
        fs::write(sources.join(file), text).expect("a mutated file");
    }
    let lib = sources.join("lib.rs");
    let text = fs::read_to_string(&lib).expect("src/lib.rs");
    fs::write(lib, text + SWITCH).expect("src/lib.rs");
}

/// Every file that has mutants, with all of them. Panics where one does not fit
/// any more what is there.
pub fn spoilt() -> BTreeMap<&'static str, String> {
    let mut files: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (file, from, to) in MUTANTS.iter().flat_map(|mutant| mutant.edits) {
        files.entry(file).or_default().push((from, to));
    }
    let spoil = |(file, edits)| (file, spoil(file, edits));
    files.into_iter().map(spoil).collect()
}

/// A file with these snippets replaced, all of which are looked for in what was
/// there before.
fn spoil(file: &str, edits: Vec<(&str, &str)>) -> String {
    let text = fs::read_to_string(format!("{HERE}/src/{file}"));
    let text = text.unwrap_or_else(|e| panic!("src/{file}: {e}"));
    let mut places = BTreeMap::new();
    for (from, to) in edits {
        let found: Vec<usize> = text.match_indices(from).map(|(at, _)| at).collect();
        let [at] = found[..] else {
            let times = found.len();
            panic!("src/{file} has '{from}' {times} times: mend tests/mutants/table.rs");
        };
        let other = places.insert(at, (from, to));
        assert!(other.is_none(), "src/{file}: two have '{from}'");
    }
    let (mut spoilt, mut done) = (String::new(), 0);
    for (at, (from, to)) in places {
        assert!(at >= done, "src/{file}: '{from}' is in another snippet");
        spoilt += &text[done..at];
        spoilt += &switched(to);
        done = at + from.len();
    }
    spoilt + &text[done..]
}

/// `MUTANT(name)` as Rust has it.
fn switched(text: &str) -> String {
    let mut parts = text.split("MUTANT(");
    let mut rust = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (name, rest) = part.split_once(')').expect("MUTANT(name)");
        let known = MUTANTS.iter().any(|mutant| mutant.name == name);
        assert!(known, "there is no mutant {name}");
        rust += &format!("crate::mutant(\"{name}\"){rest}");
    }
    rust
}

/// Cargo, to build something in `folder`. What it builds there lies in a folder
/// of its own, but what it stands on is compiled once, where that is known.
fn cargo(args: &[&str], folder: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or(env!("CARGO").into()));
    cargo.args(args).args(["--locked", "--message-format=json"]);
    // What it has told us of ourselves would look like a change to build scripts.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            cargo.env_remove(&*name);
        }
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("target");
    if folder == Path::new(HERE) {
        cargo.env("CARGO_TARGET_DIR", target);
    } else {
        cargo.env("CARGO_TARGET_DIR", folder.join("target"));
        cargo.env("CARGO_BUILD_BUILD_DIR", target);
    }
    cargo.current_dir(folder);
    cargo
}

/// The programs of these names that cargo has built.
fn built<const N: usize>(cargo: &mut Command, names: [&str; N]) -> [PathBuf; N] {
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo runs");
    let told = String::from_utf8(output.stdout).expect("JSON");
    if !output.status.success() {
        panic!("cargo could not build {names:?}:\n{}", errors(&told));
    }
    names.map(|name| {
        let found = told.lines().find_map(|line| executable(line, name));
        found.unwrap_or_else(|| panic!("cargo has built no {name}"))
    })
}

/// The program in one of cargo's messages.
fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let message: JsonValue = line.parse().ok()?;
    let JsonValue::Object(message) = message else {
        return None;
    };
    let JsonValue::Object(target) = message.get("target")? else {
        return None;
    };
    match (target.get("name")?, message.get("executable")?) {
        (JsonValue::String(found), JsonValue::String(path)) if found == name => Some(path.into()),
        _ => None,
    }
}

/// What the compiler has said.
fn errors(told: &str) -> String {
    let rendered = told.lines().filter_map(|line| {
        let JsonValue::Object(message) = line.parse().ok()? else {
            return None;
        };
        let JsonValue::Object(message) = message.get("message")? else {
            return None;
        };
        match message.get("rendered")? {
            JsonValue::String(text) => Some(text.clone()),
            _ => None,
        }
    });
    rendered.collect()
}
