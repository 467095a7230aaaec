//! Which region, endpoint and certificates go with a key.

use super::super::testing::Dir;
use super::*;
use crate::error::Exit;

const PAIR: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "s")];
const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// Region, endpoint and bundle.
fn of(dir: &Dir, keyfile: Option<&str>, env: &[(&str, &str)]) -> Result<[String; 3]> {
    let found = dir.find(keyfile, None, env)?;
    let settings = [found.region, found.endpoint, found.ca_bundle];
    Ok(settings.map(Option::unwrap_or_default))
}

#[test]
fn variables_and_then_the_profile() {
    let dir = Dir::new();
    let pair = |env: &[(&str, &str)]| of(&dir, None, &[&PAIR, env].concat());
    assert_eq!(pair(&[]).unwrap(), ["", "", ""]);
    dir.write(
        ".aws/config",
        "[default]\nregion=r\nendpoint_url=http://e\nca_bundle=/c\n[profile p]\nregion=p\n",
    );
    assert_eq!(pair(&[]).unwrap(), ["r", "http://e", "/c"]);
    let p = ("AWS_PROFILE", "p");
    assert_eq!(pair(&[p]).unwrap(), ["p", "", ""]);
    let mut env = vec![
        ("AWS_DEFAULT_REGION", "d"),
        ("AWS_ENDPOINT_URL", "http://u"),
        ("AWS_CA_BUNDLE", "/v"),
    ];
    assert_eq!(pair(&env).unwrap(), ["d", "http://u", "/v"]);
    env.extend([("AWS_REGION", "a"), ("AWS_ENDPOINT_URL_S3", "http://s"), p]);
    assert_eq!(pair(&env).unwrap(), ["a", "http://s", "/v"]);
    let e = pair(&[("AWS_PROFILE", "gone")]).unwrap_err();
    assert_eq!((e.exit(), e.what()), (Exit::Config, "profile gone"));
}

#[test]
fn a_profile_on_the_command_line() {
    let dir = Dir::new();
    dir.write(
        ".aws/config",
        "[default]\nregion=r\n[profile p]\nendpoint_url=http://p\n\
         aws_access_key_id=A\naws_secret_access_key=s\n",
    );
    let env = [PAIR[0], PAIR[1], ("AWS_PROFILE", "gone")];
    let found = dir.find(None, Some("p"), &env).unwrap();
    assert_eq!(found.credentials.id, "A");
    assert_eq!(found.endpoint.as_deref(), Some("http://p"));
    assert_eq!(found.region, None);
}

#[test]
fn key_files_have_nothing_to_do_with_profiles() {
    let dir = Dir::new();
    dir.write(
        ".aws/config",
        "[default]\nregion=r\nendpoint_url=http://e\nca_bundle=/c\n",
    );
    let plain = dir.write("plain", "aws.id=A\naws.key=s\n");
    let full = dir.write("full", "aws.id=A\naws.key=s\nregion=k\nendpoint=http://k\n");
    let env = [
        ("AWS_REGION", "a"),
        ("AWS_ENDPOINT_URL", "http://u"),
        ("AWS_CA_BUNDLE", "/v"),
        ("AWS_PROFILE", "gone"),
    ];
    let of = |file: &str, env: &[_]| of(&dir, Some(file), env).unwrap();
    assert_eq!(of(&plain, &[]), ["", "", ""]);
    assert_eq!(of(&plain, &env), ["a", "http://u", "/v"]);
    assert_eq!(of(&full, &[]), ["k", "http://k", ""]);
    assert_eq!(of(&full, &env), ["k", "http://k", "/v"]);
    assert_eq!(of(&plain, &[env[1], (IGNORE, "true")]), ["", "", ""]);
    assert_eq!(
        of(&full, &[env[1], (IGNORE, "true")]),
        ["k", "http://k", ""]
    );
    // Not even looked at.
    dir.write(".aws/config", "hush");
    assert_eq!(of(&plain, &[]), ["", "", ""]);
}

#[test]
fn endpoints_that_are_to_be_ignored() {
    let dir = Dir::new();
    let config = |ignore: &str| {
        let text = format!("[default]\nendpoint_url=http://e\nregion=r\n{ignore}\n");
        dir.write(".aws/config", text);
    };
    let endpoint = |env: &[(&str, &str)]| {
        let [region, endpoint, _] = of(&dir, None, &[&PAIR, env].concat()).unwrap();
        assert_eq!(region, "r");
        endpoint
    };
    let url = ("AWS_ENDPOINT_URL", "http://u");
    config("");
    assert_eq!(endpoint(&[(IGNORE, "True")]), "");
    assert_eq!(endpoint(&[(IGNORE, "true"), url]), "");
    assert_eq!(endpoint(&[(IGNORE, "false"), url]), "http://u");
    config("ignore_configured_endpoint_urls = true");
    assert_eq!(endpoint(&[]), "");
    assert_eq!(endpoint(&[url]), "");
    assert_eq!(endpoint(&[(IGNORE, "false")]), "http://e");
    assert_eq!(endpoint(&[(IGNORE, "false"), url]), "http://u");
}

/// As with botocore: it is looked for only where it is needed.
#[test]
fn a_services_section_that_is_not_there() {
    let dir = Dir::new();
    dir.write(".aws/config", "[default]\nservices=gone\n");
    let pair = |env: &[(&str, &str)]| of(&dir, None, &[&PAIR, env].concat());
    assert!(pair(&[]).unwrap_err().why().contains("[services gone]"));
    assert!(pair(&[("AWS_ENDPOINT_URL", "http://u")]).is_ok());
    assert!(pair(&[(IGNORE, "true")]).is_ok());
}
