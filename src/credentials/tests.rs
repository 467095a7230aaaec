//! The chain of providers, from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::testing::{Dir, Place};
use super::*;
use crate::os::files;

const ENV: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "s")];

#[test]
fn the_first_that_has_any_wins() {
    let dir = Dir::new();
    let id = |keyfile, profile, env: &[_]| {
        let found = dir.find(keyfile, profile, env)?;
        Ok::<_, Error>(found.credentials.id)
    };
    let e = id(None, None, &[]).unwrap_err();
    assert_eq!(e.exit(), Exit::Denied);
    for place in [
        "environment",
        ".s3pipe.properties",
        "system",
        "credentials",
        "config",
    ] {
        assert!(e.why().contains(place), "{e}");
    }
    let section = "aws_access_key_id=C\naws_secret_access_key=s\n";
    dir.write(".aws/config", format!("[default]\n{section}"));
    assert_eq!(id(None, None, &[]).unwrap(), "C");
    dir.write(
        ".aws/credentials",
        format!("[default]\n{section}").replace('C', "D"),
    );
    assert_eq!(id(None, None, &[]).unwrap(), "D");
    dir.write("system", "aws.id=S\naws.key=s");
    assert_eq!(id(None, None, &[]).unwrap(), "S");
    dir.write(".s3pipe.properties", "aws.id=H\naws.key=s");
    assert_eq!(id(None, None, &[]).unwrap(), "H");
    assert_eq!(id(None, None, &ENV).unwrap(), "E");
    assert_eq!(id(None, Some("default"), &ENV).unwrap(), "D");
    let named = dir.write("named", "aws.id=N\naws.key=s");
    assert_eq!(id(Some(&named), Some("default"), &ENV).unwrap(), "N");
}

#[test]
fn environment_is_whole_or_an_error() {
    let dir = Dir::new();
    let found = dir.find(None, None, &ENV).unwrap();
    assert!(found.fixed && found.credentials.token.is_none());
    assert_eq!(found.source, "environment");
    let token = ("AWS_SESSION_TOKEN", "t");
    let found = dir.find(None, None, &[ENV[0], ENV[1], token]).unwrap();
    assert_eq!(found.credentials.token.as_deref(), Some("t"));

    let old = ("AWS_SECURITY_TOKEN", "old");
    let found = dir.find(None, None, &[ENV[0], ENV[1], token, old]);
    assert_eq!(found.unwrap().credentials.token.as_deref(), Some("old"));

    // Set but empty is unset.
    for half in [vec![ENV[0]], vec![ENV[0], (ENV[1].0, "")]] {
        let e = dir.find(None, None, &half).unwrap_err();
        assert_eq!(e.exit(), Exit::Denied);
        assert_eq!(
            e.why(),
            "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not"
        );
    }
    let e = dir.find(None, None, &[ENV[1]]).unwrap_err();
    assert_eq!(
        e.why(),
        "AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not"
    );
    for (name, bad) in [
        (ENV[0].0, "a\r"),
        (ENV[0].0, "a b"),
        (ENV[1].0, "a\nb"),
        (token.0, "é"),
        (old.0, "é"),
        ("AWS_CREDENTIAL_EXPIRATION", "soon"),
    ] {
        let e = dir
            .find(None, None, &[(name, bad), ENV[0], ENV[1]])
            .unwrap_err();
        assert_eq!(e.exit(), Exit::Config);
        assert!(e.why().starts_with(name), "{e}");
    }
}

#[test]
fn keys_in_the_environment_may_expire() {
    let time = ("AWS_CREDENTIAL_EXPIRATION", "2026-11-23T02:02:03+01:00");
    let found = Dir::new().find(None, None, &[ENV[0], ENV[1], time]);
    let found = found.unwrap();
    let shown = found.expires.map(Utc::rfc3339);
    assert_eq!(shown.as_deref(), Some("2026-11-23T01:02:03Z"));
    assert!(found.fixed);
}

