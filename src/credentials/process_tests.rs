//! Programs that print keys, or do not.

use std::fs;

use super::super::testing::Dir;
use super::*;

fn words(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(String::from).to_vec()
}

fn output(script: &str) -> Result<Vec<u8>> {
    run("p", &words(script), PATIENCE)
}

#[test]
fn what_it_prints() {
    assert_eq!(output("printf 'a\\nb'; printf c").unwrap(), b"a\nbc");
    assert_eq!(output(":").unwrap(), b"");
    // Its stdin is empty.
    assert_eq!(output("cat; echo x").unwrap(), b"x\n");
    // What it leaves behind may hold its output open.
    let script = "sleep 1000 & echo $!";
    let pid = String::from_utf8(output(script).unwrap()).unwrap();
    let kill = Command::new("kill").arg(pid.trim()).status().unwrap();
    assert!(kill.success(), "it was left running");
    // More than a pipe holds.
    let long = output("head -c 60000 /dev/zero; echo x").unwrap();
    assert_eq!((long.len(), &long[60_000..]), (60_002, &b"x\n"[..]));
}

#[test]
fn more_than_an_answer_is_cut_and_the_program_ended() {
    let long = output("while :; do echo xxxxxxxxxxxxxxxxxxxxxxx; done").unwrap();
    assert!((LIMIT + 1..LIMIT + 4097).contains(&long.len()));
    // Even where it failed in the end.
    let long = output("head -c 70000 /dev/zero; exit 3").unwrap();
    assert!((LIMIT + 1..LIMIT + 4097).contains(&long.len()));
}

#[test]
fn failures() {
    for (script, why) in [
        ("echo '{hush}'; exit 3", "it failed with exit status 3"),
        ("kill -KILL $$", "it was killed by signal 9"),
    ] {
        let e = output(script).unwrap_err();
        assert_eq!((e.exit(), e.what(), e.why()), (Exit::Denied, "p", why));
    }
    let missing = run("p", &["/gone/hush".to_string()], PATIENCE).unwrap_err();
    assert_eq!(missing.exit(), Exit::Config);
    assert_eq!(
        missing.why(),
        "it cannot be started: No such file or directory"
    );
    let nul = run("p", &["a\0hush".to_string()], PATIENCE).unwrap_err();
    assert!(nul.why().starts_with("it cannot be started: "), "{nul}");
    assert!(!nul.why().contains("hush"), "{nul}");
    let empty = run("p", &[], PATIENCE).unwrap_err();
    assert_eq!(empty.why(), "it cannot be started: it is empty");
}

#[test]
fn one_that_takes_too_long_is_ended() {
    let dir = Dir::new();
    let file = dir.path("pid");
    let script = format!("echo $$ >{file}.new; mv {file}.new {file}; exec sleep 1000");
    let e = run("p", &words(&script), Duration::from_secs(1)).unwrap_err();
    assert_eq!(
        (e.exit(), e.why()),
        (Exit::Denied, "it took longer than 1 s")
    );
    // Reaped: the number is nobody's any more. On a machine so slow that it
    // had not even begun there is none.
    if let Ok(pid) = fs::read_to_string(&file) {
        let kill = Command::new("kill").args(["-0", pid.trim()]).output();
        assert!(!kill.unwrap().status.success());
    }
}

#[test]
fn a_profile_with_a_program() {
    let dir = Dir::new();
    let keys = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"hush","SessionToken":"t","Expiration":"2026-11-23T01:02:03Z"}"#;
    let answer = dir.write("an answer", keys);
    let config = format!("[default]\nregion = r\ncredential_process = cat '{answer}'\n");
    dir.write(".aws/config", &config);
    let found = dir.obtain(None, None, &[]).unwrap();
    assert_eq!(found.credentials.id, "A");
    assert_eq!(found.credentials.token.as_deref(), Some("t"));
    assert_eq!(found.expires.unwrap().rfc3339(), "2026-11-23T01:02:03Z");
    assert_eq!(found.region.as_deref(), Some("r"));
    let path = dir.path(".aws/config");
    let source = format!("credential_process of profile default in {path}");
    assert_eq!(found.source, source);
    assert!(!found.fixed && found.aws && found.warning.is_none());

    // Whoever only looks starts no program.
    let e = dir.find(None, None, &[]).unwrap_err();
    assert_eq!(e.exit(), Exit::Config);
    assert_eq!(e.what(), "profile default: credential_process");

    // On several lines, as botocore allows.
    let lines = config.replace("cat ", "cat\n  ");
    dir.write(".aws/config", lines);
    assert_eq!(dir.obtain(None, None, &[]).unwrap().credentials.id, "A");

    for (from, to, why) in [
        (
            "\"Version\":1",
            "\"Version\":2",
            "its answer is not of version 1",
        ),
        ("\"Version\":1,", "", "its answer is not of version 1"),
        (
            "\"AccessKeyId\":\"A\",",
            "",
            "AccessKeyId is missing from its answer",
        ),
        (
            ":\"A\"",
            ":\"A\\n\"",
            "AccessKeyId has a character that cannot",
        ),
        ("{", "hush", "its answer is no JSON object"),
    ] {
        dir.write("an answer", keys.replacen(from, to, 1));
        let e = dir.obtain(None, None, &[]).unwrap_err();
        assert_eq!(e.exit(), Exit::Config, "{e}");
        assert_eq!(e.what(), "profile default: credential_process");
        assert!(e.why().starts_with(why), "{e}");
    }
    for (command, exit, why) in [
        ("echo 'hush", Exit::Config, "a quote in it is not closed"),
        ("/gone hush", Exit::Config, "it cannot be started: No such"),
        ("TOKEN=hush echo", Exit::Config, "it cannot be started: "),
        ("false hush", Exit::Denied, "it failed with exit status 1"),
        ("true hush", Exit::Config, "its answer is no JSON object"),
    ] {
        dir.write(
            ".aws/config",
            format!("[profile a]\ncredential_process={command}\n"),
        );
        let e = dir.obtain(None, Some("a"), &[]).unwrap_err();
        assert_eq!(
            (e.exit(), e.what()),
            (exit, "profile a: credential_process")
        );
        assert!(e.why().starts_with(why) && !e.why().contains("hush"), "{e}");
    }
}
