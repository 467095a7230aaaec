//! Temporary keys that expire in the middle of a stream: asked for anew before
//! they do, and not mourned while they hold.

use std::fs;

use super::private;
use crate::faults::site::{BLOCK, STREAM, Site, on};
use crate::proxy::Fault;
use crate::support::{BUCKET, Run, random, s3pipe_alone};

/// A profile whose program gives a key that holds for twelve seconds, with a
/// token that says the how manieth it is; from the second time on it does what
/// `then` says first.
fn fleeting(site: &Site, then: &str) -> Run {
    let (id, key) = (&site.server.id, &site.server.key);
    let count = site.scratch.path().join("count");
    let script = format!(
        r#"echo x >>'{count}'
n=$(grep -c x '{count}')
[ "$n" = 1 ] || {{ {then}; }}
end=$(date -u -d '+12 seconds' +%FT%TZ 2>/dev/null || date -u -v+12S +%FT%TZ)
echo '{{"Version":1,"AccessKeyId":"{id}","SecretAccessKey":"{key}",'
echo '"SessionToken":"token-'$n'","Expiration":"'$end'"}}'
"#,
        count = count.display()
    );
    let home = &site.server.home;
    let script = private(home.join("script"), &script);
    let config = format!("[default]\ncredential_process = sh '{script}'\n");
    private(home.join(".aws/config"), config);
    s3pipe_alone(home)
        .option("--endpoint", &site.proxy.url())
        .option("-b", BUCKET)
        .option("-s", STREAM)
        .option("--blocksize", "64K")
        .option("--size", &DATA.to_string())
        .args(["upload", "-v"])
}

const DATA: usize = 400 * BLOCK;

/// Feeds blocks, each of which takes a tenth of a second to be stored, until a
/// request was signed with a key that has this token or a later one.
fn feed_until(site: &Site, run: Run, last: usize) -> String {
    let wait = std::time::Duration::from_millis(100);
    site.proxy.always(on("PUT", "/block/"), Fault::Delay(wait));
    let data = random(9, DATA);
    let mut running = run.stdin_open().spawn();
    let renewed = |s: &crate::proxy::Seen| {
        let token = s.header("x-amz-security-token").unwrap_or_default();
        let n = token.strip_prefix("token-").and_then(|n| n.parse().ok());
        n.is_some_and(|n: usize| n >= last)
    };
    let (mut blocks, mut seen) = (data.chunks(BLOCK), false);
    for n in 1.. {
        let Some(block) = blocks.next() else { break };
        running.feed(block);
        if !seen {
            site.wait_for("PUT", "/block/", n);
            seen = site.proxy.seen().iter().any(renewed);
        }
        if seen {
            site.proxy.clear();
        }
    }
    running.feed_end();
    let end = running.wait();
    assert!(seen, "never signed with token-{last}");
    assert_eq!(end.status, 0, "{end}");
    site.assert_holds(STREAM, &data);
    end.stderr
}

#[test]
fn they_are_renewed_before_they_expire() {
    for jobs in ["1", "3"] {
        let site = Site::new();
        let run = fleeting(&site, ":").option("-j", jobs);
        feed_until(&site, run, 2);
        let asked = fs::read_to_string(site.scratch.path().join("count")).unwrap();
        assert!((2..5).contains(&asked.lines().count()), "{jobs}: {asked}");
    }
}

#[test]
fn a_failure_to_renew_them_is_tried_again() {
    let site = Site::new();
    let run = fleeting(&site, "[ $n != 2 ] || exit 9").option("-j", "3");
    let said = feed_until(&site, run, 3);
    assert!(said.contains("not refreshed: "), "{said}");
    assert!(said.contains("exit status 9"), "{said}");
}
