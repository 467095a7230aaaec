//! What S3 answers, and what it changes: nothing here is a lie, and nothing
//! here changes anything itself.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::objects::{Object, Order};
use super::reply::View;
use super::{BUCKET, Conditions, Request, State};
use crate::proxy::{Answer, date};

/// What carrying out a request changes.
pub enum Change {
    /// An object is there, or is gone.
    Object(String, Option<Object>),
    /// The bucket is.
    Bucket(bool),
}

type Answered = (Answer, Vec<Change>);

/// The answer to a request, and what it changes. Where the body is not all there
/// yet, it is the answer that it would have if it were.
pub fn answer(state: &State, request: &Request, body: &[u8], view: &View) -> Answered {
    let whole = body.len() as u64 == request.length;
    let damage = if whole { damaged(request, body) } else { None };
    let (mut answer, changes) = match damage {
        Some(refusal) => (refusal, Vec::new()),
        None => of_bucket(state, request, body, view),
    };
    let now = seconds(SystemTime::now());
    answer.headers.push(("Date".into(), date::http(now)));
    (answer, changes)
}

/// What is said where a hash that came along is not that of the body.
fn damaged(request: &Request, body: &[u8]) -> Option<Answer> {
    let sha256: String = Sha256::digest(body)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let signed = request.header("x-amz-content-sha256");
    let is_hash = |text: &&str| text.len() == 64;
    if signed.filter(is_hash).is_some_and(|said| said != sha256) {
        let code = "XAmzContentSHA256Mismatch";
        return Some(error(400, code, "The body is not what was signed."));
    }
    let md5 = BASE64.encode(Md5::digest(body));
    let said = request.header("content-md5");
    said.filter(|said| *said != md5)
        .map(|_| error(400, "BadDigest", "The body has another MD5."))
}

fn of_bucket(state: &State, request: &Request, body: &[u8], view: &View) -> Answered {
    let there = request.bucket == BUCKET && state.bucket;
    let method = request.method.as_str();
    if request.key.is_none() && method == "PUT" {
        return match there {
            true => {
                let code = "BucketAlreadyOwnedByYou";
                (error(409, code, "You have this bucket."), Vec::new())
            }
            false => (ok(), vec![Change::Bucket(true)]),
        };
    }
    if !there {
        let mut answer = error(404, "NoSuchBucket", "There is no such bucket.");
        if method == "HEAD" {
            answer.body.clear();
        }
        return (answer, Vec::new());
    }
    match (method, &request.key) {
        ("HEAD", None) => (ok(), Vec::new()),
        ("DELETE", None) if !state.objects.now().is_empty() => {
            let code = "BucketNotEmpty";
            (error(409, code, "The bucket is not empty."), Vec::new())
        }
        ("DELETE", None) => (Answer::new(204, "No Content"), vec![Change::Bucket(false)]),
        ("GET", None) => (list(state, request, view), Vec::new()),
        ("POST", None) if request.parameter("delete").is_some() => delete_many(body),
        ("PUT", Some(key)) => put(state, request, key, body),
        ("GET" | "HEAD", Some(key)) => (get(state, request, key, view), Vec::new()),
        ("DELETE", Some(key)) => {
            let gone = vec![Change::Object(key.clone(), None)];
            (Answer::new(204, "No Content"), gone)
        }
        _ => (
            error(405, "MethodNotAllowed", "Not in this store."),
            Vec::new(),
        ),
    }
}

fn put(state: &State, request: &Request, key: &str, body: &[u8]) -> Answered {
    if let Some(refusal) = unmet(state, request, key) {
        return (refusal, Vec::new());
    }
    let mut object = Object::new(body);
    let meta = request.headers.iter();
    let meta = meta.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    object.meta = meta
        .filter(|(name, _)| name.starts_with("x-amz-meta-"))
        .collect();
    let mut answer = ok();
    if state.settings.etags {
        answer = answer.header("ETag", &object.etag());
    }
    (answer, vec![Change::Object(key.into(), Some(object))])
}

/// What is said where a condition does not hold.
fn unmet(state: &State, request: &Request, key: &str) -> Option<Answer> {
    let (absent, etag) = (request.header("if-none-match"), request.header("if-match"));
    let conditions = state.settings.conditions;
    if conditions == Conditions::Ignored || (absent.is_none() && etag.is_none()) {
        return None;
    }
    if conditions == Conditions::Refused {
        let code = "NotImplemented";
        return Some(error(501, code, "Conditions are not implemented."));
    }
    let object = state.objects.now().get(key);
    if let (Some(_), None) = (etag, object) {
        return Some(error(404, "NoSuchKey", "There is no such object."));
    }
    let same = |wanted: &str, object: &Object| match conditions {
        Conditions::Unquoted => wanted == object.etag().trim_matches('"'),
        _ => wanted.trim_matches('"') == object.etag().trim_matches('"'),
    };
    let met = match (etag, object) {
        (Some(etag), Some(object)) => same(etag, object),
        _ => object.is_none(),
    };
    let refusal = || error(412, "PreconditionFailed", "A condition did not hold.");
    (!met).then(refusal)
}

