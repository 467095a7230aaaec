//! The rules of the model: what can happen next.
//!
//! Each actor goes on by one request at a time, whoever's turn it is, so anybody
//! may stand still for as long as the others take. Where answers may be lost, any
//! request that changes something may lose its own, carried out or not, or be
//! carried out at any later time.

use crate::state::{ACTORS, Actor, At, EXCUSED, End, FRESH, REMOVED, RESUMED, SINCE, State};
use crate::store::{Data, Held, Id, NONE, RECORD, Request, Text, names, text};
use crate::trace::Step;

/// What an actor is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// There is none.
    Nobody,
    /// Upload this data, under this id if it is a new upload.
    Upload {
        id: Id,
        data: Data,
        how: How,
    },
    Delete,
    /// Clean, as it comes to this upload.
    Clean(Id),
    Read,
}

/// The options of an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Plain,
    Force,
    Resume,
    ForceResume,
    /// Plain, by a key that may not list: for a missing object it gets a 403.
    Blind,
    /// The same with -f.
    BlindForce,
}

impl How {
    pub fn is_forced(self) -> bool {
        matches!(self, How::Force | How::ForceResume | How::BlindForce)
    }

    pub fn resumes(self) -> bool {
        matches!(self, How::Resume | How::ForceResume)
    }

    pub fn is_blind(self) -> bool {
        matches!(self, How::Blind | How::BlindForce)
    }
}

/// The protocol as it is, or with one thing changed in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// As it is.
    Sound,
    /// Without this step: as if its answer had been the best one.
    Without(Step),
    /// The PUT of a new record is repeated under the same id.
    RecordAgain,
    /// The record is read before the last look at the manifest, not after it.
    RecordBeforeLook,
    /// Step 7 goes back to step 6, not to 4.
    BackToCommit,
    /// The PUT of the manifest is repeated by itself.
    CommitAgain,
    /// It has no condition.
    CommitAlways,
    /// The PUT of a record that is taken over has no condition.
    TakeOverAlways,
    /// Any upload is taken over, whatever the manifest names.
    TakeOverAny,
    /// One that is older than the committed one is taken over.
    TakeOverOlder,
    /// Holes in an upload that was resumed are only warned of.
    HolesAllowed,
    /// Strays are deleted where something is missing.
    StraysAnyway,
    /// What the manifest names is deleted as well, as by a comparison with a
    /// listing in another order.
    AnyIsStray,
    /// The record goes before the strays.
    RecordBeforeStrays,
    /// Delete removes the manifest before the record.
    ManifestBeforeRecord,
    /// The DELETE of a manifest is repeated by itself.
    DeleteAgain,
    /// Clean and tidying delete blocks before the record.
    BlocksBeforeRecord,
    /// Clean does not look at the manifest before it removes the record.
    NoLookBefore,
    /// Clean takes its limit after it has listed.
    LimitAfterList,
    /// A reader takes the same upload for the same manifest.
    ReadById,
}

/// Which requests without an answer may be carried out at any later time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Late {
    Never,
    /// All but the DELETE of a manifest.
    ButDelete,
    All,
}

/// Who is there, and what may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub variant: Variant,
    pub roles: [Role; ACTORS],
    /// The service honours conditions.
    pub conditions: bool,
    /// What may be carried out late.
    pub late: Late,
    /// Listings may show what was there once, and not show what is there.
    pub stale: bool,
    /// Who has begun to remove objects does so before anybody else goes on.
    pub brisk: bool,
    /// Anybody may be killed.
    pub killed: bool,
}

/// What became of a request, as its sender sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Done,
    Refused,
    Lost,
}

/// What happened between two states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A step, and what its actor heard.
    Step(Step, Answer),
    /// A step that was carried out unheard.
    Unheard(Step),
    /// A request was carried out late.
    Late(Request),
    Killed,
}

/// A following state, whose doing it is, and what that was.
pub type Next = (State, usize, Event);

/// The ways on of one actor from a state.
pub struct Moves<'a> {
    pub world: &'a World,
    pub s: &'a State,
    /// The actor.
    pub i: usize,
    /// What it is about to do.
    pub step: Step,
    out: &'a mut Vec<Next>,
}

impl Moves<'_> {
    /// The actor.
    pub fn me(&self) -> Actor {
        self.s.actors[self.i]
    }

    /// What is different.
    pub fn variant(&self) -> Variant {
        self.world.variant
    }

    /// Whether this step is left out.
    pub fn is_left_out(&self) -> bool {
        self.world.variant == Variant::Without(self.step)
    }

    /// A request that changes nothing.
    pub fn read(&mut self, then: impl FnOnce(&mut State, usize)) {
        let mut t = *self.s;
        then(&mut t, self.i);
        let event = Event::Step(self.step, Answer::Done);
        self.out.push((t, self.i, event));
    }

    /// A look at the manifest; `expected` is what is found if it is left out.
    pub fn look(&mut self, expected: Text, then: impl FnOnce(&mut State, usize, Text)) {
        let found = if self.is_left_out() {
            expected
        } else {
            self.s.store.manifest
        };
        self.read(|t, i| then(t, i, found));
    }

    /// A request that changes something. Where `then` sees it Lost, to stay at
    /// the step is to send it again.
    pub fn send(&mut self, request: Request, then: impl Fn(&mut State, usize, Answer)) {
        let (s, i, step, world) = (self.s, self.i, self.step, self.world);
        let mut push = |mut t: State, answer, event| {
            then(&mut t, i, answer);
            self.out.push((t, i, event));
        };
        if world.variant == Variant::Without(step) {
            push(*s, Answer::Done, Event::Step(step, Answer::Done));
            return;
        }
        let mut carried_out = *s;
        let answer = world.apply(&mut carried_out, i, request, false);
        push(carried_out, answer, Event::Step(step, answer));
        if s.faults == 0 {
            return;
        }
        carried_out.faults -= 1;
        push(carried_out, Answer::Lost, Event::Unheard(step));
        let mut t = *s;
        t.faults -= 1;
        let may_wait = match world.late {
            Late::Never => false,
            Late::ButDelete => request != Request::DeleteManifest,
            Late::All => true,
        };
        if may_wait && t.held.is_none() {
            let by = i as u8;
            t.held = Some(Held { by, request });
        }
        push(t, Answer::Lost, Event::Step(step, Answer::Lost));
    }
}

