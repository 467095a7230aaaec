//! A bucket with object lock, which takes no object without a checksum.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};

use crate::faults::site::{STREAM, Site, blocks};
use crate::proxy::{Answer, Fault, Match, Seen};
use crate::support::BUCKET;

/// In S3's own words (PutObject with a default retention period).
const WHY: &str = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object \
                   requests with Object Lock parameters";

fn unchecked(seen: &Seen) -> bool {
    let checksum = |name: &str| name.to_ascii_lowercase().starts_with("x-amz-checksum-");
    seen.header("content-md5").is_none() && !seen.headers.iter().any(|(n, _)| checksum(n))
}

fn locked() -> Site {
    let site = Site::new();
    let refusal = Answer::s3(400, "Bad Request", "InvalidRequest", WHY, "");
    let when = Match::method("PUT").when(unchecked);
    site.proxy.always(when, Fault::Status(refusal));
    site
}

#[test]
fn after_one_refusal_every_object_has_its_md5() {
    for options in [&[][..], &["-f"], &["--signature", "v2"]] {
        let (site, data) = (locked(), blocks(3));
        if options == ["-f"] {
            site.store(STREAM, b"older");
        }
        site.upload(&data).args(options).run().ok();
        site.assert_holds(STREAM, &data);
        let puts = site.seen("PUT", "");
        let refused = puts.iter().filter(|put| put.status == Some(400)).count();
        // Version 2 signs a Content-MD5 in any case.
        assert_eq!(refused, usize::from(!options.contains(&"v2")));
        // A record, four blocks, an index, the manifest.
        assert_eq!(puts.len() - refused, 7);
        for put in &puts[refused..] {
            assert_eq!(put.status, Some(200), "{put:?}");
            let md5 = put.header("content-md5").expect("a Content-MD5");
            let key = put.target.strip_prefix(&format!("/{BUCKET}/"));
            // The record is gone again.
            if let Ok(stored) = fs::read(site.server.object(key.expect("a key"))) {
                assert_eq!(md5, BASE64.encode(Md5::digest(stored)), "{put:?}");
            }
        }
    }
}

/// Who asks for a lock is not refused first: what asks has its MD5 at once, and
/// nothing else has.
#[test]
fn what_asks_for_a_lock_has_its_md5_at_once() {
    let (site, data) = (Site::new(), blocks(2));
    let locks = |seen: &Seen| seen.header("x-amz-object-lock-mode").is_some();
    let refusal = Answer::s3(400, "Bad Request", "InvalidRequest", WHY, "");
    let when = Match::method("PUT").when(move |seen| locks(seen) && unchecked(seen));
    site.proxy.always(when, Fault::Status(refusal));
    let run = site.upload(&data);
    let run = run.args(["-H", "X-Amz-Object-Lock-Mode: GOVERNANCE"]);
    run.run().ok();
    site.assert_holds(STREAM, &data);
    let puts = site.seen("PUT", "");
    // A record, three blocks, an index, the manifest.
    assert_eq!(puts.len(), 6);
    for put in &puts {
        let md5 = put.header("content-md5").is_some();
        assert!(
            md5 == locks(put) && md5 != put.target.contains("/upload/"),
            "{put:?}"
        );
    }
}

/// Where even a checksum does not help, one more attempt is made, not many.
#[test]
fn a_refusal_of_the_checksum_itself_is_final() {
    let site = Site::new();
    let refusal = Answer::s3(400, "Bad Request", "InvalidRequest", WHY, "");
    site.proxy
        .always(Match::method("PUT"), Fault::Status(refusal));
    let end = site.upload(&blocks(1)).run();
    end.fails(69, "400 InvalidRequest: Content-MD5 OR x-amz-checksum-");
    assert_eq!(site.seen("PUT", "").len(), 2);
    assert_eq!(site.server.objects(), Vec::<String>::new());
}
