//! Command lines that must work, and those that must not.

use std::time::Duration;

use super::*;
use crate::sign::Version;

fn run(line: &str) -> Result<Options> {
    let args: Vec<String> = line.split_whitespace().map(String::from).collect();
    match parse(&args)? {
        Parsed::Run(options) => Ok(*options),
        Parsed::Show(text) => panic!("{text}"),
    }
}

#[test]
fn options_and_command_in_any_order() {
    for line in [
        "upload --stream x",
        "--keyfile k --bucket b --stream x upload",
        "-b b upload -s x -k k",
        "-bb -sx upload",
        "--stream=x upload",
    ] {
        let options = run(line).unwrap();
        assert_eq!(options.command, Command::Upload, "{line}");
        assert_eq!(options.stream.as_deref(), Some("x"), "{line}");
    }
}

#[test]
fn defaults_are_as_documented() {
    let options = run("upload").unwrap();
    assert_eq!(options.blocksize, None);
    assert_eq!(options.limits.patience, Some(Duration::from_secs(86_400)));
    assert_eq!(options.limits.timeout, Duration::from_secs(60));
    assert_eq!((options.min_size, options.size), (1, None));
    assert_eq!(options.signature, Version::V4);
    assert_eq!(run("upload --patience 0").unwrap().limits.patience, None);
}

#[test]
fn sizes_and_times() {
    let blocksize = |text| run(&format!("upload --blocksize {text}")).map(|o| o.blocksize.unwrap());
    assert_eq!(blocksize("64"), Ok(64 << 10));
    assert_eq!(blocksize("64K"), Ok(64 << 10));
    assert_eq!(blocksize("1g"), Ok(1 << 30));
    for wrong in [
        "63",
        "2G",
        "16MB",
        "x",
        "-1",
        "1.5M",
        "+64",
        "99999999999999999999",
        "18446744073709551615G",
        "é",
    ] {
        assert_eq!(blocksize(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
    }
    let patience =
        |text| run(&format!("list --patience {text}")).map(|o| o.limits.patience.unwrap());
    assert_eq!(patience("90").unwrap().as_secs(), 90);
    assert_eq!(patience("7d").unwrap().as_secs(), 7 * 86_400);
    assert!(patience("1w").is_err());
    assert!(patience("99999999d").is_err());
    assert!(run("list --timeout 0").is_err());
    assert_eq!(run("upload --min-size 0").unwrap().min_size, 0);
    assert_eq!(run("upload --size 0").unwrap().min_size, 0);
    assert!(run("upload --size 5 --min-size 6").is_err());
    assert_eq!(run("clean").unwrap().older_than.as_secs(), 7 * 86_400);
    assert_eq!(run("download --offset 1K --length 2").unwrap().offset, 1024);
}

#[test]
fn workers_and_their_rate() {
    let options = run("upload -j 16 --limit-rate 20Mbit").unwrap();
    assert_eq!((options.jobs, options.rate), (16, Some(2_500_000)));
    let options = run("verify").unwrap();
    assert_eq!((options.jobs, options.rate), (4, None));
    for bad in [
        "-j 0",
        "-j 65",
        "-j -1",
        "--limit-rate 0",
        "--limit-rate fast",
    ] {
        assert!(run(&format!("download {bad}")).is_err(), "{bad}");
    }
    assert!(run("list -j 2").is_err() && run("info --limit-rate 1M").is_err());
    assert!(run("--worker upload -s x").is_err());
}

#[test]
fn streams_may_be_urls() {
    let options = run("info -s s3://bucket/a/b").unwrap();
    assert_eq!(options.bucket.as_deref(), Some("bucket"));
    assert_eq!(options.stream.as_deref(), Some("a/b"));
    assert!(run("info -s s3://bucket").is_err());
    assert!(run("info -s s3://one/x -b two").is_err());
    assert!(run("info -s s3://one/x -b one").is_ok());
}

#[test]
fn commands_keep_their_options() {
    let options = run("upload -s x -- sh -c true -s y -- z").unwrap();
    assert_eq!(options.argv, ["sh", "-c", "true", "-s", "y", "--", "z"]);
    assert_eq!(options.stream.as_deref(), Some("x"));
}

#[test]
fn mistakes_name_the_option() {
    for (line, named) in [
        ("", "command"),
        ("frobnicate", "'frobnicate'"),
        ("upload extra", "'extra'"),
        ("upload -b a -b c", "--bucket"),
        ("upload --frob", "--frob"),
        ("upload -Z", "-Z"),
        ("upload -s", "-s"),
        ("upload --stream=", "--stream"),
        ("list -f", "--force"),
        ("download --min-size 5", "--min-size"),
        ("list -s x", "--stream"),
        ("upload -l", "-l"),
        ("upload --raw", "--raw"),
        ("upload --force=yes", "--force"),
        ("upload --addressing up", "--addressing"),
        ("upload --signature v3", "--signature"),
        ("upload --retry often", "--retry"),
        ("list -- true", "--"),
        ("upload --", "--"),
        ("download --resume", "--resume"),
        ("verify -n", "--dry-run"),
    ] {
        let e = run(line).unwrap_err();
        assert_eq!(e.exit(), Exit::Usage, "{line}");
        assert!(
            e.to_string().starts_with(&format!("{named}:")),
            "{line}: {e}"
        );
    }
}

#[test]
fn help_fits_a_terminal() {
    let Parsed::Show(text) = parse(&["-h".into()]).unwrap() else {
        panic!("no help");
    };
    assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
    // No cell runs into the next.
    for Spec(short, long, hint, help, _) in &OPTIONS {
        let name = if short.is_empty() { long.len() + 2 } else { 2 };
        assert!(name + 1 + hint.len() < 21 && help.len() <= 18, "{long}");
        let shown = if short.is_empty() { "--" } else { "-" };
        let name = if short.is_empty() { long } else { short };
        assert!(text.contains(&format!("{shown}{name} ")), "{name}");
    }
}
