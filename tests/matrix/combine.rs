//! Which combinations there are, and which of them are run.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::SystemTime;

use crate::answers::{classes, every_status};
use crate::class::Class;
use crate::requests::{Kind, What};
use crate::runs::{Combination, Odd, Site, Times};
use crate::say;
use crate::scenarios::{SCENARIOS, Scenario};
use crate::services::SERVICES;
use crate::support::random;
use crate::trace::is_path;

/// One of so many is in a sample.
const SAMPLE: usize = 60;

/// How many pairs `soak` takes at random.
const PAIRS: usize = 20_000;

/// How much is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A few, to see that it works.
    Sample,
    /// Every odd answer once, and for good to one request of each kind.
    Check,
    /// Two odd answers at random.
    Pairs,
    /// Everything.
    Soak,
}

impl Mode {
    /// What the environment asks for.
    pub fn wanted() -> Mode {
        match env::var("S3PIPE_MATRIX").as_deref() {
            Ok("check") => Mode::Check,
            Ok("soak") => Mode::Soak,
            Ok("pairs") => Mode::Pairs,
            Err(_) => Mode::Sample,
            Ok(other) => panic!("S3PIPE_MATRIX: not check, soak or pairs: {other}"),
        }
    }
}

/// The requests of each scenario, in the order in which they came.
pub type Traces = BTreeMap<&'static str, Vec<What>>;

/// Runs every scenario whose name this is true of, without an odd answer. Its
/// requests must be a path of the model of the protocol.
pub fn traces(site: &Site, wanted: impl Fn(&str) -> bool) -> Traces {
    let mut traces = Traces::new();
    for scenario in SCENARIOS.iter().filter(|scenario| wanted(scenario.name)) {
        let ran = site.run(&plain(scenario));
        let trace: Vec<What> = ran.requests.iter().map(What::of).collect();
        let lines: Vec<String> = trace.iter().map(What::line).collect();
        if let Err(why) = is_path(scenario.family, ran.outcome.status, &lines) {
            panic!("{}: no path of tests/model: {why}", scenario.name);
        }
        if env::var_os("S3PIPE_MATRIX_TRACES").is_some() {
            let words: Vec<String> = trace.iter().map(What::to_string).collect();
            say(&format!("{}: {}", scenario.name, words.join(" ")));
        }
        traces.insert(scenario.name, trace);
    }
    traces
}

/// A scenario, answered as it should be.
fn plain(scenario: &'static Scenario) -> Combination {
    Combination {
        scenario,
        odd: Vec::new(),
        service: None,
    }
}

/// All combinations of this mode.
pub fn combinations(traces: &Traces, mode: Mode) -> Vec<Combination> {
    let (classes, statuses) = (classes(), every_status());
    let traced = || SCENARIOS.iter().filter(|s| traces.contains_key(s.name));
    let mut all: Vec<Combination> = traced().map(plain).collect();
    for scenario in traced() {
        all.extend(SERVICES.iter().map(|service| Combination {
            service: Some(service),
            ..plain(scenario)
        }));
    }
    let mut kinds = BTreeSet::new();
    for place in places(traces) {
        let (scenario, what) = (place.scenario, place.what);
        let first = kinds.insert((scenario.family, what.method.clone(), what.kind));
        let fitting = classes.iter().filter(|class| (class.fits)(what));
        let mut add = |class: &Class, times| {
            all.push(Combination {
                odd: vec![place.odd(class, times)],
                ..plain(scenario)
            });
        };
        for class in fitting {
            add(class, Times::Once);
            if first || mode == Mode::Soak {
                add(class, Times::Always);
            }
            if mode == Mode::Soak {
                add(class, Times::Thrice);
            }
        }
        if mode == Mode::Soak {
            let fitting = statuses.iter().filter(|class| (class.fits)(what));
            fitting.for_each(|class| add(class, Times::Once));
        }
    }
    match mode {
        Mode::Sample => all.into_iter().step_by(SAMPLE).collect(),
        Mode::Check => all,
        Mode::Pairs => pairs(traces, &classes),
        Mode::Soak => {
            all.extend(pairs(traces, &classes));
            all
        }
    }
}

/// A request of a scenario.
#[derive(Clone, Copy)]
struct Place<'a> {
    scenario: &'static Scenario,
    what: &'a What,
    /// Which of those that are about the same.
    nth: usize,
    underway: bool,
}

impl Place<'_> {
    fn odd(&self, class: &Class, times: Times) -> Odd {
        Odd {
            what: self.what.clone(),
            nth: self.nth,
            class: *class,
            times,
            underway: self.underway,
        }
    }
}

/// Every request of every scenario.
fn places(traces: &Traces) -> Vec<Place<'_>> {
    let mut all = Vec::new();
    for scenario in SCENARIOS {
        let (mut counts, mut underway) = (BTreeMap::new(), false);
        let mut before: Option<&What> = None;
        for what in traces.get(scenario.name).into_iter().flatten() {
            let nth = counts.entry(what).or_insert(0);
            *nth += 1;
            // What verify lists in the end can be listed again.
            underway &= !(scenario.family == "verify" && what.kind.is_listing());
            // Workers may come to it before there was anything.
            let ordered = !scenario.name.ends_with("-3") && !scenario.args.contains(&"--quick");
            all.push(Place {
                scenario,
                what,
                nth: *nth,
                underway: underway && ordered,
            });
            // After a HEAD it only asks whether there is one.
            let asks = before.is_some_and(|w| w.method == "HEAD" && w.number == what.number);
            let moved = ["PUT", "GET"].contains(&what.method.as_str()) && !asks;
            underway |= moved && matches!(what.kind, Kind::Block | Kind::OldBlock);
            before = Some(what);
        }
    }
    all
}

/// Two odd answers in one run, both once or both for good, at random.
fn pairs(traces: &Traces, classes: &[Class]) -> Vec<Combination> {
    let seed = match env::var("S3PIPE_MATRIX_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_secs()),
    };
    say(&format!("S3PIPE_MATRIX_SEED={seed}"));
    let bytes = random(seed, PAIRS * 8 * 5);
    let mut words = bytes.chunks(8).map(|word| {
        let word: [u8; 8] = word.try_into().expect("eight bytes");
        usize::try_from(u64::from_le_bytes(word) >> 32).expect("32 bits")
    });
    let mut next = |most: usize| words.next().map(|word| word % most);
    let places = places(traces);
    let mut pairs = Vec::new();
    while let Some(first) = next(places.len()) {
        let first = places[first];
        let same: Vec<&Place> = places
            .iter()
            .filter(|place| place.scenario.name == first.scenario.name)
            .collect();
        let second = same[next(same.len()).unwrap_or(0)];
        // Lasting ones take long.
        let times = match next(8) {
            Some(0) => Times::Always,
            _ => Times::Once,
        };
        let mut pick = |place: &Place| {
            let fits = |class: &&Class| (class.fits)(place.what);
            let fitting: Vec<&Class> = classes.iter().filter(fits).collect();
            place.odd(fitting[next(fitting.len()).unwrap_or(0)], times)
        };
        pairs.push(Combination {
            odd: vec![pick(&first), pick(second)],
            ..plain(first.scenario)
        });
    }
    pairs
}
