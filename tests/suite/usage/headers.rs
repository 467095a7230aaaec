//! Mistakes with -H: what s3pipe sets itself, what cannot be sent, and keys,
//! which have no business in the arguments.

use super::Trap;

#[test]
fn headers() {
    let trap = Trap::new();
    let header = |value: &str, text: &str| {
        trap.refuses(64, &["list", "-b", "b", "-H", value], text);
    };
    for (bad, text) in [
        ("", "a header is"),
        ("x-y", "a header is"),
        (": v", "a header's name"),
        ("x y: v", "a header's name"),
        ("x\r\ny: v", "a header's name"),
        ("x-y: a\r\nz: b", "x-y: only printable"),
        ("x-y: ü", "x-y: only printable"),
        ("x-y: \u{1b}[2J", "x-y: only printable"),
    ] {
        header(bad, &format!("--header: {text}"));
    }
    let ours = "host Host AUTHORIZATION content-length Content-MD5 date expect connection range \
                if-match if-none-match transfer-encoding x-amz-date x-amz-content-sha256 \
                x-amz-security-token x-amz-checksum-sha256 x-amz-copy-source";
    for name in ours.split_whitespace() {
        header(&format!("{name}: hush"), "is set by s3pipe itself");
    }
    let args = ["list", "-b", "b", "-H", "x-y: 1", "-H", "X-Y: 1"];
    trap.refuses(64, &args, "--header: x-y is given twice");

    let gone = trap.scratch.fresh("gone");
    let binary = trap.scratch.file("binary", b"x-y: \xff\n");
    for path in [&*gone, &binary, trap.scratch.path()] {
        let path = path.to_str().expect("a UTF-8 path");
        let args = ["list", "-b", "b", "-H", &format!("@{path}")];
        trap.refuses(78, &args, &format!("{path}: "));
    }
    let bad = trap.scratch.file("bad", "# mine\n\nx-a: 1\nx y: 2\n");
    let bad = bad.to_str().expect("a UTF-8 path");
    let args = ["list", "-b", "b", "-H", &format!("@{bad}")];
    trap.refuses(64, &args, &format!("{bad}: a header's name"));
}

/// Whatever way it is written, a customer's key in the arguments is refused,
/// and it is not shown.
#[test]
fn a_customer_key_on_the_command_line() {
    let trap = Trap::new();
    let name = "x-amz-server-side-encryption-customer-key";
    for header in [
        format!("{name}: aHVzaA=="),
        format!("{}:aHVzaA==", name.to_uppercase()),
        format!("{name}-MD5: aHVzaA=="),
        format!(" {name}: aHVzaA=="),
        format!("{name} : aHVzaA=="),
    ] {
        println!("{header:?}");
        let args = ["upload", "-b", "b", "-s", "n", "-H", &header];
        let outcome = trap.run(&args, &[]).fails(64, "--header: ");
        assert!(!outcome.stderr.contains("aHVzaA"), "{outcome}");
    }
}