/// Behind the files, and in this order.
#[test]
fn services_come_last() {
    let dir = Dir::new();
    let keys =
        |id: &str| format!(r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"s"}}"#);
    let container = Place::start(vec![(200, &keys("C")); 2]);
    let instance = Place::start(vec![(200, "T"), (200, "r"), (200, &keys("I"))]);
    let (container_url, instance_url) = (container.url("/"), instance.url(""));
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*instance_url);
    let both = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container_url),
        service,
    ];
    // A profile goes with what a service gave.
    dir.write(
        ".aws/config",
        "[default]\nregion = r\nendpoint_url = http://e\n",
    );
    let found = dir.obtain(None, None, &[service]).unwrap();
    assert_eq!(found.credentials.id, "I");
    let found = dir.obtain(None, None, &both).unwrap();
    assert_eq!(found.credentials.id, "C");
    assert_eq!(found.region.as_deref(), Some("r"));
    assert_eq!(found.endpoint.as_deref(), Some("http://e"));
    // Who only looks does not ask, nor who has a key, nor who named a profile.
    let e = dir.find(None, None, &both).unwrap_err();
    assert!(
        e.why().starts_with("none in ") && !e.why().contains("container"),
        "{e}"
    );
    let env = [&both[..], &ENV].concat();
    assert_eq!(dir.obtain(None, None, &env).unwrap().credentials.id, "E");
    let e = dir.obtain(None, Some("default"), &both).unwrap_err();
    assert!(e.why().starts_with("it lacks "), "{e}");
    dir.write("system", "aws.id=S\naws.key=s");
    assert_eq!(dir.obtain(None, None, &both).unwrap().credentials.id, "S");
    assert_eq!((container.seen().len(), instance.seen().len()), (1, 3));
}

#[test]
fn files_that_cannot_be_read() {
    let dir = Dir::new();
    let gone = dir.path("gone");
    let e = dir.find(Some(&gone), None, &[]).unwrap_err();
    assert_eq!(e.exit(), Exit::Config);
    assert_eq!(e.to_string(), format!("{gone}: no such file"));

    // Not 'nothing here': a loop of links, a directory, a large file.
    let keyfile = dir.path(".s3pipe.properties");
    dir.write("system", "aws.id=S\naws.key=s");
    std::os::unix::fs::symlink(&keyfile, &keyfile).unwrap();
    let e = dir.find(None, None, &[]).unwrap_err();
    assert!(
        e.exit() == Exit::Config && e.to_string().starts_with(&keyfile),
        "{e}"
    );
    fs::remove_file(&keyfile).unwrap();
    fs::create_dir(&keyfile).unwrap();
    assert_eq!(dir.find(None, None, &[]).unwrap_err().exit(), Exit::Config);
    let mut text = "aws.id=S\naws.key=s\n".to_string();
    text.push_str(&"#".repeat(64 * 1024 - text.len()));
    let large = dir.write("large", &text);
    assert!(dir.find(Some(&large), None, &[]).is_ok());
    dir.write("large", text + "#");
    let e = dir.find(Some(&large), None, &[]).unwrap_err();
    assert_eq!((e.exit(), e.why()), (Exit::Config, "larger than 64 KiB"));
    // A path below what is no directory does not exist.
    assert!(
        files::read_if_there(format!("{large}/x"), 1)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_file_that_others_can_read() {
    let dir = Dir::new();
    let path = dir.write("k", "aws.id=S\naws.key=s");
    for (mode, warned) in [(0o600, false), (0o711, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let warning = dir.find(Some(&path), None, &[]).unwrap().warning;
        assert_eq!(warning.is_some(), warned, "{mode:o}");
        if let Some(text) = warning {
            assert!(text.contains(&format!("{mode:04o}")) && text.contains("chmod 600"));
        }
    }
}

#[test]
fn text_of_any_age() {
    assert_eq!(decode(b"\xef\xbb\xbfa\r\nb\rc\n"), "a\nb\nc\n");
    assert_eq!(decode("é".as_bytes()), "é");
    assert_eq!(decode(b"\xe9"), "é");
}

#[test]
fn no_secret_is_shown() {
    let dir = Dir::new();
    let path = dir.write("k", "aws.id=ID\naws.key=hush\naws.token=hush");
    let found = dir.find(Some(&path), None, &[]).unwrap();
    assert!(!format!("{found:?}").contains("hush"));
}
