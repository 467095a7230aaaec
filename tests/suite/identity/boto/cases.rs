//! The table's first part: files and variables, and who is found in them. `{A}`, `{B}` and
//! `{C}` are services, `{HOME}` is the home directory, the other words name
//! stand-ins of what gives out keys.

/// Files below HOME and variables; and what is found: id, token or `-`,
/// region, endpoint; for AWS's own endpoints the URL alone; or `error`.
pub struct Case {
    pub name: &'static str,
    pub files: &'static [(&'static str, &'static str)],
    pub env: &'static [(&'static str, &'static str)],
    pub ours: &'static str,
    /// What boto3 finds, where that is something else.
    pub theirs: Option<&'static str>,
}

pub(super) const fn same(
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    env: &'static [(&'static str, &'static str)],
    found: &'static str,
) -> Case {
    Case {
        name,
        files,
        env,
        ours: found,
        theirs: None,
    }
}

pub(super) const CONFIG: &str = ".aws/config";
pub(super) const SHARED: &str = ".aws/credentials";
pub(super) const URL: (&str, &str) = ("AWS_ENDPOINT_URL", "{A}");
const URL_B: (&str, &str) = ("AWS_ENDPOINT_URL_S3", "{B}");
const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "ENV");
const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "s");
const IGNORE: (&str, &str) = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
const PROXY: (&str, &str) = ("HTTPS_PROXY", "{PROXY}");

/// Profiles `default` and `p` with keys, in both files.
pub(super) const KEYS_SHARED: (&str, &str) = (
    SHARED,
    "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n\
     [p]\naws_access_key_id = P\naws_secret_access_key = s\naws_session_token = PT\n",
);
pub(super) const KEYS_CONFIG: (&str, &str) = (
    CONFIG,
    "[default]\naws_access_key_id = CDEFAULT\naws_secret_access_key = s\nregion = d-1\n\
     [profile p]\naws_access_key_id = CP\naws_secret_access_key = s\nregion = p-1\n\
     [profile \"a b\"]\naws_access_key_id = AB\naws_secret_access_key = s\n\
     [q]\naws_access_key_id = Q\naws_secret_access_key = s\n",
);
/// Endpoints in profiles, for keys that come from elsewhere.
pub(super) const ENDPOINTS: (&str, &str) = (
    CONFIG,
    "[default]\nregion = d-1\nendpoint_url = {A}\n\
     [profile s]\nservices = own\nendpoint_url = {A}\n\
     [profile other]\nservices = other\nendpoint_url = {A}\n\
     [profile gone]\nservices = gone\nendpoint_url = {A}\n\
     [profile ignoring]\nignore_configured_endpoint_urls = true\nendpoint_url = {A}\nregion = i-1\n\
     [services own]\nec2 =\n  endpoint_url = {A}\ns3 =\n  endpoint_url = {C}\n\
     [services other]\nec2 =\n  endpoint_url = {B}\n",
);

