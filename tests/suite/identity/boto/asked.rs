//! The table's second part: programs and services that are asked for keys.

use super::cases::{CONFIG, Case, ENDPOINTS, KEYS_CONFIG, KEYS_SHARED, SHARED, URL, same};

const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{INSTANCE}");
const ENABLED: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "false");
const TOKEN_FILES: &[(&str, &str)] = &[("good", "Bearer FILE"), ("bad", "Bearer FILE\n")];

/// Programs and services.
pub const ASKED: &[Case] = &[
    // Programs.
    same(
        "a program",
        &[
            (
                "key",
                r#"{"Version":1,"AccessKeyId":"PROCESS","SecretAccessKey":"s"}"#,
            ),
            (
                CONFIG,
                "[default]\nregion = r-1\ncredential_process = cat {HOME}/key\n",
            ),
        ],
        &[URL],
        "PROCESS - r-1 {A}",
    ),
    same(
        "a program whose key expires",
        &[
            (
                "the key",
                r#"{"Version":1,"AccessKeyId":"PROCESS","SecretAccessKey":"s",
                    "SessionToken":"PT=","Expiration":"2099-01-01T00:00:00+00:00"}"#,
            ),
            (
                CONFIG,
                "[profile x]\ncredential_process = 'cat'  \"{HOME}/the key\"\n",
            ),
        ],
        &[URL, ("AWS_PROFILE", "x")],
        "PROCESS PT= us-east-1 {A}",
    ),
    same(
        "words on several lines, escaped",
        &[
            (
                "the\" key",
                r#"{"Version":1,"AccessKeyId":"P","SecretAccessKey":"s","SessionToken":null}"#,
            ),
            (
                CONFIG,
                "[default]\ncredential_process = c\\at\n  {HOME}/the'\" 'key\n",
            ),
        ],
        &[URL],
        "P - us-east-1 {A}",
    ),
    same(
        "no shell",
        &[(
            CONFIG,
            "[default]\ncredential_process = cat {HOME}/* | cat\n",
        )],
        &[URL],
        "error",
    ),
    same(
        "a key in the credentials file before a program",
        &[
            KEYS_SHARED,
            (CONFIG, "[default]\ncredential_process = false\n"),
        ],
        &[URL],
        "DEFAULT - us-east-1 {A}",
    ),
    same(
        "a program before a key in the config file",
        &[
            (
                "key",
                r#"{"Version":1,"AccessKeyId":"PROCESS","SecretAccessKey":"s"}"#,
            ),
            (SHARED, "[default]\ncredential_process = cat {HOME}/key\n"),
            KEYS_CONFIG,
        ],
        &[URL],
        "PROCESS - d-1 {A}",
    ),
    same(
        "a program that fails",
        &[(CONFIG, "[default]\ncredential_process = false\n")],
        &[URL, ENABLED, INSTANCE],
        "error",
    ),
    same(
        "a program that fails before a key",
        &[
            (SHARED, "[default]\ncredential_process = false\n"),
            KEYS_CONFIG,
        ],
        &[URL],
        "error",
    ),
    same(
        "a program that is not there",
        &[(CONFIG, "[default]\ncredential_process = /gone/x\n")],
        &[URL],
        "error",
    ),
    same(
        "an open quote",
        &[(CONFIG, "[default]\ncredential_process = cat 'x\n")],
        &[URL],
        "error",
    ),
    same(
        "version 2",
        &[
            (
                "key",
                r#"{"Version":2,"AccessKeyId":"PROCESS","SecretAccessKey":"s"}"#,
            ),
            (CONFIG, "[default]\ncredential_process = cat {HOME}/key\n"),
        ],
        &[URL],
        "error",
    ),
    same(
        "no id",
        &[
            ("key", r#"{"Version":1,"SecretAccessKey":"s"}"#),
            (CONFIG, "[default]\ncredential_process = cat {HOME}/key\n"),
        ],
        &[URL],
        "error",
    ),
    same(
        "no JSON",
        &[(CONFIG, "[default]\ncredential_process = echo x\n")],
        &[URL],
        "error",
    ),
    // Containers.
    same(
        "a container",
        &[],
        &[URL, (FULL, "{CONTAINER}/x")],
        "CONTAINER TOKEN/+= us-east-1 {A}",
    ),
    same(
        "a container's token",
        TOKEN_FILES,
        &[URL, (FULL, "{CONTAINER}"), (TOKEN_FILE, "{HOME}/good")],
        "CONTAINER TOKEN/+= us-east-1 {A}",
    ),
    same(
        "a token's file before a token",
        TOKEN_FILES,
        &[
            URL,
            (FULL, "{CONTAINER}"),
            (TOKEN, "x"),
            (TOKEN_FILE, "{HOME}/bad"),
        ],
        "error",
    ),
    same(
        "a token's file that is not there",
        TOKEN_FILES,
        &[URL, (FULL, "{CONTAINER}"), (TOKEN_FILE, "{HOME}/gone")],
        "error",
    ),
    same(
        "a container that refuses",
        &[],
        &[URL, (FULL, "{REFUSING}"), ENABLED, INSTANCE],
        "error",
    ),
    same(
        "a container that is far away",
        &[],
        &[URL, (FULL, "http://10.0.0.1/x"), ENABLED, INSTANCE],
        "error",
    ),
    same(
        "a file before a container",
        &[KEYS_SHARED],
        &[URL, (FULL, "{CONTAINER}")],
        "DEFAULT - us-east-1 {A}",
    ),
    same(
        "a container with a profile's settings",
        &[ENDPOINTS],
        &[(FULL, "{CONTAINER}")],
        "CONTAINER TOKEN/+= d-1 {A}",
    ),
    same(
        "a container with a profile's settings, by name",
        &[ENDPOINTS],
        &[(FULL, "{CONTAINER}"), ("AWS_PROFILE", "s")],
        "CONTAINER TOKEN/+= us-east-1 {C}",
    ),
    same(
        "a container before an instance",
        &[],
        &[URL, (FULL, "{CONTAINER}"), ENABLED, INSTANCE],
        "CONTAINER TOKEN/+= us-east-1 {A}",
    ),
    // Instances.
    same(
        "an instance",
        &[],
        &[URL, ENABLED, INSTANCE],
        "INSTANCE TOKEN/+= us-east-1 {A}",
    ),
    same(
        "an instance in a profile",
        &[(
            CONFIG,
            "[default]\nec2_metadata_service_endpoint = {INSTANCE}/\nregion = i-1\n",
        )],
        &[URL, ENABLED],
        "INSTANCE TOKEN/+= i-1 {A}",
    ),
    same("an instance, switched off", &[], &[URL, INSTANCE], "error"),
    same(
        "no instance",
        &[],
        &[
            URL,
            ENABLED,
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{REFUSING}"),
        ],
        "error",
    ),
];
