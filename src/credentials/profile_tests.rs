//! Profiles as found in files of a home directory.

use super::super::testing::Dir;
use super::*;

const KEYS: &str = "aws_access_key_id = A\naws_secret_access_key = s\n";

#[test]
fn names_in_headers() {
    // As botocore 1.44 has them.
    for (header, name) in [
        ("profile x", Some("x")),
        ("profile\tx", Some("x")),
        ("profile   x  ", Some("x")),
        ("profile \"a b\"", Some("a b")),
        ("profile 'a b'", Some("a b")),
        ("profile a b", None),
        ("profile", None),
        ("profile ", None),
        ("preview x", None),
        ("profile \"x", None),
    ] {
        assert_eq!(titled(header, "profile"), name, "{header}");
    }
    assert_eq!(titled("profilex", "profile"), None);
    assert_eq!(titled("services s", "services"), Some("s"));
}

#[test]
fn both_files_are_one_profile() {
    let dir = Dir::new();
    dir.write(
        ".aws/credentials",
        format!("[w]\n{KEYS}aws_session_token = t\n[profile v]\n{KEYS}"),
    );
    dir.write(
        ".aws/config",
        "[profile w]\nregion = r\nendpoint_url = http://e\naws_access_key_id = C\n\
         aws_secret_access_key = c\n[x]\naws_access_key_id=X\naws_secret_access_key=x",
    );
    let found = dir.find(None, Some("w"), &[]).unwrap();
    assert_eq!(
        (&*found.credentials.id, &*found.credentials.secret),
        ("A", "s")
    );
    assert_eq!(found.credentials.token.as_deref(), Some("t"));
    assert_eq!(found.region.as_deref(), Some("r"));
    assert_eq!(found.endpoint.as_deref(), Some("http://e"));
    assert_eq!(
        found.source,
        format!("profile w in {}", dir.path(".aws/credentials"))
    );
    assert!(!found.fixed && found.warning.is_none());

    // The credentials file's region wins, as botocore merges the two.
    dir.write(".aws/credentials", format!("[w]\n{KEYS}region = q\n"));
    assert_eq!(
        dir.find(None, Some("w"), &[]).unwrap().region.as_deref(),
        Some("q")
    );
    // Neither `[x]` in the config file nor `[profile v]` in the other.
    for name in ["x", "v", "profile v", "W"] {
        let e = dir.find(None, Some(name), &[]).unwrap_err();
        assert_eq!(e.exit(), Exit::Config);
        assert!(
            e.to_string()
                .starts_with(&format!("profile {name}: not in ")),
            "{e}"
        );
    }
}

