//! Answers, made and remade: the pieces that the table in `answers` is put
//! together from.

use std::time::{Duration, SystemTime};

use crate::class::Asked;
use crate::format::sha256;
use crate::proxy::{Answer, date};
use crate::support::store::{Act, Object, Part, Reply, Say};

/// What a portal or a load balancer says.
pub const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Back soon</title></head>\
    <body><h1>We are back soon</h1></body></html>\n";

/// The reason phrase is nobody's business.
pub fn status(code: u16) -> Answer {
    Answer::new(code, "Odd")
}

/// An error as S3 has it.
pub fn s3(code: u16, word: &str) -> Answer {
    Answer::s3(code, "Odd", word, "So the matrix says.", "")
}

/// A page with this status.
pub fn page(code: u16) -> Answer {
    status(code).header("Content-Type", "text/html").body(PAGE)
}

/// The same answer with another body, and the length of that.
pub fn with_body(mut answer: Answer, body: impl Into<Vec<u8>>) -> Answer {
    answer = without(answer, "content-length");
    answer.body(body)
}

/// The same without a header field.
pub fn without(mut answer: Answer, name: &str) -> Answer {
    let others = answer.headers.into_iter();
    answer.headers = others
        .filter(|(known, _)| !known.eq_ignore_ascii_case(name))
        .collect();
    answer
}

/// The same with this header field alone of that name.
pub fn with(answer: Answer, name: &str, value: &str) -> Answer {
    without(answer, name).header(name, value)
}

/// The same as of an object with this body: its ETag is right.
pub fn as_stored(answer: Answer, body: Vec<u8>) -> Answer {
    let etag = Object::new(body.clone()).etag();
    with(with_body(answer, body), "ETag", &etag)
}

/// Not carried out; the answer to a HEAD has no body.
pub fn instead(head: bool, mut answer: Answer) -> Reply {
    if head {
        answer.body.clear();
    }
    Reply::instead(answer)
}

/// Not carried out, nor answered as if.
pub fn nothing(read: Part, end: Say) -> Reply {
    let none = Reply::truth().act(Act::Never).read(read);
    none.say(move |_| vec![end.clone()])
}

/// These bytes, made of the true answer, and then the end of the connection.
pub fn bytes_then(end: Say, make: impl Fn(Answer) -> Vec<u8> + Send + Sync + 'static) -> Reply {
    Reply::truth().say(move |answer| vec![Say::Bytes(make(answer)), end.clone()])
}

/// The bytes of an answer, body and all.
pub fn raw(answer: &Answer) -> Vec<u8> {
    [answer.head(), answer.body.clone()].concat()
}

