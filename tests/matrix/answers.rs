//! Every class of odd answers, in one table: its name, what it amounts to, the
//! requests that it can be given to, and how it is made.
//!
//! What no client could tell from the truth is in no class: a PUT of a block
//! that is answered as it should be and not carried out, for one.

use crate::class::*;
use crate::making::*;
use crate::proxy::Answer;
use crate::support::store::Say::{self, Close, Reset, Silence};
use crate::support::store::{Act, Part, Reply, View};

use Class as C;
use Nature::{Evidence, Listing, Noise, Past, Refusal, Truth};

/// A status and nothing else, in place of the truth.
const BARE: &[(&str, u16)] = &[
    ("201", 201), ("202", 202), ("203", 203), ("206", 206), ("299", 299), ("304", 304),
    ("307", 307), ("400", 400), ("403", 403), ("409", 409), ("412", 412), ("416", 416),
    ("429", 429), ("500", 500), ("501", 501), ("503", 503), ("511", 511),
];

/// The truth under another status.
const UNDER: &[(&str, u16)] = &[
    ("201", 201), ("202", 202), ("204", 204), ("206", 206), ("299", 299), ("304", 304),
    ("400", 400), ("403", 403), ("404", 404), ("409", 409), ("412", 412), ("416", 416),
    ("501", 501), ("503", 503),
];

/// An error as S3 has it, in place of the truth.
const CODED: &[(&str, u16)] = &[
    ("InvalidRequest", 400), ("RequestTimeout", 400), ("BadDigest", 400), ("ExpiredToken", 400),
    ("AccessDenied", 403), ("SignatureDoesNotMatch", 403), ("NoSuchKey", 404),
    ("NoSuchBucket", 404), ("ConditionalRequestConflict", 409), ("PreconditionFailed", 412),
    ("InvalidRange", 416), ("TooManyRequests", 429), ("InternalError", 500),
    ("NotImplemented", 501), ("SlowDown", 503),
];

