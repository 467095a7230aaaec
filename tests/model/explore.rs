//! All states that a few actors can reach, in the order of their distance from
//! the beginning: so what is broken is found on a shortest way.
//!
//! Every state is kept whole and compared whole; nothing is left out by chance.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::promises::{Promise, broken};
use crate::state::{ACTORS, At, End, State};
use crate::store::Store;
use crate::trace::Step;
use crate::world::{Answer, Event, Next, Variant, World, begin};

/// Some actors, how things stand when they begin, and what must hold.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub world: World,
    pub store: Store,
    /// How many answers may be lost.
    pub faults: u8,
    pub kept: &'static [Promise],
    /// How many states there were when this was written.
    pub states: usize,
}

/// What was found.
pub struct Found {
    pub states: usize,
    /// The promise that was broken, and how.
    pub broken: Option<(Promise, String)>,
    /// How each actor can end.
    pub ends: [Vec<End>; ACTORS],
    /// The steps that came after each other.
    pub edges: BTreeSet<(Step, Step)>,
}

/// The states that were seen, each with the number of that before it.
struct Seen {
    states: Vec<(State, u32)>,
    /// Their numbers, by hash.
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Seen {
    fn new() -> Seen {
        Seen {
            states: Vec::new(),
            table: vec![FREE; 1 << 12],
        }
    }

    /// Remember a state. False if it was there.
    fn add(&mut self, state: State, from: usize) -> bool {
        if self.states.len() * 2 > self.table.len() {
            self.grow();
        }
        let mask = self.table.len() - 1;
        let mut at = state.hash() as usize & mask;
        while self.table[at] != FREE {
            if self.states[self.table[at] as usize].0 == state {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.table[at] = self.states.len() as u32;
        self.states.push((state, from as u32));
        true
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        self.table = vec![FREE; mask + 1];
        for (n, (state, _)) in self.states.iter().enumerate() {
            let mut at = state.hash() as usize & mask;
            while self.table[at] != FREE {
                at = (at + 1) & mask;
            }
            self.table[at] = n as u32;
        }
    }

    /// The way to this state, from the beginning.
    fn path(&self, last: usize) -> Vec<State> {
        let mut path = Vec::new();
        let mut n = last;
        loop {
            let (state, from) = self.states[n];
            path.push(state);
            if n == 0 {
                break;
            }
            n = from as usize;
        }
        path.reverse();
        path
    }
}

impl Case {
    /// The same in a protocol that is changed so.
    pub fn with(&self, variant: Variant) -> Case {
        let mut case = self.clone();
        case.world.variant = variant;
        case
    }

    fn start(&self) -> State {
        State {
            store: self.store,
            held: None,
            faults: self.faults,
            fresh: 0,
            old: self.store.manifest,
            littered: false,
            actors: self.world.roles.map(begin),
        }
    }
}

/// Explore all of it, or until a promise is broken.
pub fn explore(case: &Case) -> Found {
    let mut seen = Seen::new();
    seen.add(case.start(), 0);
    let mut found = Found {
        states: 0,
        broken: None,
        ends: Default::default(),
        edges: BTreeSet::new(),
    };
    let mut next: Vec<Next> = Vec::new();
    let mut n = 0;
    while n < seen.states.len() && found.broken.is_none() {
        let state = seen.states[n].0;
        next.clear();
        case.world.next(&state, &mut next);
        for (after, by, _) in &next {
            note(&mut found, &state, after, *by);
            if !seen.add(*after, n) {
                continue;
            }
            if let Some(promise) = broken(&case.world, case.kept, after, *by) {
                let path = seen.path(seen.states.len() - 1);
                found.broken = Some((promise, tell(case, &path)));
                break;
            }
        }
        n += 1;
    }
    found.states = seen.states.len();
    found
}

/// Which way an actor went.
fn note(found: &mut Found, before: &State, after: &State, by: usize) {
    match (before.actors[by].at, after.actors[by].at) {
        (At::Step(from), At::Step(to)) if from != to => {
            found.edges.insert((from, to));
        }
        (At::Step(_), At::End(end)) if !found.ends[by].contains(&end) => found.ends[by].push(end),
        _ => {}
    }
}

/// What happened, a line a step.
fn tell(case: &Case, path: &[State]) -> String {
    let mut out = String::new();
    for pair in path.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let mut next = Vec::new();
        case.world.next(before, &mut next);
        let Some((_, by, event)) = next.iter().find(|(state, ..)| state == after) else {
            continue;
        };
        let what = match event {
            Event::Step(step, answer) => {
                let row = step.row();
                let heard = match answer {
                    Answer::Done => "",
                    Answer::Refused => ": refused",
                    Answer::Lost => ": lost",
                };
                format!("{} {step:?} ({}){heard}", row.number, row.requests[0])
            }
            Event::Unheard(step) => format!("{} {step:?}: done, but no answer", step.row().number),
            Event::Late(request) => format!("late: {request:?}"),
            Event::Killed => "killed".to_string(),
        };
        let Store {
            manifest,
            records: r,
            objects: o,
            ..
        } = after.store;
        let who = "ABCD".as_bytes()[*by] as char;
        let uploads: Vec<String> = (0..r.len())
            .map(|id| format!("{}:{:05b}", r[id], o[id]))
            .collect();
        let _ = writeln!(
            out,
            "{who} {what:48} manifest {manifest}, {}",
            uploads.join(" ")
        );
    }
    out
}