#[test]
fn which_profile_and_which_files() {
    let dir = Dir::new();
    let file = "[default]\naws_access_key_id=D\n[profile default]\n\
                aws_access_key_id=P\n[profile a]\naws_access_key_id=A1\n\
                [profile b]\naws_access_key_id=B\n[profile a]\naws_access_key_id=A2\n";
    dir.write(
        "c",
        file.replace("_id", "_id=x\naws_secret_access_key=s\naws_access_key_id"),
    );
    let id = |env: &[(&str, &str)]| {
        let env = [&[("AWS_CONFIG_FILE", "~/c")], env].concat();
        Ok::<_, Error>(dir.find(None, None, &env)?.credentials.id)
    };
    assert_eq!(id(&[]).unwrap(), "P");
    assert_eq!(id(&[("AWS_PROFILE", "a")]).unwrap(), "A2");
    assert_eq!(id(&[("AWS_DEFAULT_PROFILE", "b")]).unwrap(), "B");
    let both = [("AWS_PROFILE", "a"), ("AWS_DEFAULT_PROFILE", "b")];
    assert_eq!(id(&both).unwrap(), "A2");
    assert_eq!(
        id(&[("AWS_PROFILE", "none")]).unwrap_err().exit(),
        Exit::Config
    );

    let e = dir.find(None, Some("a"), &[("HOME", "")]).unwrap_err();
    assert_eq!(e.why(), "there are no files to look in, HOME is not set");
    let other = dir.write("other", format!("[default]\n{KEYS}"));
    let env = [
        ("HOME", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", other.as_str()),
    ];
    assert_eq!(dir.find(None, None, &env).unwrap().credentials.id, "A");
}

#[test]
fn endpoints() {
    let dir = Dir::new();
    let services = "\n[services \"s 1\"]\nec2 =\n  endpoint_url = http://no\ns3 =\n  \
                    endpoint_url = http://s3\n[services t]\nec2 =\n  endpoint_url = http://no\n";
    let endpoint = |settings: &str| {
        dir.write(
            ".aws/config",
            format!("[default]\n{KEYS}{settings}{services}"),
        );
        Ok::<_, Error>(dir.find(None, None, &[])?.endpoint)
    };
    let all = "endpoint_url = http://all\n";
    assert_eq!(endpoint("").unwrap(), None);
    assert_eq!(endpoint(all).unwrap().as_deref(), Some("http://all"));
    let s3 = endpoint(&format!("{all}services = s 1\n")).unwrap();
    assert_eq!(s3.as_deref(), Some("http://s3"));
    let other = endpoint(&format!("{all}services = t\n")).unwrap();
    assert_eq!(other.as_deref(), Some("http://all"));
    let e = endpoint("services = u\n").unwrap_err();
    assert_eq!(e.exit(), Exit::Config);
    assert!(e.why().contains("[services u]"));
    let ignored = format!("{all}ignore_configured_endpoint_urls = True\n");
    assert_eq!(endpoint(&ignored).unwrap(), None);
}

#[test]
fn keys_from_elsewhere() {
    let dir = Dir::new();
    let advice = "s3pipe leaves this to AWS's own tools: use another profile, with \
                  credential_process = aws configure export-credentials";
    for setting in [
        "sso_session",
        "sso_start_url",
        "role_arn",
        "web_identity_token_file",
        "login_session",
    ] {
        let text = format!("[default]\n{setting} = hush\n[profile a b]\n[profile 'a b']\n");
        dir.write(".aws/config", text + &format!("{setting} = hush\n"));
        for named in [Some("default"), None] {
            let e = dir.find(None, named, &[]).unwrap_err();
            assert_eq!((e.exit(), e.what()), (Exit::Config, "profile default"));
            let expected = format!("{setting}: {advice} --profile default --format process");
            assert_eq!(e.why(), expected);
        }
        let e = dir.find(None, None, &[("AWS_PROFILE", "a b")]).unwrap_err();
        assert!(e.why().contains(" --profile 'a b' --format"), "{e}");
        // A program is beside it, for those who cannot do it otherwise; but
        // that could be the one that the role is taken on with.
        let text = format!("[default]\n{setting} = x\ncredential_process = /gone\n");
        dir.write(".aws/config", text);
        let e = dir.obtain(None, None, &[]).unwrap_err();
        assert_eq!(e.why().contains(advice), setting == "role_arn", "{e}");
    }
    // So could a key.
    dir.write(".aws/credentials", format!("[default]\n{KEYS}"));
    assert!(dir.find(None, None, &[]).is_ok());
    dir.write(".aws/config", "[default]\nrole_arn = r\n");
    let e = dir.find(None, None, &[]).unwrap_err();
    assert!(e.why().starts_with("role_arn: s3pipe leaves"), "{e}");

    let file = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/hush");
    let e = dir.find(None, None, &[file, ("HOME", "")]).unwrap_err();
    assert_eq!((e.exit(), e.what()), (Exit::Config, file.0));
    assert_eq!(e.why(), format!("{advice} --format process"));
}

#[test]
fn which_of_several_keys() {
    let dir = Dir::new();
    let answer = r#"{"Version":1,"AccessKeyId":"P","SecretAccessKey":"s"}"#;
    let program = format!("credential_process = echo '{answer}'\n");
    let other = KEYS.replace("= A", "= C");
    for (shared, config, id) in [
        (KEYS, [&*other, &program].concat(), "A"),
        ("region = r\n", [&*other, &program].concat(), "P"),
        (&program, other.clone(), "P"),
        ("region = r\n", other.clone(), "C"),
    ] {
        dir.write(".aws/credentials", format!("[default]\n{shared}"));
        dir.write(".aws/config", format!("[default]\n{config}"));
        let found = dir.obtain(None, None, &[]).unwrap();
        assert_eq!(found.credentials.id, id);
    }
}

#[test]
fn tokens_have_two_names() {
    let dir = Dir::new();
    for (settings, token) in [
        ("aws_session_token=new", "new"),
        ("aws_security_token=old", "old"),
        ("aws_session_token=new\naws_security_token=old", "old"),
        ("aws_session_token=new\naws_security_token=", "new"),
    ] {
        dir.write(".aws/credentials", format!("[default]\n{KEYS}{settings}\n"));
        let found = dir.find(None, None, &[]).unwrap();
        assert_eq!(found.credentials.token.as_deref(), Some(token));
    }
}

#[test]
fn a_profile_without_keys() {
    let dir = Dir::new();
    dir.write(".aws/credentials", "[default]\nregion = r\n");
    let e = dir.find(None, Some("default"), &[]).unwrap_err();
    assert_eq!(e.exit(), Exit::Config);
    let lacks = "it lacks aws_access_key_id and aws_secret_access_key, or credential_process";
    assert_eq!(e.why(), lacks);
    // Whatever the environment names is looked at, and passed over.
    dir.write(".aws/config", "[profile p]\nregion = r\n");
    for (env, name) in [(vec![], "default"), (vec![("AWS_PROFILE", "p")], "p")] {
        let e = dir.find(None, None, &env).unwrap_err();
        assert_eq!((e.exit(), e.what()), (Exit::Denied, "credentials"));
        assert!(
            e.why().ends_with(&format!("/.aws/config (profile {name})")),
            "{e}"
        );
    }
}

/// Another user's home, where HOME was kept.
#[test]
fn files_out_of_reach() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let path = dir.write(".aws/credentials", format!("[default]\n{KEYS}"));
    let chmod = |path: &str, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(&dir.path(".aws"), 0);
    let closed = fs::metadata(&path).is_err();
    let e = dir.find(None, None, &[]);
    let pair = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let found = dir.find(None, None, &pair);
    chmod(&dir.path(".aws"), 0o700);
    // Nothing is closed to root.
    assert_eq!(e.is_err_and(|e| e.exit() == Exit::Denied), closed);
    assert_eq!(found.unwrap().credentials.id, "E");
    // A file that is in reach, and cannot be read, is another matter.
    chmod(&path, 0);
    if fs::File::open(&path).is_err() {
        let e = dir.find(None, None, &pair).unwrap_err();
        assert_eq!((e.exit(), e.what()), (Exit::Config, &*path));
    }
}

