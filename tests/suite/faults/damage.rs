//! Bytes that arrive other than they were sent: asked for again, and refused
//! (65) where they stay so. Not one of them may reach stdout.

use super::site::{BLOCK, STREAM, Site, blocks, download_survives, on, upload_survives};
use crate::proxy::{Fault, Match};
use crate::support::{assert_same, random};

/// This fault for the next GET of each class of object.
fn once_each(site: &Site, fault: &Fault) {
    for part in ["/manifest/", "/index/", "/block/"] {
        site.proxy.once(on("GET", part), fault.clone());
    }
}

#[test]
fn damaged_blocks_are_asked_for_again() {
    let last = BLOCK as u64 - 1;
    let faults = [
        Fault::Flip { at: 0 },
        Fault::Flip { at: last },
        Fault::WrongLength { delta: 10 },
        Fault::WrongLength { delta: -10 },
        Fault::Truncate { by: 10 },
        Fault::Truncate { by: u64::MAX },
    ];
    download_survives(&faults, "20s", true);
}

#[test]
fn damaged_requests_are_sent_again() {
    let last = BLOCK as u64 - 1;
    let faults = [0, 1000, last].map(|at| Fault::FlipRequest { at });
    upload_survives(&faults, "20s", true);
    for part in ["/upload/", "/index/", "/manifest/"] {
        let (site, data) = (Site::new(), blocks(1));
        site.proxy
            .once(on("PUT", part), Fault::FlipRequest { at: 50 });
        site.upload(&data).run().ok();
        assert!(site.seen("PUT", part).len() > 1, "{part}");
        site.assert_holds(STREAM, &data);
    }
}

/// The server never gets what was sent: it must not be committed.
#[test]
fn requests_that_are_always_damaged_are_given_up() {
    for part in ["/upload/", "/block/", "/index/", "/manifest/"] {
        let site = Site::new();
        site.proxy
            .always(on("PUT", part), Fault::FlipRequest { at: 3 });
        let run = site.upload(b"damaged").option("--retry", "2");
        run.run().fails(69, "gave up");
        site.assert_nothing_committed();
    }
}

/// Every object that a download reads, damaged once, in the same run.
#[test]
fn damaged_small_objects_are_asked_for_again() {
    let data = random(1, BLOCK);
    let site = Site::with(&data);
    for fault in [
        Fault::Flip { at: 0 },
        Fault::Flip { at: 20 },
        Fault::WrongLength { delta: 10 },
        Fault::WrongLength { delta: -10 },
        Fault::Truncate { by: 1 },
        Fault::Truncate { by: u64::MAX },
        Fault::DropResponse { after: 0 },
        Fault::DropResponse { after: 30 },
        Fault::LoseAnswer,
    ] {
        site.proxy.clear();
        once_each(&site, &fault);
        let (before, heads) = (site.proxy.seen().len(), site.seen("HEAD", "").len());
        assert_same(&site.download().run().ok().stdout, &data);
        // Each once more; and a HEAD where the length may say whose fault it is.
        let heads = site.seen("HEAD", "").len() - heads;
        let requests = site.proxy.seen().len() - before - heads;
        assert!(requests == 6 && heads <= 3, "{fault:?}");
    }
    site.proxy.clear();
    once_each(&site, &Fault::Chunked);
    let before = site.proxy.seen().len();
    assert_same(&site.download().run().ok().stdout, &data);
    assert_eq!(site.proxy.seen().len() - before, 3);
}

/// The same for what an upload reads.
#[test]
fn an_upload_is_not_misled_by_damage() {
    for fault in [
        Fault::Flip { at: 20 },
        Fault::WrongLength { delta: -10 },
        Fault::Truncate { by: 1 },
        Fault::DropResponse { after: 30 },
        Fault::Chunked,
    ] {
        let (site, data) = (Site::new(), blocks(1));
        for nth in [1, 2, 3] {
            let when = on("GET", "/upload/").nth(nth * 2 - 1);
            site.proxy.once(when, fault.clone());
        }
        for nth in [1, 2] {
            let when = on("GET", "/manifest/").nth(nth);
            site.proxy.once(when, fault.clone());
        }
        site.upload(&data).run().ok();
        site.assert_holds(STREAM, &data);
        assert_eq!(site.count("/upload/"), 0, "{fault:?}");
    }
}

#[test]
fn a_block_that_stays_damaged_ends_the_download() {
    let data = blocks(3);
    // HEAD shows the right length: where another comes, the store is not at fault.
    for (block, fault, status) in [
        (0, Fault::Flip { at: 0 }, 65),
        (2, Fault::Flip { at: 12_345 }, 65),
        (1, Fault::WrongLength { delta: 10 }, 69),
        (1, Fault::WrongLength { delta: -10 }, 69),
        (2, Fault::Truncate { by: 10 }, 69),
    ] {
        let site = Site::with(&data);
        let number = format!("/{block:010}.");
        let when = on("GET", "/block/").target(&number);
        site.proxy.always(when, fault);
        let end = site.hasty("download").run();
        let far = format!("{} bytes were written", block * BLOCK);
        let end = end.fails(status, &far);
        assert_same(&end.stdout, &data[..block * BLOCK]);
        let seen = site.seen("GET", &number);
        let asked = seen.iter().filter(|s| s.target.contains("/block/"));
        assert!(asked.count() >= 3);
    }
}

#[test]
fn an_index_that_stays_damaged_ends_the_download() {
    let site = Site::with(&blocks(3));
    for at in [0, 9, 10, 11, 15, 17, 80, 81, 82, 300] {
        site.proxy.clear();
        site.proxy.always(on("GET", "/index/"), Fault::Flip { at });
        let end = site.hasty("download").run().fails(65, "wrong SHA-256");
        assert_eq!(end.stdout.len(), 0);
    }
}

/// Bit for bit through the manifest: what is accepted at all must be right.
#[test]
fn a_manifest_that_stays_damaged_gives_no_wrong_data() {
    let data = blocks(1);
    let site = Site::with(&data);
    let length = site.run("info").arg("--raw").run().ok().stdout.len() as u64;
    let mut refused = 0;
    for at in (0..length).step_by(19) {
        site.proxy.clear();
        site.proxy
            .always(on("GET", "/manifest/"), Fault::Flip { at });
        let end = site.hasty("download").run();
        match end.status {
            // The time of creation, which nothing vouches for.
            0 => assert_same(&end.ok().stdout, &data),
            _ => {
                let end = end.fails(65, "");
                assert_eq!(end.stdout.len(), 0);
                refused += 1;
            }
        }
    }
    assert!(refused > 10, "only {refused}");
}

/// Listings have no checksum, but a shape.
#[test]
fn a_listing_cut_short_is_asked_for_again() {
    let site = Site::new();
    site.store("a", b"data");
    site.store("b", b"data");
    for fault in [
        Fault::Truncate { by: 100 },
        Fault::DropResponse { after: 100 },
        Fault::WrongLength { delta: -1 },
    ] {
        site.proxy.clear();
        site.proxy.once(Match::any(), fault);
        let run = site.run("list").without("-s").run().ok();
        assert_eq!(run.text(), "a\nb\n");
        site.proxy.always(Match::any(), Fault::Truncate { by: 100 });
        let run = site.hasty("list").without("-s").run();
        assert_eq!(run.fails(69, "a listing").stdout.len(), 0);
    }
}
