//! What is changed in the heads that pass.

use super::*;

fn blanked(head: &str) -> (Option<u64>, String) {
    let mut bytes = head.as_bytes().to_vec();
    let length = blank_content_length(&mut bytes);
    (length, String::from_utf8(bytes).unwrap())
}

#[test]
fn lends_only_bodies_of_known_length() {
    let (length, head) = blanked("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length:  123 \r\n\r\n");
    assert_eq!(length, Some(123));
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length:  000 \r\n\r\n"
    );
    let (length, _) = blanked("HTTP/1.1 206 Partial Content\r\ncontent-length:7\r\n\r\n");
    assert_eq!(length, Some(7));
    for head in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "\u{fffd}\r\n\r\n",
    ] {
        assert_eq!(blanked(head), (None, head.to_string()));
    }
}

#[test]
fn requests_get_their_length_back() {
    let head = b"PUT / HTTP/1.1\r\nhost: h\r\nContent-Length: 0\r\na: b\r\n\r\n";
    let real = with_length(head, 1 << 24).unwrap();
    let text = "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 16777216\r\na: b\r\n\r\n";
    assert_eq!(real, text.as_bytes());
    assert!(with_length(b"GET / HTTP/1.1\r\n\r\n", 1).is_err());
}
