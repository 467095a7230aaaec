//! All faults at once, at random, on uploads, replacements and downloads: a
//! stream comes back bit for bit, or the exit status says why not.
//!
//! `S3PIPE_SEED` is the seed of the first round (by default always the same)
//! and `S3PIPE_ROUNDS` how many there are; a failure names its round's seed.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use std::{env, thread};

use crate::proxy::{Answer, Fault, Proxy};
use crate::support::{Outcome, Run, Scratch, Server, random, s3pipe};

/// Rounds at the same time: they mostly wait.
const LANES: usize = 4;

/// What became of the runs of one class.
#[derive(Clone, Copy, Default)]
struct Tally {
    tried: u32,
    survived: u32,
    refused: u32,
    wrong: u32,
}

const CLASSES: [&str; 3] = ["upload", "replace", "download"];

/// A number from the environment.
pub fn setting<T: FromStr + Display>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(text) => text.parse().ok().expect("a number"),
        Err(_) => default,
    }
}

/// Does this with each of so many seeds, from the first on, some at a time.
pub fn rounds(lanes: usize, first: u64, count: u64, work: impl Fn(u64) + Sync) {
    let next = Mutex::new(first..first.wrapping_add(count));
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let Some(seed) = next.lock().unwrap().next() else {
                        return;
                    };
                    work(seed);
                }
            });
        }
    });
}

#[test]
fn whatever_happens_nothing_is_wrong() {
    campaign("embedded", None, LANES, setting("S3PIPE_ROUNDS", 12));
}

/// Other people's servers fail in other ways; a third of the rounds each.
#[test]
fn whatever_happens_on_other_servers() {
    let rounds = setting("S3PIPE_ROUNDS", 12u64).div_ceil(3);
    for (name, server) in [("swift", Server::swift()), ("rclone", Server::rclone())] {
        if let Some(server) = server {
            campaign(name, Some(server), 2, rounds);
        }
    }
}

/// So many rounds, on this server or on a fresh one each, and a line a class.
fn campaign(name: &str, server: Option<&'static Server>, lanes: usize, rounds: u64) {
    let first: u64 = setting("S3PIPE_SEED", 2007);
    let tallies = Mutex::new([Tally::default(); 3]);
    let wrongs = Mutex::new(Vec::new());
    self::rounds(lanes, first, rounds, |seed| {
        let ends = match server {
            Some(server) => round(seed, server, name != "rclone"),
            None => round(seed, &Server::embedded(&Scratch::new()), true),
        };
        for (tally, end) in tallies.lock().unwrap().iter_mut().zip(ends) {
            count(tally, end, seed, &wrongs);
        }
    });
    let mut few = false;
    for (class, tally) in CLASSES.iter().zip(tallies.into_inner().unwrap()) {
        let Tally {
            tried,
            survived,
            refused,
            wrong,
        } = tally;
        println!(
            "storm from seed {first} on {name}: {class}: tried {tried}, survived {survived}, \
             refused {refused}, wrong {wrong}"
        );
        few |= survived * 2 < tried;
    }
    let wrongs = wrongs.into_inner().unwrap();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
    assert!(!few, "too few survived: see above");
}

/// How a run ended: true for success, false for an error that was true.
type End = Result<bool, String>;

fn count(tally: &mut Tally, end: End, seed: u64, wrongs: &Mutex<Vec<String>>) {
    tally.tried += 1;
    match end {
        Ok(true) => tally.survived += 1,
        Ok(false) => tally.refused += 1,
        Err(why) => {
            tally.wrong += 1;
            let why = format!("S3PIPE_SEED={seed} S3PIPE_ROUNDS=1: {why}");
            wrongs.lock().unwrap().push(why);
        }
    }
}

/// A server behind a stormy proxy, and a stream of which it knows nothing yet.
struct Scene<'a> {
    server: &'a Server,
    proxy: Proxy,
    prefix: String,
    block: usize,
}

impl Scene<'_> {
    fn direct(&self, command: &str) -> Run {
        let run = s3pipe(self.server).option("-s", "export");
        run.option("--prefix", &self.prefix).arg(command)
    }

    fn stormy(&self, command: &str) -> Run {
        self.direct(command)
            .option("--endpoint", &self.proxy.url())
            .option("--patience", "60s")
            .option("--timeout", "1s")
    }

    fn upload(&self, data: &[u8]) -> Run {
        let size = (self.block >> 10).to_string();
        let run = self.stormy("upload").option("--blocksize", &size);
        run.stdin(data)
    }

    /// The stream as it is now, seen directly; None if there is none.
    fn stored(&self) -> Option<Vec<u8>> {
        let end = self.direct("download").run();
        match end.status {
            0 => Some(end.ok().stdout),
            66 => None,
            _ => panic!("a stored stream cannot be read: {end}"),
        }
    }
}