/// These lines and the body: a head of the test's own making.
pub fn framed(answer: &Answer, fields: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.code, answer.reason);
    for (name, value) in &answer.headers {
        if !name.eq_ignore_ascii_case("content-length") {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head += fields;
    [head.as_bytes(), b"\r\n", &answer.body].concat()
}

/// The same with a body in chunks, up to what ends it.
pub fn chunked(answer: &Answer, end: &str) -> Vec<u8> {
    let mut out = answer.clone();
    out.body.clear();
    let mut bytes = framed(&out, "Transfer-Encoding: chunked\r\n");
    for chunk in answer.body.chunks(1000) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(end.as_bytes());
    bytes
}

/// Up to the middle of its body.
pub fn half(answer: &Answer) -> Vec<u8> {
    let body = &answer.body[..answer.body.len() / 2];
    [&answer.head(), body].concat()
}

/// Half of its body, as if that were all.
pub fn cut_short(answer: Answer) -> Answer {
    let body = answer.body[..answer.body.len() / 2].to_vec();
    with_body(answer, body)
}

/// With a byte of the middle changed.
pub fn flipped(mut answer: Answer) -> Answer {
    let middle = answer.body.len() / 2;
    if let Some(byte) = answer.body.get_mut(middle) {
        *byte ^= 1;
    }
    answer
}

/// An object that is stored so, where there is one.
pub fn restored(change: fn(&[u8]) -> Vec<u8>) -> Reply {
    Reply::truth().edit(move |answer| match answer.code {
        200 => {
            let body = change(&answer.body);
            as_stored(answer, body)
        }
        _ => answer,
    })
}

/// The truth, after this.
pub fn after(bytes: &'static [u8]) -> Reply {
    Reply::truth().say(|answer| vec![Say::Bytes(bytes.into()), Say::Bytes(raw(&answer))])
}

/// The truth in a head with these fields, and then the connection's end.
pub fn fields(fields: &'static str) -> Reply {
    bytes_then(Say::Close, |answer| framed(&answer, fields))
}

/// The truth with another Content-Length, and then the connection's end.
pub fn length(other: fn(usize) -> usize) -> Reply {
    bytes_then(Say::Close, move |answer| {
        let length = other(answer.body.len());
        framed(&answer, &format!("Content-Length: {length}\r\n"))
    })
}

/// The truth in chunks, up to what ends it.
pub fn chunks(end: &'static str) -> Reply {
    Reply::truth().say(|answer| vec![Say::Bytes(chunked(&answer, end))])
}

/// The truth as HTTP/1.0 has it.
pub fn old_http(answer: &Answer) -> Vec<u8> {
    let mut bytes = raw(answer);
    bytes[7] = b'0';
    bytes
}

/// A part, it says, where it is not an error.
pub fn ranged(answer: Answer, range: &str) -> Answer {
    if answer.code >= 300 {
        return answer;
    }
    with(
        Answer {
            code: 206,
            ..answer
        },
        "Content-Range",
        range,
    )
}

/// Half of the truth, and to the next request another answer.
pub fn broken_or(asked: &Asked, second: fn(&Asked) -> Reply) -> Reply {
    match asked.second() {
        false => bytes_then(Say::Close, |answer| half(&answer)),
        true => second(asked),
    }
}

/// A listing with its entries changed.
pub fn relisted(change: fn(Vec<String>) -> Vec<String>) -> Reply {
    Reply::truth().edit(move |answer| relist(answer, change))
}

/// A listing with this replaced in each of its entries.
pub fn each_entry(from: &'static str, to: &'static str) -> Reply {
    Reply::truth().edit(move |answer| {
        relist(answer, |entries| {
            let changed = entries.iter().map(|entry| entry.replace(from, to));
            changed.collect()
        })
    })
}

/// Slowly, but as it should be.
pub fn drip(answer: &Answer) -> Vec<Say> {
    vec![Say::Drip(raw(answer), Duration::from_micros(500))]
}

/// These bytes without an end, at some 500 KB a second.
pub fn trickle(bytes: &[u8]) -> Say {
    Say::Trickle(bytes.repeat(1000), Duration::from_millis(20))
}

/// What gzip makes of it, without compressing anything.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut rest = body;
    loop {
        let (part, more) = rest.split_at(rest.len().min(0xffff));
        let length = u16::try_from(part.len()).expect("a short part");
        out.push(u8::from(more.is_empty()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(part);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    out.extend(crc32(body).to_le_bytes());
    out.extend((body.len() as u32).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0xedb8_8320,
            _ => crc >> 1,
        })
    };
    !bytes.iter().fold(!0, step)
}

/// A listing, its `<Contents>` elements changed.
pub fn relist(answer: Answer, change: impl Fn(Vec<String>) -> Vec<String>) -> Answer {
    let text = String::from_utf8(answer.body.clone()).expect("a listing");
    let mut parts = text.split("<Contents>");
    let before = parts.next().unwrap_or("").to_string();
    let mut entries: Vec<String> = parts.map(|part| format!("<Contents>{part}")).collect();
    let end = "</ListBucketResult>";
    let before = before.replace(end, "");
    for entry in &mut entries {
        *entry = entry.replace(end, "");
    }
    let entries: String = change(entries).concat();
    with_body(answer, format!("{before}{entries}{end}"))
}

/// A listing that says that it is not the last page, with this token or none.
pub fn cut(answer: Answer, token: Option<&str>) -> Answer {
    let listing = relist(answer, |mut entries| {
        entries.truncate(entries.len().div_ceil(2));
        entries
    });
    let token = token.map_or(String::new(), |token| {
        format!("<NextContinuationToken>{token}</NextContinuationToken>")
    });
    let text = String::from_utf8(listing.body.clone()).expect("a listing");
    let plain = match text.split_once("<NextContinuationToken>") {
        Some((before, rest)) => {
            let after = rest.split_once("</NextContinuationToken>");
            format!("{before}{}", after.map_or("", |(_, after)| after))
        }
        None => text,
    };
    let now = format!("<IsTruncated>true</IsTruncated>{token}");
    let plain = plain.replace("<IsTruncated>true</IsTruncated>", "");
    let plain = plain.replace("<IsTruncated>false</IsTruncated>", "");
    with_body(
        listing,
        plain.replace("<KeyCount>", &format!("{now}<KeyCount>")),
    )
}

/// An entry of a listing.
pub fn entry(key: &str) -> String {
    let time = date::iso(1_700_000_000);
    format!(
        "<Contents><Key>{key}</Key><LastModified>{time}</LastModified>\
         <ETag>&quot;{}&quot;</ETag><Size>5</Size></Contents>",
        &sha256(b"")[..32]
    )
}

/// A manifest that says of its last index, or of all, that it has so many
/// bytes fewer; none is all of them.
pub fn claims(manifest: &[u8], fewer: Option<u64>) -> Vec<u8> {
    let text = String::from_utf8_lossy(manifest).into_owned();
    let last = text
        .lines()
        .filter(|line| line.starts_with("index "))
        .count();
    let (mut out, mut total, mut seen) = (String::new(), 0, 0);
    for line in text.lines() {
        let mut words: Vec<String> = line.split(' ').map(String::from).collect();
        match words[0].as_str() {
            "index" => {
                seen += 1;
                let bytes: u64 = words[3].parse().expect("bytes");
                let bytes = match fewer {
                    None => 0,
                    Some(fewer) if seen == last => bytes - fewer,
                    Some(_) => bytes,
                };
                total += bytes;
                words[3] = bytes.to_string();
            }
            "end" => words[3] = total.to_string(),
            _ => {}
        }
        out += &(words.join(" ") + "\n");
    }
    out.into_bytes()
}

/// The date of an hour ago.
pub fn an_hour_ago() -> String {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a time");
    date::http(since.as_secs() - 3600)
}