#[test]
fn refused() {
    let dir = Dir::new();
    let path = dir.path(".aws/credentials");
    for (text, expected) in [
        (
            "aws_access_key_id=A",
            ": profile default: aws_access_key_id is set, aws_sec",
        ),
        (
            "aws_secret_access_key=hush",
            ": profile default: aws_secret_access_key is set",
        ),
        (
            "aws_access_key_id=A\naws_secret_access_key=hu\n  sh",
            ":3: aws_secret_access_key goes on in the next line",
        ),
        (
            "aws_access_key_id=A\x1b[2J\naws_secret_access_key=s",
            ":2: aws_access_key_id has a control character in it",
        ),
        ("hush", ":2: not a setting in a section"),
    ] {
        dir.write(".aws/credentials", format!("[default]\n{text}\n"));
        let e = dir.find(None, None, &[]).unwrap_err();
        assert_eq!(e.exit(), Exit::Config);
        assert!(
            e.to_string().starts_with(&format!("{path}{expected}")),
            "{e}"
        );
        assert!(!e.to_string().contains("hu"), "{e}");
    }
    dir.write(".aws/credentials", "#".repeat(1024 * 1024 + 1));
    assert_eq!(
        dir.find(None, None, &[]).unwrap_err().why(),
        "larger than 1024 KiB"
    );
}
