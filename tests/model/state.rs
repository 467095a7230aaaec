//! A state of the model: what is stored, what is on its way, where each actor is
//! and what it remembers, and what was promised so far.

use crate::store::{Held, Id, Store, Text};
use crate::trace::Step;

/// How many actors there are at most.
pub const ACTORS: usize = 4;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// There is no such actor.
    Absent,
    /// 0.
    Done,
    /// Nothing was committed: 73 or 75.
    Refused,
    /// The producer failed before anything was stored.
    Abandoned,
    /// Committed, but not to be relied upon: 65 or 75.
    Doubtful,
    /// 69: it is not known what became of it.
    Unknown,
    /// 66: there is no such stream.
    Missing,
    /// A reader's 65.
    Damaged,
    /// A reader's or a delete's 75.
    Changed,
    /// Nothing was to be done, or it was not safe.
    Spared,
    /// By a signal, or a failure of power.
    Killed,
}

/// Where an actor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// Before this step.
    Step(Step),
    /// At its end.
    End(End),
}

/// An actor, and what it remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Actor {
    /// Where it is.
    pub at: At,
    /// The manifest seen first.
    pub seen: Text,
    /// The manifest seen last; before that, the nonce that was read.
    pub now: Text,
    /// The upload that it is about.
    pub id: Id,
    /// More, as bits.
    pub bits: u8,
}

/// Of an upload: its first block, and its second, need not be sent.
pub const SKIPS: u8 = 0b0011;
/// It was taken over.
pub const RESUMED: u8 = 0b0100;
/// Its exit status is 0.
pub const OK: u8 = 0b1000;
/// How often its manifest was sent, or deleted by a delete: two bits.
pub const TRY: u8 = 0b1_0000;
/// It saw its commit, and then that was taken away, as was asked for.
pub const EXCUSED: u8 = 0b100_0000;
/// Another manifest came after it had looked last.
pub const SINCE: u8 = 0b1000_0000;

/// Of a delete: it has removed a manifest.
pub const REMOVED: u8 = 0b0001;

/// Of a clean: the upload had something new when it was listed last.
pub const WAS_FRESH: u8 = 0b0001;

/// All of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// What is stored.
    pub store: Store,
    /// What is on its way.
    pub held: Option<Held>,
    /// How many answers may still be lost.
    pub faults: u8,
    /// Uploads in which something was stored since clean began, as bits; and, 32
    /// times that, since it took its limit.
    pub fresh: u16,
    /// The manifest that stood at the beginning, until it was taken away as was
    /// asked for.
    pub old: Text,
    /// Something was stored by who does not own the record any more.
    pub littered: bool,
    /// Who is there.
    pub actors: [Actor; ACTORS],
}

/// Something was stored in upload 0 just now.
pub const FRESH: u16 = 0b10_0001;

impl Actor {
    /// How often it was tried.
    pub fn tries(&self) -> u8 {
        (self.bits / TRY) & 0b11
    }
}

impl State {
    /// The actor goes on to this step.
    pub fn to(&mut self, i: usize, step: Step) {
        self.actors[i].at = At::Step(step);
    }

    /// The actor is at its end, and of what it remembered, only what promises
    /// are about is kept.
    pub fn end(&mut self, i: usize, end: End) {
        let actor = &mut self.actors[i];
        actor.at = At::End(end);
        actor.now = 0;
        actor.bits &= RESUMED | OK | EXCUSED;
    }

    /// Whether nothing can happen any more.
    pub fn is_over(&self) -> bool {
        self.held.is_none() && self.actors.iter().all(|a| matches!(a.at, At::End(_)))
    }

    /// Whether any of them ended so.
    pub fn any(&self, end: End) -> bool {
        self.actors.iter().any(|a| a.at == At::End(end))
    }

    /// Whether only one of them is there.
    pub fn is_alone(&self) -> bool {
        let absent = |a: &&Actor| a.at == At::End(End::Absent);
        self.actors.iter().filter(absent).count() == ACTORS - 1
    }

    /// A number that is nearly always another one for another state.
    pub fn hash(&self) -> u64 {
        let mut hash = 0u64;
        let mut mix = |bytes: [u8; 8]| {
            let word = u64::from_le_bytes(bytes);
            hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        };
        let store = &self.store;
        let (r, o, e) = (store.records, store.objects, store.ever);
        let [fresh, older] = self.fresh.to_le_bytes();
        mix([r[0], r[1], r[2], r[3], r[4], store.manifest, fresh, older]);
        mix([o[0], o[1], o[2], o[3], o[4], self.old, self.faults, 0]);
        mix([e[0], e[1], e[2], e[3], e[4], self.littered.into(), 0, 0]);
        for a in &self.actors {
            let at = match a.at {
                At::Step(step) => [0, step as u8],
                At::End(end) => [1, end as u8],
            };
            mix([at[0], at[1], a.seen, a.now, a.id, a.bits, 0, 0]);
        }
        if let Some(held) = self.held {
            mix(held.packed());
        }
        // The table goes by the lowest bits, and a product is best at the top.
        (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
    }
}