const SPECIAL: &[Class] = &[
    C::new("bare-101", Noise, any, |_| bytes_then(Close, |_| b"HTTP/1.1 101 Odd\r\n\r\n".into())),
    C::new("bare-204", Noise, but_delete, |a| a.told(status(204))),
    C::new("bare-404", Noise, not_head, |a| a.told(status(404))).says("404"),
    C::new("page-404", Noise, not_head, |a| a.told(page(404))).says("404"),
    C::new("page-403", Noise, not_head, |a| a.told(page(403))).says("403"),
    C::new("page-502", Noise, any, |a| a.told(page(502))).says("502"),
    C::new("page-200", Noise, not_head, |a| a.told(page(200))),
    C::new("page-200-etag", Noise, not_head, |a| a.told(page(200).header("ETag", "\"0123\""))),
    C::new("page-200-done", Noise, writes, |_| Reply::truth().edit(|_| page(200))),
    C::new("json-200", Noise, not_head, |a| a.told(status(200).body("{\"status\":\"ok\"}"))),
    C::new("empty-200", Noise, has_answer, |a| a.told(status(200))),
    C::new("error-200", Refusal, not_head, |a| a.told(s3(200, "InternalError")))
        .says("InternalError"),
    C::new("error-200-done", Refusal, writes, |_| Reply::truth().edit(|_| s3(200, "InternalError")))
        .says("InternalError"),
    C::new("s3-skewed", Refusal, any, |a| {
        a.told(with(s3(403, "RequestTimeTooSkewed"), "Date", &an_hour_ago()))
    }).says("403"),
    C::new("s3-retry-after", Refusal, any, |a| {
        a.told(s3(503, "SlowDown").header("Retry-After", "1"))
    }).says("503"),
    C::new("s3-region-301", Refusal, any, |a| {
        let region = if a.second() { "us-east-1" } else { "eu-west-1" };
        a.told(s3(301, "PermanentRedirect").header("x-amz-bucket-region", region))
    }).says("301"),
    C::new("s3-region-400", Refusal, any, |a| {
        let (code, more) = ("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>");
        a.told(Answer::s3(400, "Odd", code, "Another region.", more))
    }).says("400"),
    C::new("redirect-302", Noise, any, |a| a.told(page(302).header("Location", a.trap)))
        .says("302"),
    C::new("redirect-307", Noise, any, |a| a.told(page(307).header("Location", a.trap)))
        .says("307"),
    C::new("no-etag", Truth, get_object, |_| {
        Reply::truth().edit(|answer| without(answer, "etag"))
    }),
    // A service that sends none would send none with the record's either.
    C::new("no-etag-done", Noise, put_object, |_| {
        Reply::truth().edit(|answer| without(answer, "etag"))
    }).says("ETag"),
    C::new("no-etag-not-done", Noise, put_object, |a| {
        a.pretended(|answer| without(answer, "etag"))
    }).says("ETag"),
    C::new("wrong-checksum", Noise, put_object, |a| {
        a.pretended(|answer| answer.header("x-amz-checksum-sha256", &"A".repeat(43)))
    }),
    C::new("not-done", Noise, seen_again, |a| a.pretended(|answer| answer)),
    C::new("bulk-half", Noise, bulk, |_| Reply::truth().edit(|answer| {
        let text = String::from_utf8(answer.body.clone()).expect("XML");
        let first = text.split("</Deleted>").next().unwrap_or("").to_string();
        with_body(answer, first + "</Deleted></DeleteResult>")
    })),
    C::new("bulk-none", Noise, bulk, |a| {
        a.told(status(200).body("<DeleteResult></DeleteResult>"))
    }),
    C::new("bulk-errors", Refusal, bulk, |a| a.pretended(|answer| {
        let text = String::from_utf8(answer.body.clone()).expect("XML");
        let text = text.replace("<Deleted>", "<Error><Code>InternalError</Code>");
        with_body(answer, text.replace("</Deleted>", "</Error>"))
    })),
];

