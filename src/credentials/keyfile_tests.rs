//! Key files, as Java's Properties read them.

use super::super::testing::Dir;
use super::*;
use crate::testing::Random;

fn pairs(text: &str) -> Vec<(String, String)> {
    let entries = parse("f", &decode(text.as_bytes())).unwrap();
    entries.into_iter().map(|e| (e.key, e.value)).collect()
}

/// What java.util.Properties (OpenJDK 17) makes of the same text.
#[test]
fn reads_as_java_does() {
    let cases = [
        ("a=1\nb:2\nc 3\nd\t4\ne\x0c5", "a=1 b=2 c=3 d=4 e=5"),
        ("  a  =  1\n\tb \t: 2\n c   3", "a=1 b=2 c=3"),
        ("a==1\nb:=2\nc = :3\nd", "a==1 b==2 c=:3 d="),
        ("#a=1\n  !b=2\n\n \t\x0c\nc=#3", "c=#3"),
        (
            "a\\=b=1\nc\\:d:2\ne\\ f 3\n\\#g=4",
            "a=b=1 c:d=2 e f=3 #g=4",
        ),
        ("a=\\t\\n\\r\\f\\q\\\\", "a=\t\n\r\x0cq\\"),
        ("a=\\u0041\\u00e9\\uD83D\\uDE00\n\\u0062=2", "a=Aé😀 b=2"),
        ("a=1\\\n   2\\\r\n\t3\nb=4", "a=123 b=4"),
        ("a=1\\\\\nb=2\\\\\\\n3", "a=1\\ b=2\\3"),
        ("a=1\\\n# 2\n#c\\\nb=3", "a=1# 2 b=3"),
        ("a=1\\\n\nb=2\\", "a=1 b=2"),
        ("\\\n# 1\n\\\n b=2\n\\\n\nc", "b=2 c="),
        ("a=1\rb=2\r\nc=3", "a=1 b=2 c=3"),
        ("a=1\\ \\\n  \\ 2", "a=1  2"),
    ];
    for (text, expected) in cases {
        let shown: Vec<_> = pairs(text)
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(shown.join(" "), expected, "{text:?}");
    }
    // Blanks at the end belong to the value.
    assert_eq!(pairs("a = 1 \t\n"), [("a".to_string(), "1 \t".to_string())]);
}

#[test]
fn malformed_escapes_name_the_line() {
    for bad in [
        "\\u12", "\\u12g4", "\\u", "\\u+123", "\\ud800", "\\ud800x", "\\udc00",
    ] {
        let e = parse("f", &format!("a=1\n\nhush={bad}")).unwrap_err();
        assert_eq!(e.exit(), Exit::Config);
        assert_eq!(e.to_string(), "f:3: malformed \\u escape", "{bad}");
    }
}

#[test]
fn all_settings() {
    let dir = Dir::new();
    let path = dir.write(
        "k",
        "# as of 2007\naws.id=old\naws.id = AKIA1 \naws.key: a/b+c= \t\naws.token=t\n\
         bucket=b\nstream=s t\nendpoint=http://x:1\nregion=r\nprefix=\nother=x\n",
    );
    let found = named(&path).unwrap();
    let credentials = &found.credentials;
    assert_eq!(
        (&*credentials.id, &*credentials.secret),
        ("AKIA1", "a/b+c=")
    );
    assert_eq!(credentials.token.as_deref(), Some("t"));
    assert_eq!(found.bucket.as_deref(), Some("b"));
    assert_eq!(found.stream.as_deref(), Some("s t"));
    assert_eq!(found.endpoint.as_deref(), Some("http://x:1"));
    assert_eq!(found.region.as_deref(), Some("r"));
    assert_eq!(found.prefix, None);
    assert_eq!(found.source, format!("key file {path}"));
    assert!(!found.fixed && found.warning.is_none());
}

#[test]
fn refused() {
    let dir = Dir::new();
    let cases = [
        ("aws.id=a", ": aws.key is not set"),
        ("aws.key=hush", ": aws.id is not set"),
        ("aws.id=a\naws.key=", ": aws.key is not set"),
        (
            "aws.id=a\naws.key=b\naws.tokn=hush",
            ":3: unknown setting, only",
        ),
        ("aws.id=a\naws.keyhush", ":2: unknown setting, only"),
        ("AWS.ID=hush\naws.key=b", ":1: unknown setting, only"),
        (
            "aws.id=a\naws.key=hu\\nsh",
            ":2: aws.key goes on in the next line",
        ),
        (
            "aws.id=a\naws.key=b\nbucket=hu\\tsh",
            ":3: bucket has a control character",
        ),
        ("aws.id=hu sh\naws.key=b", ": aws.id has a character"),
    ];
    for (text, expected) in cases {
        let path = dir.write("k", text);
        let e = named(&path).unwrap_err();
        assert_eq!(e.exit(), Exit::Config);
        let shown = e.to_string();
        assert!(shown.starts_with(&format!("{path}{expected}")), "{shown}");
        assert!(!shown.contains("hu"), "{shown}");
    }
}

#[test]
fn a_pipe_will_do() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"aws.id=a\naws.key=b").unwrap();
    drop(writer);
    let found = named(&format!("/dev/fd/{}", reader.as_raw_fd())).unwrap();
    assert!(found.fixed && found.warning.is_none());
    assert_eq!(found.credentials.id, "a");
}

#[test]
fn what_is_escaped_comes_back() {
    let mut random = Random(7);
    let alphabet = [
        'a', '=', ':', ' ', '\t', '\x0c', '\n', '\r', '\\', '#', '!', 'u', 'é', '😀',
    ];
    for _ in 0..2000 {
        let mut word = || -> String {
            let length = random.below(8);
            (0..length)
                .map(|_| alphabet[random.below(alphabet.len())])
                .collect()
        };
        let (key, value) = (word(), word());
        let escape = |text: &str| -> String {
            let units = text.encode_utf16();
            units.map(|unit| format!("\\u{unit:04x}")).collect()
        };
        let text = format!("{}\\\n  ={}", escape(&key), escape(&value));
        assert_eq!(pairs(&text), [(key, value)], "{text}");
    }
}

#[test]
fn any_input_is_parsed_or_refused() {
    let good = "aws.id = A\\u0041\naws.key: b\\\n  c\n# x\nbucket b\n";
    let mut random = Random(1);
    let (mut parsed, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let text = decode(&random.input(good, b"\\\\\\\n\r\t =:#!ud8cA."));
        match parse("f", &text) {
            Ok(entries) => {
                let size: usize = entries.iter().map(|e| e.key.len() + e.value.len()).sum();
                assert!(size <= text.len() && entries.len() <= text.split('\n').count());
                parsed += 1;
            }
            Err(e) => {
                assert_eq!(e.exit(), Exit::Config);
                refused += 1;
            }
        }
    }
    assert!(parsed > 1000 && refused > 1000, "{parsed} {refused}");
}