/// Variables and files.
pub const SAME: &[Case] = &[
    same("nothing", &[], &[URL], "error"),
    // The environment.
    same("pair", &[], &[ID, SECRET, URL], "ENV - us-east-1 {A}"),
    same(
        "pair and token",
        &[],
        &[ID, SECRET, URL, ("AWS_SESSION_TOKEN", "T=")],
        "ENV T= us-east-1 {A}",
    ),
    same(
        "the older name of the token",
        &[],
        &[
            ID,
            SECRET,
            URL,
            ("AWS_SESSION_TOKEN", "T="),
            ("AWS_SECURITY_TOKEN", "OLD"),
        ],
        "ENV OLD us-east-1 {A}",
    ),
    same(
        "a pair that expires",
        &[],
        &[
            ID,
            SECRET,
            URL,
            ("AWS_CREDENTIAL_EXPIRATION", "2099-01-01T00:00:00+00:00"),
        ],
        "ENV - us-east-1 {A}",
    ),
    same("half a pair", &[KEYS_SHARED], &[ID, URL], "error"),
    same(
        "empty is not set",
        &[KEYS_SHARED],
        &[
            ("AWS_ACCESS_KEY_ID", ""),
            ("AWS_SECRET_ACCESS_KEY", ""),
            ("AWS_ENDPOINT_URL_S3", ""),
            URL,
        ],
        "DEFAULT - us-east-1 {A}",
    ),
    same(
        "pair before files",
        &[KEYS_SHARED],
        &[ID, SECRET, URL, ("AWS_PROFILE", "p")],
        "ENV - us-east-1 {A}",
    ),
    // Region.
    same(
        "region",
        &[KEYS_CONFIG],
        &[ID, SECRET, URL, ("AWS_DEFAULT_REGION", "v-1")],
        "ENV - v-1 {A}",
    ),
    same(
        "the profile's region goes with the pair",
        &[KEYS_CONFIG],
        &[ID, SECRET, URL, ("AWS_PROFILE", "p")],
        "ENV - p-1 {A}",
    ),
    same(
        "region in both files",
        &[
            KEYS_CONFIG,
            (
                SHARED,
                "[p]\naws_access_key_id = P\naws_secret_access_key = s\nregion = q-1\n",
            ),
        ],
        &[URL, ("AWS_PROFILE", "p")],
        "P - q-1 {A}",
    ),
    // Files.
    same("default", &[KEYS_SHARED], &[URL], "DEFAULT - us-east-1 {A}"),
    same("config", &[KEYS_CONFIG], &[URL], "CDEFAULT - d-1 {A}"),
    same(
        "both files",
        &[KEYS_SHARED, KEYS_CONFIG],
        &[URL],
        "DEFAULT - d-1 {A}",
    ),
    same(
        "profile",
        &[KEYS_SHARED, KEYS_CONFIG],
        &[URL, ("AWS_PROFILE", "p")],
        "P PT p-1 {A}",
    ),
    same(
        "the older name of the profile",
        &[KEYS_SHARED],
        &[URL, ("AWS_DEFAULT_PROFILE", "p")],
        "P PT us-east-1 {A}",
    ),
    same(
        "a name with a blank",
        &[KEYS_CONFIG],
        &[URL, ("AWS_PROFILE", "a b")],
        "AB - us-east-1 {A}",
    ),
    same(
        "no profile's section",
        &[KEYS_CONFIG],
        &[URL, ("AWS_PROFILE", "q")],
        "error",
    ),
    same(
        "a profile that is not there",
        &[KEYS_SHARED],
        &[URL, ID, SECRET, ("AWS_PROFILE", "gone")],
        "error",
    ),
    same(
        "files elsewhere",
        &[
            ("x/shared", KEYS_SHARED.1),
            ("x/config", "[default]\nregion = x-1\n"),
            KEYS_CONFIG,
        ],
        &[
            URL,
            ("AWS_SHARED_CREDENTIALS_FILE", "~/x/shared"),
            ("AWS_CONFIG_FILE", "{HOME}/x/config"),
        ],
        "DEFAULT - x-1 {A}",
    ),
    same(
        "the older name of the token in a profile",
        &[(
            SHARED,
            "[default]\naws_access_key_id=D\naws_secret_access_key=s\n\
             aws_session_token=NEW\naws_security_token=OLD\n",
        )],
        &[URL],
        "D OLD us-east-1 {A}",
    ),
    same(
        "half a pair in a profile",
        &[
            (SHARED, "[default]\naws_access_key_id = HALF\n"),
            KEYS_CONFIG,
        ],
        &[URL],
        "error",
    ),
    same(
        "no such syntax",
        &[(CONFIG, "[default\n")],
        &[URL, ID, SECRET],
        "error",
    ),
    // Endpoints.
    same(
        "S3's before all",
        &[],
        &[ID, SECRET, URL, URL_B],
        "ENV - us-east-1 {B}",
    ),
    same(
        "variable before profile",
        &[ENDPOINTS],
        &[ID, SECRET, URL_B],
        "ENV - d-1 {B}",
    ),
    same(
        "an endpoint in a profile",
        &[ENDPOINTS],
        &[ID, SECRET],
        "ENV - d-1 {A}",
    ),
    same(
        "services before profile",
        &[ENDPOINTS],
        &[ID, SECRET, ("AWS_PROFILE", "s")],
        "ENV - us-east-1 {C}",
    ),
    same(
        "variable before services",
        &[ENDPOINTS],
        &[ID, SECRET, URL, ("AWS_PROFILE", "s")],
        "ENV - us-east-1 {A}",
    ),
    same(
        "services without S3",
        &[ENDPOINTS],
        &[ID, SECRET, ("AWS_PROFILE", "other")],
        "ENV - us-east-1 {A}",
    ),
    same(
        "services that are not there",
        &[ENDPOINTS],
        &[ID, SECRET, ("AWS_PROFILE", "gone")],
        "error",
    ),
    same(
        "services that are not there but not needed",
        &[ENDPOINTS],
        &[ID, SECRET, URL_B, ("AWS_PROFILE", "gone")],
        "ENV - us-east-1 {B}",
    ),
    same(
        "none",
        &[],
        &[ID, SECRET, PROXY, ("AWS_DEFAULT_REGION", "eu-west-1")],
        "https://s3.eu-west-1.amazonaws.com",
    ),
    same(
        "ignored by a variable",
        &[ENDPOINTS],
        &[ID, SECRET, PROXY, IGNORE, URL, URL_B],
        "https://s3.d-1.amazonaws.com",
    ),
    same(
        "ignored by a profile",
        &[ENDPOINTS],
        &[ID, SECRET, PROXY, URL, ("AWS_PROFILE", "ignoring")],
        "https://s3.i-1.amazonaws.com",
    ),
    same(
        "not ignored by a variable",
        &[ENDPOINTS],
        &[ID, SECRET, (IGNORE.0, "false"), ("AWS_PROFILE", "ignoring")],
        "ENV - i-1 {A}",
    ),
];

const fn different(case: Case, theirs: &'static str) -> Case {
    Case {
        theirs: Some(theirs),
        ..case
    }
}

/// Where s3pipe differs on purpose.
pub const DIFFERENT: &[Case] = &[
    // All of AWS's tools know AWS_REGION, and put it first, but botocore.
    different(
        same(
            "AWS_REGION",
            &[],
            &[
                ID,
                SECRET,
                URL,
                ("AWS_REGION", "a-1"),
                ("AWS_DEFAULT_REGION", "v-1"),
            ],
            "ENV - a-1 {A}",
        ),
        "ENV - v-1 {A}",
    ),
    // They also put AWS_PROFILE first.
    different(
        same(
            "two names of profiles",
            &[KEYS_SHARED],
            &[
                URL,
                ("AWS_PROFILE", "p"),
                ("AWS_DEFAULT_PROFILE", "default"),
            ],
            "P PT us-east-1 {A}",
        ),
        "DEFAULT - us-east-1 {A}",
    ),
    // Half a pair is a mistake, whichever half.
    different(
        same(
            "the other half of a pair",
            &[KEYS_SHARED],
            &[SECRET, URL],
            "error",
        ),
        "DEFAULT - us-east-1 {A}",
    ),
];