const TIMING: &[Class] = &[
    C::new("100-then-truth", Truth, any, |_| after(b"HTTP/1.1 100 Continue\r\n\r\n")),
    C::new("103-then-truth", Truth, any, |_| after(b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n")),
    C::new("100-alone", Noise, any, |_| {
        bytes_then(Close, |_| b"HTTP/1.1 100 Continue\r\n\r\n".into()).act(Act::Never)
    }),
    C::new("early-200", Noise, slow_put, |a| a.pretended(|answer| answer).read(Part::Nothing))
        .narrow(),
    C::new("early-200-close", Noise, slow_put, |_| {
        bytes_then(Close, |answer| raw(&answer)).act(Act::Never).read(Part::Nothing)
    }).narrow(),
    C::new("begun-200-close", Noise, slow_put, |_| {
        bytes_then(Close, |answer| raw(&answer)).act(Act::Never).read(Part::Begun)
    }).narrow(),
    C::new("early-503", Noise, put, |a| {
        a.told(s3(503, "SlowDown").header("Connection", "close")).read(Part::Nothing)
    }).narrow().says("503"),
    C::new("early-503-close", Noise, put, |_| {
        bytes_then(Close, |_| raw(&s3(503, "SlowDown"))).act(Act::Never).read(Part::Nothing)
    }).narrow().says("503"),
    C::new("begun-503-close", Noise, put, |_| {
        bytes_then(Close, |_| raw(&s3(503, "SlowDown"))).act(Act::Never).read(Part::Begun)
    }).narrow().says("503"),
    C::new("done-closed", Noise, writes, |_| bytes_then(Close, |_| Vec::new())),
    C::new("done-reset", Noise, writes, |_| bytes_then(Reset, |_| Vec::new())),
    C::new("done-silent", Noise, writes, |_| bytes_then(Silence, |_| Vec::new())).silent(),
    C::new("late", Noise, writes, |_| Reply::truth().act(Act::Late(2))),
    C::new("late-closed", Noise, writes, |_| {
        bytes_then(Close, |_| Vec::new()).act(Act::Late(2))
    }),
    C::new("late-503", Noise, writes, |_| {
        Reply::truth().act(Act::Late(2)).edit(|_| s3(503, "SlowDown"))
    }),
    C::new("close-before", Noise, any, |_| nothing(Part::Nothing, Close)),
    C::new("reset-before", Noise, any, |_| nothing(Part::Nothing, Reset)),
    C::new("close-begun", Noise, put, |_| nothing(Part::Begun, Close)),
    C::new("reset-begun", Noise, put, |_| nothing(Part::Begun, Reset)),
    C::new("close-after", Noise, put, |_| nothing(Part::Whole, Close)),
    C::new("close-in-head", Noise, any, |_| bytes_then(Close, |answer| answer.head()[..20].into())),
    C::new("close-in-body", Noise, has_answer, |_| bytes_then(Close, |answer| half(&answer))),
    C::new("reset-in-body", Noise, has_answer, |_| bytes_then(Reset, |answer| half(&answer))),
    C::new("silent", Noise, any, |_| nothing(Part::Whole, Silence)).silent(),
    C::new("silent-in-body", Noise, has_answer, |_| bytes_then(Silence, |answer| half(&answer)))
        .silent(),
    C::new("drip", Truth, small, |_| Reply::truth().say(|answer| drip(&answer))),
];

const FRAMING: &[Class] = &[
    C::new("overlong", Noise, has_answer, |_| {
        Reply::truth().say(|answer| vec![Say::Bytes([raw(&answer), PAGE.into()].concat())])
    }),
    C::new("overlong-close", Noise, has_answer, |_| {
        bytes_then(Close, |answer| [raw(&answer), PAGE.into()].concat())
    }),
    C::new("length-short", Noise, has_answer, |_| length(|n| n.max(1) - 1)),
    C::new("length-long", Noise, not_head, |_| length(|n| n + 5)),
    C::new("length-huge", Noise, not_head, |_| fields("Content-Length: 99999999999999999999\r\n")),
    C::new("length-word", Noise, not_head, |_| fields("Content-Length: many\r\n")),
    C::new("length-negative", Noise, not_head, |_| fields("Content-Length: -1\r\n")),
    C::new("two-lengths", Noise, has_answer, |_| {
        fields("Content-Length: 30\r\nContent-Length: 3\r\n")
    }),
    C::new("no-length", Truth, has_answer, |_| fields("Connection: close\r\n")),
    C::new("no-length-cut", Noise, has_answer, |_| {
        bytes_then(Close, |answer| framed(&cut_short(answer), "Connection: close\r\n"))
    }),
    C::new("http-1.0", Truth, not_head, |_| bytes_then(Close, |answer| old_http(&answer))),
    C::new("chunked", Truth, has_answer, |_| chunks("0\r\n\r\n")),
    C::new("chunked-cut", Noise, has_answer, |_| {
        bytes_then(Close, |answer| chunked(&cut_short(answer), "3e8\r\nx"))
    }),
    C::new("chunked-no-end", Noise, has_answer, |_| bytes_then(Close, |a| chunked(&a, ""))),
    C::new("chunked-bad-size", Noise, has_answer, |_| {
        bytes_then(Close, |answer| chunked(&answer, "xyz\r\n\r\n"))
    }),
    C::new("chunked-trailers", Noise, has_answer, |_| Reply::truth().say(|answer| {
        vec![Say::Bytes(chunked(&answer, "0\r\n")), trickle(b"x-more: y\r\n")]
    })),
    C::new("endless", Noise, has_answer, |_| Reply::truth().say(|answer| {
        let more = Say::Endless(PAGE.repeat(99).into());
        vec![Say::Bytes(framed(&answer, "Connection: close\r\n")), more]
    })),
    C::new("endless-chunks", Noise, has_answer, |_| Reply::truth().say(|answer| {
        let chunk = format!("{:x}\r\n{PAGE}\r\n", PAGE.len()).repeat(99);
        vec![Say::Bytes(chunked(&answer, "")), Say::Endless(chunk.into())]
    })),
    C::new("endless-headers", Noise, any, |_| Reply::truth().say(|_| {
        vec![Say::Bytes(b"HTTP/1.1 200 OK\r\n".into()), trickle(b"x-more: y\r\n")]
    })),
    C::new("endless-interims", Noise, any, |_| {
        Reply::truth().say(|_| vec![trickle(b"HTTP/1.1 100 Continue\r\n\r\n")])
    }),
    C::new("no-http", Noise, any, |_| bytes_then(Close, |_| b"220 mail.example.org\r\n".into())),
    C::new("no-status", Noise, any, |_| bytes_then(Close, |_| b"HTTP/1.1 OK\r\n\r\n".into())),
    C::new("gzip", Noise, has_answer, |_| Reply::truth().edit(|answer| {
        let body = gzip(&answer.body);
        with_body(answer, body).header("Content-Encoding", "gzip")
    })),
    C::new("cut-short", Noise, has_answer, |_| Reply::truth().edit(cut_short)),
];

const RANGES: &[Class] = &[
    C::new("wrong-range", Noise, get_block, |_| Reply::truth().edit(|answer| {
        let size = answer.body.len();
        let body = answer.body[1..].to_vec();
        ranged(with_body(answer, body), &format!("bytes 1-{}/{size}", size - 1))
    })),
    C::new("wrong-total", Noise, get_block, |_| Reply::truth().edit(|answer| {
        let size = answer.body.len();
        ranged(answer, &format!("bytes 0-{}/{}", size - 1, size + 1))
    })),
    C::new("range-word", Noise, get_block, |_| Reply::truth().edit(|a| ranged(a, "all"))),
    C::new("broken-416", Noise, get_block, |a| broken_or(a, |a| a.told(s3(416, "InvalidRange"))))
        .pair(),
    C::new("broken-no-range", Noise, get_block, |a| broken_or(a, |_| {
        Reply::truth().edit(|answer| without(answer, "content-range"))
    })).pair(),
    C::new("broken-whole", Noise, get_block, |a| broken_or(a, |_| {
        Reply::truth().edit(|answer| {
            let twice = answer.body.repeat(2);
            without(Answer { code: 200, ..with_body(answer, twice) }, "content-range")
        })
    })).pair(),
    C::new("broken-other-range", Noise, get_block, |a| broken_or(a, |_| {
        Reply::truth().edit(|answer| with(answer, "Content-Range", "bytes 7-9/65536"))
    })).pair(),
    C::new("broken-foreign", Noise, get_block, |a| broken_or(a, |_| {
        Reply::truth().edit(|answer| {
            let page = PAGE.as_bytes().iter().cycle().copied();
            let body: Vec<u8> = page.take(answer.body.len()).collect();
            with_body(answer, body)
        })
    })).pair(),
];

const SHOWN: &[Class] = &[
    C::new("flipped", Evidence, get_hashed, |_| Reply::truth().edit(flipped)),
    C::new("flipped-no-etag", Evidence, get_named, |_| {
        Reply::truth().edit(|answer| without(flipped(answer), "etag"))
    }),
    C::new("flipped-text", Evidence, get_text, |_| Reply::truth().edit(flipped)),
    C::new("claims-nothing", Evidence, get_manifest, |_| restored(|body| claims(body, None))),
    C::new("claims-less", Evidence, get_manifest, |_| restored(|body| claims(body, Some(1)))),
    C::new("another's", Evidence, get_text, |_| restored(|body| {
        String::from_utf8_lossy(body).replace("stream n\n", "stream m\n").into_bytes()
    })),
    C::new("yesterday", Past, looks, |_| Reply::truth().view(View::At(0))),
    C::new("before", Past, looks, |_| Reply::truth().view(View::Before)),
    C::new("list-nothing", Past, listing, |_| relisted(|_| Vec::new())),
];

const LISTINGS: &[Class] = &[
    C::new("list-reversed", Listing, listing, |_| {
        relisted(|entries| entries.into_iter().rev().collect())
    }),
    C::new("list-rotated", Listing, listing, |_| relisted(|mut entries| {
        let by = usize::from(entries.len() > 1);
        entries.rotate_left(by);
        entries
    })),
    C::new("list-twice", Listing, listing, |_| {
        relisted(|entries| [&entries[..], &entries].concat())
    }),
    C::new("list-doubled", Listing, listing, |_| relisted(|entries| {
        entries.into_iter().flat_map(|entry| [entry.clone(), entry]).collect()
    })),
    C::new("list-cut", Listing, listing, |a| match a.second() {
        false => Reply::truth().edit(|answer| cut(answer, None)),
        true => Reply::truth(),
    }),
    C::new("list-stuck", Listing, listing, |_| Reply::truth().edit(|a| cut(a, Some("0.")))),
    C::new("list-foreign", Listing, listing, |_| relisted(|mut entries| {
        entries.push(entry("zzz/foreign"));
        entries
    })),
    C::new("list-stranger", Listing, listing, |a| {
        let prefix = a.request.parameter("prefix").unwrap_or("").to_string();
        Reply::truth().edit(move |answer| relist(answer, |mut entries| {
            entries.push(entry(&format!("{prefix}~~~")));
            entries
        }))
    }),
    C::new("list-size", Listing, listing, |_| each_entry("<Size>", "<Size>1")),
    C::new("list-no-size", Listing, listing, |_| each_entry("Size>", "Sise>")),
    C::new("list-no-time", Listing, listing, |_| each_entry("<LastModified>", "<LastModified>on ")),
    C::new("list-plain", Truth, listing, |_| Reply::truth().edit(|answer| {
        let text = String::from_utf8(answer.body.clone()).expect("a listing");
        let plain = text.replace("<EncodingType>url</EncodingType>", "").replace("%3D", "=");
        with_body(answer, plain)
    })),
];

/// One class for each of these statuses.
fn each_status(word: &str, statuses: &[(&str, u16)], class: Class) -> Vec<Class> {
    let named = |(name, code): &(&str, u16)| {
        // They are made once, and live as long as the tests.
        let name = format!("{word}-{name}").leak();
        // Of a success that is none, other things can be said.
        let says = if *code < 300 { "" } else { code.to_string().leak() };
        Class { name, says, ..class.code(*code) }
    };
    statuses.iter().map(named).collect()
}

/// All of them.
pub fn classes() -> Vec<Class> {
    let bare = C::new("", Noise, any, |a| a.told(status(a.class.code)));
    let under = C::new("", Noise, any, |a| {
        let code = a.class.code;
        // An error's own code would outweigh it.
        Reply::truth().edit(move |answer| match answer.code {
            200..300 => Answer { code, ..answer },
            _ => status(code),
        })
    });
    let coded = C::new("", Refusal, any, |a| {
        let (_, word) = a.class.name.split_once('-').expect("a code");
        a.told(s3(a.class.code, word))
    });
    let mut all = each_status("bare", BARE, bare);
    all.extend(each_status("under", UNDER, under));
    all.extend(each_status("s3", CODED, coded));
    for table in [SPECIAL, TIMING, FRAMING, RANGES, SHOWN, LISTINGS] {
        all.extend(table);
    }
    all
}

/// A class for every status that HTTP knows, and those that it does not.
pub fn every_status() -> Vec<Class> {
    let codes: Vec<(&str, u16)> = (200..600).map(|n| (&*n.to_string().leak(), n)).collect();
    let bare = C::new("", Noise, any_status, |a| a.told(page(a.class.code)));
    each_status("any", &codes, bare)
}
