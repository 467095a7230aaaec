//! What several processes say is one line after the other, each whole, however
//! slowly somebody reads it.

use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::thread::{self, JoinHandle};

use super::crew::Crew;
use super::with_jobs;
use crate::faults::site::{BLOCK, Site, on};
use crate::proxy::{Answer, Fault, Rule, Seen};
use crate::support::{Run, random};

/// A request as `-v` shows it: method, object, outcome.
type Line = (String, String, String);

/// `s3pipe: PUT test/KEY: 503 SlowDown: Please … (65536 bytes sent, 3 ms)`. The
/// keys of these tests have no space in them, nor a colon.
fn request(line: &str) -> Option<Line> {
    let rest = line.strip_prefix("s3pipe: ")?.strip_suffix(" ms)")?;
    let (rest, figures) = rest.rsplit_once(" (")?;
    let (sent, took) = figures.split_once(" bytes sent, ")?;
    let (method, rest) = rest.split_once(' ')?;
    let (object, outcome) = rest.split_once(": ")?;
    let known = ["GET", "HEAD", "PUT", "DELETE"].contains(&method);
    let numbers = sent.parse::<u64>().is_ok() && took.parse::<u64>().is_ok();
    let outcome = outcome.split(' ').next()?.split(':').next()?;
    let whole = !rest.contains("s3pipe: ") && object.starts_with("test");
    (known && numbers && whole).then(|| (method.into(), object.into(), outcome.into()))
}

/// `s3pipe: 1.2 MiB of 4 MiB (30%), 0:00:01, 640.0 KiB/s, 0:00:05 left, 3 retries`.
fn is_meter(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("s3pipe: ") else {
        return false;
    };
    let fields: Vec<&str> = rest.split(", ").collect();
    let ends = [" left", " retries", "1 retry"];
    let known = |field: &&str| ends.iter().any(|end| field.ends_with(end));
    match fields[..] {
        [_, time, rate, ref rest @ ..] => {
            time.starts_with("0:00:") && rate.ends_with("/s") && rest.iter().all(known)
        }
        _ => false,
    }
}

/// The same of what the proxy has seen.
fn seen(seen: &Seen) -> Line {
    let path = seen.target.split('?').next().expect("a path");
    let object = path.trim_matches('/').to_string();
    let status = seen.status.map_or("none".into(), |s| s.to_string());
    (seen.method.clone(), object, status)
}

/// Reads in odd little pieces, and slowly: it lets others go first.
fn read_slowly(mut reader: PipeReader) -> JoinHandle<String> {
    thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), [0; 97]);
        while let n @ 1.. = reader.read(&mut piece).expect("its stderr") {
            all.extend_from_slice(&piece[..n]);
            thread::yield_now();
        }
        String::from_utf8(all).expect("UTF-8")
    })
}

/// How many blocks there are: enough that their lines do not fit into a pipe.
const BLOCKS: usize = 400;

/// After how many it is read, so that s3pipe finds it full.
const UNREAD: usize = 250;

/// Runs it with a stderr that nobody reads until most blocks are through,
/// and holds its lines against the requests that there were.
fn hold_against(site: &Site, run: Run, method: &str) {
    let start = site.proxy.seen().len();
    let (reader, writer) = pipe().expect("a pipe");
    let crew = Crew::start(with_jobs(run, 8).arg("-v").stderr_to(writer));
    let through = |s: &&Seen| s.method == method && s.target.contains("/block/");
    site.proxy.wait_for(|seen| {
        let through = seen[start..].iter().filter(through);
        through.filter(|s| s.status.is_some()).count() >= UNREAD
    });
    let said = read_slowly(reader);
    // A line that is asked for comes between the others.
    crew.running.signal("USR1");
    assert_eq!(crew.end().status, 0);
    let said = said.join().expect("a reader");
    assert!(said.ends_with('\n'));
    let (mut lines, mut meters) = (Vec::new(), 0);
    for line in said.lines() {
        match request(line) {
            Some(line) => lines.push(line),
            None if is_meter(line) => meters += 1,
            None => assert!(
                line.starts_with("s3pipe: credentials: ") && line.matches("s3pipe: ").count() == 1,
                "{line}"
            ),
        }
    }
    let mut expected: Vec<Line> = site.proxy.seen()[start..].iter().map(seen).collect();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
    assert!(meters <= 1 && said.len() > 64 << 10, "{} bytes", said.len());
}

#[test]
fn lines_do_not_mix() {
    let (site, data) = (Site::new(), random(1, BLOCKS * BLOCK));
    for method in ["PUT", "GET"] {
        site.proxy.rule(Rule {
            when: on(method, "/block/").when(|seen| seen.n % 11 == 3),
            fault: Fault::Status(Answer::internal_error()),
            times: 20,
        });
    }
    hold_against(&site, site.upload(&data), "PUT");
    hold_against(&site, site.download(), "GET");
    hold_against(&site, site.run("verify"), "GET");
}

/// Bytes of a line of the meter, as far as it tells.
fn amount(line: &str) -> f64 {
    let mut words = line.strip_prefix("s3pipe: ").expect(line).split([' ', ',']);
    let number: f64 = words.next().and_then(|w| w.parse().ok()).expect(line);
    let unit = ["B", "KiB", "MiB"]
        .iter()
        .position(|unit| words.clone().next() == Some(unit))
        .expect(line);
    number * 1024f64.powi(unit as i32)
}

/// What several of them have moved is counted until their blocks are done, and
/// from then on as done: never twice, and never not at all.
#[test]
fn the_meter_does_not_run_backwards() {
    let data = random(3, 40 * BLOCK);
    for command in ["verify", "download", "upload"] {
        let site = Site::with(&data);
        let (reader, writer) = pipe().expect("a pipe");
        let run = with_jobs(site.run(command), 4).option("--limit-rate", "1M");
        let run = match command {
            "upload" => run.arg("-f").stdin(data.clone()),
            _ => run,
        };
        let crew = Crew::start(run.stderr_to(writer));
        site.proxy
            .wait_for(|seen| seen.iter().any(|s| s.target.contains("/block/")));
        let mut lines = BufReader::new(reader).lines();
        let mut shown = vec![0.0];
        loop {
            crew.running.signal("USR1");
            match lines.next() {
                Some(line) => shown.push(amount(&line.expect("UTF-8"))),
                None => break,
            }
        }
        assert_eq!(crew.end().status, 0);
        let back = shown.windows(2).find(|pair| pair[0] > pair[1]);
        assert_eq!(back, None, "{command}");
        // It was seen on its way, and did not overshoot.
        shown.dedup();
        assert!(shown.len() > 5, "{command}: {shown:?}");
        assert!(shown[shown.len() - 1] <= data.len() as f64);
    }
}