/// A new stream, another in its place, and back again. A server that checks no
/// body against its signed hash, as rclone does not, stores what arrives and
/// says that all is well: there no request is damaged.
fn round(seed: u64, server: &Server, checks_bodies: bool) -> [End; 3] {
    let scene = Scene {
        server,
        proxy: Proxy::start(server.addr()),
        prefix: format!("storm-{}-{seed}/", std::process::id()),
        block: [64 << 10, 96 << 10, 256 << 10][(seed % 3) as usize],
    };
    let length = |n: u64| (1 << 20) + (seed.wrapping_mul(7919 + n) % (2 << 20)) as usize;
    let (one, two) = (random(seed, length(0)), random(!seed, length(1)));
    let mut faults = faults(seed);
    faults.retain(|fault| checks_bodies || !matches!(fault, Fault::FlipRequest { .. }));
    scene.proxy.storm(seed, 10 + seed % 21, faults);
    let end = scene.upload(&one).run();
    let upload = check_upload(&scene, &end, &one, None);
    // What the next two need, if the storm has kept it away.
    if scene.stored().is_none_or(|data| data != one) {
        let run = scene.direct("upload").arg("-f");
        run.stdin(&one[..]).run().ok();
    }
    let end = scene.upload(&two).arg("-f").run();
    let replace = check_upload(&scene, &end, &two, Some(&one));
    let data = scene.stored().unwrap_or_default();
    let end = scene.stormy("download").run();
    let download = check_download(&end, &data);
    [upload, replace, download]
}

fn one_line(end: &Outcome) -> bool {
    let line = end.stderr.starts_with("s3pipe: ") && end.stderr.lines().count() == 1;
    line && !end.stderr.contains("panicked")
}

fn check_upload(scene: &Scene, end: &Outcome, data: &[u8], old: Option<&[u8]>) -> End {
    let now = scene.stored();
    let (new, unchanged) = (now.as_deref() == Some(data), now.as_deref() == old);
    let either = end.stderr.contains("commit unknown") || end.stderr.contains("s3pipe verify");
    match end.status {
        // A line of what was left behind may stand on stderr.
        0 if new && (end.stderr.is_empty() || one_line(end)) => Ok(true),
        69 | 75 | 77 | 78 if one_line(end) && (unchanged || (new && either)) => Ok(false),
        _ => Err(format!("upload: new {new}, unchanged {unchanged}: {end}")),
    }
}

fn check_download(end: &Outcome, data: &[u8]) -> End {
    let whole = end.stdout == data;
    let prefix = data.starts_with(&end.stdout) && end.stdout.len().is_multiple_of(32 << 10);
    match end.status {
        0 if whole && end.stderr.is_empty() => Ok(true),
        65 | 69 | 77 | 78 if one_line(end) && prefix => Ok(false),
        _ => Err(format!("download: whole {whole}, prefix {prefix}: {end}")),
    }
}

/// All there is, at offsets that differ from seed to seed.
fn faults(seed: u64) -> Vec<Fault> {
    let after = seed.wrapping_mul(104_729) % (64 << 10);
    let at = after / 2;
    let error = |forward| Fault::ErrorIn200 {
        code: "InternalError".into(),
        forward,
    };
    let region = |name: &str| Fault::WrongRegion {
        region: name.into(),
    };
    let close = Answer::slow_down().header("Connection", "close");
    vec![
        Fault::Status(Answer::slow_down()),
        Fault::Status(Answer::unavailable(1)),
        Fault::Status(Answer::internal_error()),
        Fault::Status(Answer::too_many_requests(0)),
        Fault::Status(Answer::access_denied()),
        Fault::Status(Answer::new(502, "Bad Gateway").body("<html>")),
        Fault::Replace(Answer::internal_error()),
        Fault::EarlyStatus(close.clone()),
        Fault::EarlyStatusDrain(close),
        Fault::RefuseFor(2),
        Fault::DropRequest { after },
        Fault::DropResponse { after },
        Fault::DropResponse { after: 100 },
        Fault::LoseAnswer,
        Fault::LoseAnswer,
        Fault::Stall { after },
        Fault::StallRequest,
        Fault::Flip { at },
        Fault::Flip { at: 21 },
        Fault::FlipRequest { at: 42 },
        Fault::FlipRequest { at },
        Fault::WrongLength { delta: 7 },
        Fault::WrongLength { delta: -7 },
        Fault::Truncate { by: 9 },
        Fault::Redirect {
            code: 307,
            region: "eu-west-3".into(),
            endpoint: "127.0.0.1:9".into(),
        },
        region("us-east-1"),
        region("eu-west-3"),
        Fault::Date { seconds: 3600 },
        Fault::Skewed {
            server_date: SystemTime::now() + Duration::from_secs(500),
        },
        error(true),
        error(false),
        Fault::Delay(Duration::from_millis(50)),
        Fault::CloseIdle,
        Fault::CloseNext,
        Fault::Chunked,
    ]
}