fn get(state: &State, request: &Request, key: &str, view: &View) -> Answer {
    let then = seen(state, Some(key), view);
    let Some(object) = then.get(key) else {
        let mut answer = error(404, "NoSuchKey", "There is no such object.");
        if request.method == "HEAD" {
            answer.body.clear();
        }
        return answer;
    };
    let (body, size) = (&object.body, object.body.len());
    let range = request.header("range").map(|text| range(text, size));
    let mut answer = match range {
        Some(None) => {
            let code = "InvalidRange";
            return error(416, code, "The object does not have this range.")
                .header("Content-Range", &format!("bytes */{size}"));
        }
        Some(Some((first, last))) => Answer::new(206, "Partial Content")
            .header("Content-Range", &format!("bytes {first}-{last}/{size}"))
            .body(&body[first..=last]),
        None => ok().body(body.as_slice()),
    };
    let modified = date::http(seconds(object.modified));
    let length = answer.body.len().to_string();
    answer = answer
        .header("Last-Modified", &modified)
        .header("Accept-Ranges", "bytes")
        .header("Content-Type", "binary/octet-stream")
        .header("Content-Length", &length);
    if state.settings.etags {
        answer = answer.header("ETag", &object.etag());
    }
    answer.headers.extend(object.meta.iter().cloned());
    if request.method == "HEAD" {
        answer.body.clear();
    }
    answer
}

/// First and last byte of `bytes=FIRST-LAST`, where the object has any of them.
fn range(text: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last = last.parse().unwrap_or(usize::MAX).min(size.checked_sub(1)?);
    (first <= last).then_some((first, last))
}

fn list(state: &State, request: &Request, view: &View) -> Answer {
    let text = |name| request.parameter(name);
    let (prefix, order) = (text("prefix").unwrap_or(""), state.settings.order);
    let most = text("max-keys").and_then(|n| n.parse().ok());
    let most = state.settings.page.min(most.unwrap_or(1000));
    let after = text("start-after").unwrap_or("");
    // The last one sent, and which copy of it.
    let token = text("continuation-token").and_then(|token| token.split_once('.'));
    let reached = token.map(|(copy, key)| order.place(key, copy.parse().unwrap_or(0)));
    let then = seen(state, None, view);
    let wanted = then
        .keys()
        .filter(|key| key.starts_with(prefix) && (reached.is_some() || key.as_str() > after));
    let mut places = order.places(wanted);
    places.retain(|(place, _)| reached.as_ref().is_none_or(|r| order.is_after(place, r)));
    let truncated = places.len() > most;
    places.truncate(most);
    let url = text("encoding-type") == Some("url");
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
    out += &format!("<Name>{BUCKET}</Name><KeyCount>{}</KeyCount>", places.len());
    if url {
        out += "<EncodingType>url</EncodingType>";
    }
    out += &format!("<IsTruncated>{truncated}</IsTruncated>");
    if let Some(((_, key, copy), _)) = places.last().filter(|_| truncated) {
        let token = escape(&format!("{copy}.{key}"));
        out += &format!("<NextContinuationToken>{token}</NextContinuationToken>");
    }
    for (_, key) in places {
        let name = if url { encode(key) } else { escape(key) };
        out += &contents(&name, &then[key], state.settings.etags);
    }
    ok().header("Content-Type", "application/xml")
        .body(out + "</ListBucketResult>")
}

/// An object, as a listing has it.
pub fn contents(key: &str, object: &Object, etag: bool) -> String {
    let (time, size) = (date::iso(seconds(object.modified)), object.body.len());
    let etag = match etag {
        true => format!("<ETag>{}</ETag>", escape(&object.etag())),
        false => String::new(),
    };
    format!(
        "<Contents><Key>{key}</Key><LastModified>{time}</LastModified>{etag}\
         <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )
}

/// DeleteObjects: every key that stands in its request.
fn delete_many(body: &[u8]) -> Answered {
    let text = String::from_utf8_lossy(body);
    let mut changes = Vec::new();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult>");
    for part in text.split("<Key>").skip(1) {
        let key = part.split("</Key>").next().unwrap_or("");
        out += &format!("<Deleted><Key>{key}</Key></Deleted>");
        changes.push(Change::Object(unescape(key), None));
    }
    let answer = ok().header("Content-Type", "application/xml");
    (answer.body(out + "</DeleteResult>"), changes)
}

/// All objects that there are in this view, of one that asks for this key.
fn seen(state: &State, key: Option<&str>, view: &View) -> BTreeMap<String, Object> {
    match view {
        View::Now => state.objects.now().clone(),
        View::At(moment) => state.objects.at(*moment),
        View::Before => state.objects.at(state.objects.before(key)),
    }
}

fn ok() -> Answer {
    Answer::new(200, "OK")
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let reason = match status {
        404 => "Not Found",
        409 => "Conflict",
        412 => "Precondition Failed",
        501 => "Not Implemented",
        _ => "Error",
    };
    Answer::s3(status, reason, code, message, "")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

fn encode(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    let each = key.bytes().map(|b| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    });
    each.collect()
}

/// Text as it stands in XML.
pub fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}
