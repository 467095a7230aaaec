//! The combinations, and how one of them is run.

use std::collections::BTreeMap;
use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::class::{Asked, Class};
use crate::oracle::{Case, judge};
use crate::requests::{NAME, What};
use crate::scenarios::{NEW, SCENARIOS, Scenario, World};
use crate::services::Service;
use crate::support::store::{Reply, Request, Settings, Store};
use crate::support::{Outcome, Run, Scratch, built};

/// A run that takes longer has no end.
const ENDLESS: Duration = Duration::from_secs(60);

/// How often a request is answered oddly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Once.
    Once,
    /// Three times, one after the other.
    Thrice,
    /// From then on.
    Always,
}

/// An odd answer to a request.
#[derive(Clone)]
pub struct Odd {
    /// The request.
    pub what: What,
    /// Which of the requests that are about this, from 1.
    pub nth: usize,
    /// The answer.
    pub class: Class,
    /// How often.
    pub times: Times,
    /// Something was stored or written before, and would be lost.
    pub underway: bool,
}

/// One command, and how it is answered.
#[derive(Clone)]
pub struct Combination {
    /// The command.
    pub scenario: &'static Scenario,
    /// The odd answers: one, or, at random, two.
    pub odd: Vec<Odd>,
    /// A service of another kind.
    pub service: Option<&'static Service>,
}

impl Combination {
    /// Whether most of it is waiting: for an answer, or for patience to end.
    pub fn waits(&self) -> bool {
        let waits = |odd: &Odd| odd.class.silent || odd.times == Times::Always;
        self.odd.iter().any(waits)
    }
}

/// `upload/PUT-block-1#1/page-200/once`: how it is asked for again.
impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scenario.name)?;
        for odd in &self.odd {
            let times = format!("{:?}", odd.times).to_lowercase();
            write!(f, "/{}#{}/{}/{times}", odd.what, odd.nth, odd.class.name)?;
        }
        if let Some(service) = self.service {
            write!(f, "/service/{}", service.name)?;
        }
        Ok(())
    }
}

/// What all runs share.
pub struct Site {
    scratch: Scratch,
    binary: PathBuf,
    input: PathBuf,
    trap: String,
    sprung: Arc<AtomicUsize>,
    /// What the scenarios begin with, by their names.
    worlds: BTreeMap<&'static str, World>,
}

/// What became of a run.
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// What the oracle says.
    pub found: Result<(), String>,
    /// Its requests.
    pub requests: Vec<Request>,
    /// How long it took.
    pub took: Duration,
}

impl Site {
    /// With this build of the program.
    pub fn new(binary: PathBuf) -> Site {
        let scratch = Scratch::new();
        let input = scratch.file("input", &*NEW);
        let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/test/k", trap.local_addr().expect("an address"));
        let sprung = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sprung);
        thread::spawn(move || {
            for _ in trap.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Site {
            scratch,
            binary,
            input,
            trap: url,
            sprung,
            worlds: SCENARIOS.iter().map(|s| (s.name, (s.world)())).collect(),
        }
    }

    /// Runs a command, answered so.
    pub fn run(&self, combination: &Combination) -> Ran {
        let store = stocked(combination, &self.worlds[combination.scenario.name]);
        let asked: Arc<Vec<Counter>> = Arc::new(combination.odd.iter().map(Counter::new).collect());
        let (counters, trap) = (Arc::clone(&asked), self.trap.clone());
        store.hook(move |request| {
            let what = What::of(request);
            let mut replies = counters
                .iter()
                .filter_map(|c| c.reply(&what, request, &trap));
            replies.next().unwrap_or_else(Reply::truth)
        });
        let (before, began) = (store.objects(), Instant::now());
        let running = self.command(&store, combination).spawn();
        let (outcome, hung) = running.wait_or_kill(ENDLESS);
        let took = began.elapsed();
        store.settle();
        let mut found = judge(&Case {
            combination,
            before: &before,
            after: &store.objects(),
            bucket: store.has_bucket(),
            outcome: &outcome,
            hung,
        });
        // Of two at random, the first may keep the second from coming.
        if combination.odd.len() == 1 && asked.iter().any(|c| c.given() == 0) {
            found = Err("its request never came".into());
        }
        if self.sprung.load(Ordering::Relaxed) > 0 {
            found = Err("another host was asked".into());
        }
        Ran {
            found,
            requests: store.requests(),
            outcome,
            took,
        }
    }

    fn command(&self, store: &Store, combination: &Combination) -> Run {
        let (odd, scenario) = (&combination.odd, combination.scenario);
        let silent = odd.iter().any(|odd| odd.class.silent);
        let lasts = odd.iter().any(|odd| odd.times == Times::Always);
        let mut run = store
            .point(built(&self.binary, self.scratch.path()))
            .env("S3PIPE_INDEX_BLOCKS", "2")
            .option("--patience", if lasts { "2s" } else { "20s" })
            .option("--timeout", if silent { "1s" } else { "5s" });
        if !["list", "clean", "createbucket", "deletebucket"].contains(&scenario.family) {
            run = run.option("-s", NAME);
        }
        if scenario.family == "upload" {
            run = run.stdin_from(fs::File::open(&self.input).expect("the input"));
        }
        run.args(scenario.args)
    }
}

/// A store with all that the scenario wants.
fn stocked(combination: &Combination, world: &World) -> Store {
    let mut settings = Settings {
        page: combination.scenario.page,
        narrow: combination.odd.iter().any(|odd| odd.class.narrow),
        ..Settings::default()
    };
    if let Some(service) = combination.service {
        (service.change)(&mut settings);
    }
    let store = Store::start_with(settings, &world.yesterday);
    for (key, object) in &world.now {
        if world.yesterday.get(key) != Some(object) {
            store.put(key, object.clone());
        }
    }
    for key in world.yesterday.keys() {
        if !world.now.contains_key(key) {
            store.remove(key);
        }
    }
    store.set_bucket(!world.no_bucket);
    store
}

/// Counts the requests that an odd answer is for, and the answers.
struct Counter {
    odd: Odd,
    counts: Mutex<(usize, usize)>,
}

impl Counter {
    fn new(odd: &Odd) -> Counter {
        Counter {
            odd: odd.clone(),
            counts: Mutex::default(),
        }
    }

    fn given(&self) -> usize {
        self.counts.lock().expect("counts").1
    }

    fn reply(&self, what: &What, request: &Request, trap: &str) -> Option<Reply> {
        let Odd {
            class, nth, times, ..
        } = &self.odd;
        if *what != self.odd.what {
            return None;
        }
        let most = match times {
            Times::Once => class.length,
            Times::Thrice => 3 * class.length,
            Times::Always => usize::MAX,
        };
        let mut counts = self.counts.lock().expect("counts");
        counts.0 += 1;
        if counts.0 < *nth || counts.1 >= most {
            return None;
        }
        counts.1 += 1;
        let times = counts.1 - 1;
        Some((class.reply)(&Asked {
            request,
            class,
            times,
            trap,
        }))
    }
}