impl World {
    /// All states that can follow this one.
    pub fn next(&self, s: &State, out: &mut Vec<Next>) {
        if let Some(held) = s.held {
            let mut t = *s;
            t.held = None;
            let by = held.by as usize;
            self.apply(&mut t, by, held.request, true);
            out.push((t, by, Event::Late(held.request)));
        }
        let removes =
            |a: &Actor| matches!(a.at, At::Step(step) if crate::remove::is_underway(step));
        let first = s.actors.iter().position(|a| self.brisk && removes(a));
        for (i, role) in self.roles.into_iter().enumerate() {
            let At::Step(step) = s.actors[i].at else {
                continue;
            };
            if first.is_some_and(|first| first != i) {
                continue;
            }
            if self.killed {
                let mut t = *s;
                t.end(i, End::Killed);
                out.push((t, i, Event::Killed));
            }
            let moves = Moves {
                world: self,
                s,
                i,
                step,
                out,
            };
            match role {
                Role::Nobody => {}
                Role::Upload { data, how, .. } => crate::upload::step(moves, data, how),
                Role::Delete => crate::remove::delete(moves),
                Role::Clean(id) => crate::clean::step(moves, id),
                Role::Read => crate::read::step(moves),
            }
        }
    }

    /// Carry out a request of this actor, and keep the books of the promises.
    fn apply(&self, t: &mut State, by: usize, request: Request, late: bool) -> Answer {
        match request {
            Request::PutManifest(text, condition) => {
                let old = t.store.manifest;
                let always = self.variant == Variant::CommitAlways;
                if self.conditions && !always && old != condition {
                    return Answer::Refused;
                }
                if old != text {
                    // On a service that ignores conditions it may replace what
                    // its sender could not have seen.
                    let unseen = !self.conditions && !late && t.actors[by].bits & SINCE != 0;
                    if old == condition || unseen {
                        self.take_away(t, old);
                    }
                    self.note_commit(t);
                    t.store.manifest = text;
                }
            }
            Request::DeleteManifest => {
                let old = t.store.manifest;
                let actor = &mut t.actors[by];
                // Asked for is what it saw, or what came in its place before it
                // had taken anything; not what came after that.
                let asked = names(old) == names(actor.seen) || actor.bits & REMOVED == 0;
                if old != NONE {
                    actor.bits |= REMOVED;
                }
                if asked {
                    self.take_away(t, old);
                }
                t.store.manifest = NONE;
            }
            Request::PutRecord(id, nonce, condition) => {
                let record = &mut t.store.records[id as usize];
                let always = self.variant == Variant::TakeOverAlways || !self.conditions;
                if !always && condition.is_some_and(|old| old != *record) {
                    return Answer::Refused;
                }
                *record = nonce;
                t.store.ever[id as usize] |= RECORD;
                t.fresh |= FRESH << id;
            }
            Request::DeleteRecord(id) => t.store.records[id as usize] = 0,
            Request::Put(id, object) => {
                t.store.objects[id as usize] |= object;
                t.store.ever[id as usize] |= object;
                t.fresh |= FRESH << id;
                t.littered |= t.store.records[id as usize] != nonce(t, by);
            }
            Request::Delete(id, objects) => t.store.objects[id as usize] &= !objects,
        }
        Answer::Done
    }

    /// A manifest goes as was asked for: who saw it stand has nothing to promise
    /// any more.
    fn take_away(&self, t: &mut State, old: Text) {
        if t.old == old {
            t.old = NONE;
        }
        for (actor, role) in t.actors.iter_mut().zip(self.roles) {
            let Role::Upload { data, .. } = role else {
                continue;
            };
            let saw_it = match actor.at {
                At::Step(step) => step > Step::Committed && step <= Step::OwnRecord,
                At::End(end) => end == End::Done,
            };
            if saw_it && text(actor.id, data) == old {
                actor.bits |= EXCUSED;
            }
        }
    }

    /// There is another manifest than whoever looked last has seen. That counts
    /// only where nothing else tells them.
    fn note_commit(&self, t: &mut State) {
        for (actor, role) in t.actors.iter_mut().zip(self.roles) {
            if !self.conditions && matches!(role, Role::Upload { .. }) {
                actor.bits |= SINCE;
            }
        }
    }
}

/// The nonce that an upload writes: a new one's, or its own if it takes one over.
pub fn nonce(t: &State, i: usize) -> u8 {
    if t.actors[i].bits & RESUMED == 0 {
        1
    } else {
        2 + i as u8
    }
}

/// An actor that has not begun.
pub fn begin(role: Role) -> Actor {
    let (at, id) = match role {
        Role::Nobody => (At::End(End::Absent), 0),
        Role::Upload { id, .. } => (At::Step(Step::Look), id),
        Role::Delete => (At::Step(Step::DeleteLook), 0),
        Role::Clean(id) => (At::Step(Step::CleanLimit), id),
        Role::Read => (At::Step(Step::ReadManifest), 0),
    };
    Actor {
        at,
        id,
        seen: NONE,
        now: NONE,
        bits: 0,
    }
}
