//! The files of AWS's tools, as botocore reads them.

use super::super::decode;
use super::*;
use crate::testing::Random;

/// `name{key=value,…} …` of what was read.
fn show(text: &str) -> String {
    let sections = parse("f", &decode(text.as_bytes())).unwrap();
    let mut shown = Vec::new();
    for section in sections {
        let entries = section.entries.iter();
        let entries: Vec<_> = entries.map(|e| format!("{}={}", e.key, e.value)).collect();
        shown.push(format!("{}{{{}}}", section.name, entries.join(",")));
    }
    shown.join(" ")
}

/// Cases in which botocore 1.44 reads the same.
#[test]
fn reads_as_botocore_does() {
    let cases = [
        (
            "# c\n; c\n  # c\n[d]\n ; c\na=1\n  # c\nb = 2\n",
            "d{a=1,b=2}",
        ),
        ("[d]\na   =   1   \nb:2\nc : 3=4\n", "d{a=1,b=2,c=3=4}"),
        ("[d]\na=1;2\nb=3#4\nc=%(b)s\n", "d{a=1;2,b=3#4,c=%(b)s}"),
        ("[d]\nc=3\n\td\t=\t5\t\n", "d{c=3\nd\t=\t5}"),
        ("[d]\na = 1\n  2\n# x\n  3\nb = 4\n", "d{a=1\n2\n3,b=4}"),
        (
            "  [d]\n  a = 1\n  b = 2\n[x]\n    c = 3\n  d = 4\n",
            "d{a=1,b=2} x{c=3,d=4}",
        ),
        ("[d]\na = 1\n [x]\nb = 2\n", "d{a=1\n[x],b=2}"),
        ("[d]\r\na=1\r\ns3 =\r\n  e = x\r\n", "d{a=1,s3=\ne = x}"),
        ("[d]\ra=1\r", "d{a=1}"),
        ("[d] # c\na=1\n[e];c\n[f]# ]\n", "d{a=1} e{} f{}"),
        (
            "[D]\nAWS_Key=Xy\n[profile \"a b\"]\n",
            "D{aws_key=Xy} profile \"a b\"{}",
        ),
        ("[d]\nfoo =\nbar=1", "d{foo=,bar=1}"),
        ("[d]\ns = a/b+c==", "d{s=a/b+c==}"),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(show(text), expected, "{text:?}");
    }
}

/// Here botocore keeps the comment or the blanks, or refuses the file;
/// the other SDKs read it so.
#[test]
fn reads_as_other_sdks_do() {
    let cases = [
        ("[d]\na = 1 # c\nb = 2\t; c # d\nc = # c\n", "d{a=1,b=2,c=}"),
        ("[ d\t]\na=1\n[d]\na=2\na=3\n", "d{a=1} d{a=2,a=3}"),
        ("\u{feff}[d]\na=1", "d{a=1}"),
    ];
    for (text, expected) in cases {
        assert_eq!(show(text), expected, "{text:?}");
    }
}

#[test]
fn refused_with_the_line() {
    let (name, setting) = ("not a section's [name]", "not a setting in a section");
    let cases = [
        ("[d]\n\nhush\n", 3, setting),
        ("hush=1\n[d]\n", 1, setting),
        (" -hush\n", 1, setting),
        ("[d]\n= hush\n", 2, setting),
        ("[d\na=1\n", 1, name),
        ("[]\na=1\n", 1, name),
        ("[d] hush\n", 1, name),
    ];
    for (text, line, why) in cases {
        let e = parse("f", text).unwrap_err();
        assert_eq!(e.to_string(), format!("f:{line}: {why}"), "{text:?}");
        assert_eq!(e.exit().code(), 78);
    }
}

#[test]
fn blocks() {
    let get = |text: &str| {
        let sections = parse("f", text).unwrap();
        let entry = nested("f", &sections[0].entries[0], "url")?;
        Ok::<_, crate::error::Error>(entry.map(|e| e.value))
    };
    assert_eq!(
        get("[d]\ns3 =\n\turl=x\n\n# c\n  a = b\n"),
        Ok(Some("x".to_string()))
    );
    assert_eq!(
        get("[d]\ns3 =\n url = x\n url = y=z\n"),
        Ok(Some("y=z".to_string()))
    );
    assert_eq!(get("[d]\ns3 =\n url =\n"), Ok(None));
    assert_eq!(get("[d]\ns3 =\n a = b\n"), Ok(None));
    for bad in [
        "[d]\ns3 = url=x\n",
        "[d]\ns3 =\n url hush\n",
        "[d]\ns3 = x\n url = y\n",
    ] {
        let e = get(bad).unwrap_err();
        assert_eq!(e.to_string(), "f:2: s3 is no block of indented settings");
    }
}

#[test]
fn any_input_is_parsed_or_refused() {
    let good = "[default]\naws_access_key_id = A\n[profile \"x\"] # c\ns3 =\n  url = b ; c\n";
    let mut random = Random(2);
    let (mut parsed, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let text = decode(&random.input(good, b"\n\n\r\t  []=:#;\"a"));
        match parse("f", &text) {
            Ok(sections) => {
                let mut size = 0;
                for section in &sections {
                    size += section.name.len();
                    for entry in &section.entries {
                        size += entry.key.len() + entry.value.len();
                        assert!(entry.line <= text.split('\n').count());
                        let _ = nested("f", entry, "url");
                    }
                }
                assert!(size <= text.len());
                parsed += 1;
            }
            Err(e) => {
                assert_eq!(e.exit().code(), 78);
                refused += 1;
            }
        }
    }
    assert!(parsed > 1000 && refused > 1000, "{parsed} {refused}");
}
