//! A page of something on the way, in place of every answer once: it passes,
//! and the run goes on as if nothing had been.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Odd, blocks, page};
use crate::support::store::{Reply, Request};
use crate::support::{Run, assert_same};

/// Every request of its kind is answered by such a page the first time, truly
/// the second time, by a page the third time, and so on.
pub(super) fn every_other(status: u16) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let seen: Mutex<BTreeMap<String, usize>> = Mutex::default();
    move |request| {
        let key = request.key.as_deref().unwrap_or("");
        // The key of a record changes with each attempt.
        let key = key.rsplit_once("/upload/").map_or(key, |(kind, _)| kind);
        let prefix = request.parameter("prefix").unwrap_or("");
        let what = format!("{} {key} {prefix}", request.method);
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(what).or_default();
        *count += 1;
        match *count % 2 {
            1 => page(request, status),
            _ => Reply::truth(),
        }
    }
}

/// For every status, and alone as well as with workers.
fn for_a_while(mut test: impl FnMut(u16, &str)) {
    for status in [200, 302, 403, 404] {
        println!("{status}, alone");
        test(status, "1");
    }
    for status in [200, 403] {
        println!("{status}, with workers");
        test(status, "3");
    }
}

fn run(odd: &Odd, run: Run, status: u16, jobs: &str) -> Vec<u8> {
    let before = odd.store.requests().len();
    odd.store.hook(every_other(status));
    let outcome = run.option("-j", jobs).run().ok();
    let asked = odd.store.requests().len() - before;
    assert!(asked > 6, "{asked} requests");
    outcome.stdout
}

#[test]
fn an_upload_goes_on_after_pages() {
    for_a_while(|status, jobs| {
        let (odd, data) = (Odd::new(), blocks(3));
        run(&odd, odd.upload(&data), status, jobs);
        odd.holds(&data);
    });
}

#[test]
fn a_stream_is_replaced_after_pages() {
    for_a_while(|status, jobs| {
        let (odd, data) = (Odd::holding(&blocks(2)), blocks(3));
        run(&odd, odd.upload(&data).arg("-f"), status, jobs);
        odd.holds(&data);
        assert_eq!(odd.store.objects().len(), 6, "{:?}", odd.keys(""));
    });
}

#[test]
fn an_upload_is_resumed_after_pages() {
    for_a_while(|status, jobs| {
        let (odd, data) = (Odd::new(), blocks(3));
        odd.broken_off(&data);
        let stored = odd.keys("/block/");
        run(&odd, odd.upload(&data).arg("--resume"), status, jobs);
        assert_eq!(odd.keys("/block/"), stored);
        odd.holds(&data);
    });
}

#[test]
fn a_download_goes_on_after_pages() {
    for_a_while(|status, jobs| {
        let data = blocks(3);
        let odd = Odd::holding(&data);
        assert_same(&run(&odd, odd.run("download"), status, jobs), &data);
    });
}

#[test]
fn a_verify_goes_on_after_pages() {
    for_a_while(|status, jobs| {
        let odd = Odd::holding(&blocks(3));
        run(&odd, odd.run("verify"), status, jobs);
    });
}
