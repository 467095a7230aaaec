//! An upload, step by step, up to its commit.

use crate::state::{EXCUSED, End, RESUMED, SINCE, State, TRY};
use crate::store::{Data, FIRST, Id, NONE, Request, Text, UNKNOWN, index, names, second, text};
use crate::trace::Step;
use crate::world::{Answer, How, Moves, Variant, nonce};

/// How often a manifest is sent before the upload gives up. In truth it is eight
/// times, but what is there twice is there eight times.
const TRIES: u8 = 2;

/// Added to the id of a new upload whose record was not seen: another id.
const ANOTHER: Id = 2;

/// What an upload has to do.
pub struct Plan {
    pub id: Id,
    pub data: Data,
    pub how: How,
    /// The nonce of its record.
    pub nonce: u8,
    /// Its manifest.
    pub text: Text,
}

pub fn step(mut m: Moves, data: Data, how: How) {
    let id = m.me().id;
    let plan = Plan {
        id,
        data,
        how,
        nonce: nonce(m.s, m.i),
        text: text(id, data),
    };
    match m.step {
        Step::Look => look(&mut m, &plan),
        Step::Record | Step::RecordSeen => record(&mut m, &plan),
        Step::First | Step::Second | Step::Index => store(&mut m, &plan),
        Step::LookLast => look_last(&mut m, &plan),
        Step::Own => {
            let next = match m.variant() {
                Variant::RecordBeforeLook => Step::LookLast,
                _ => Step::Commit,
            };
            own(&mut m, &plan, next, End::Refused);
        }
        Step::Commit => commit(&mut m, &plan),
        Step::Committed => committed(&mut m, &plan),
        Step::AbandonLook => own(&mut m, &plan, Step::AbandonRecord, End::Abandoned),
        Step::AbandonRecord => m.send(Request::DeleteRecord(id), |t, i, answer| {
            if answer != Answer::Lost {
                t.end(i, End::Abandoned);
            }
        }),
        step if step < Step::First => crate::resume::step(m, &plan),
        _ => crate::tidy::step(m, &plan),
    }
}

/// What this upload sees where this manifest stands.
fn sees(plan: &Plan, manifest: Text) -> Text {
    if manifest == NONE && plan.how.is_blind() {
        UNKNOWN
    } else {
        manifest
    }
}

fn look(m: &mut Moves, plan: &Plan) {
    m.look(NONE, |t, i, found| {
        let found = sees(plan, found);
        t.actors[i].seen = found;
        match names(found) {
            Some(_) if !plan.how.is_forced() => t.end(i, End::Refused),
            _ if plan.how.resumes() => t.to(i, Step::FindRecord),
            _ => t.to(i, Step::Record),
        }
    });
}

fn record(m: &mut Moves, plan: &Plan) {
    if m.step == Step::Record {
        let again = m.variant() == Variant::RecordAgain;
        m.send(Request::PutRecord(plan.id, 1, None), |t, i, answer| {
            if answer != Answer::Lost || !again {
                t.to(i, Step::RecordSeen);
            }
        });
        return;
    }
    let ours = m.is_left_out() || m.s.store.records[plan.id as usize] == 1;
    m.read(|t, i| {
        if ours {
            t.to(i, Step::First);
        } else if plan.id > ANOTHER {
            t.end(i, End::Refused);
        } else {
            anew(t, i, plan.id + ANOTHER);
        }
    });
}

/// Begin a new upload.
pub fn anew(t: &mut State, i: usize, id: Id) {
    let actor = &mut t.actors[i];
    (actor.id, actor.now) = (id, NONE);
    t.to(i, Step::Record);
}

/// The record must be ours.
pub fn own(m: &mut Moves, plan: &Plan, then: Step, or: End) {
    let ours = m.is_left_out() || m.s.store.records[plan.id as usize] == plan.nonce;
    m.read(|t, i| {
        if ours {
            t.to(i, then);
        } else {
            t.end(i, or);
        }
    });
}

/// A block or index, unless it is there already.
fn store(m: &mut Moves, plan: &Plan) {
    let (object, skip, next) = match m.step {
        Step::First => (FIRST, 0b01, Step::Second),
        Step::Second => (second(plan.data), 0b10, Step::Index),
        _ => match m.variant() {
            Variant::RecordBeforeLook => (index(plan.data), 0, Step::Own),
            _ => (index(plan.data), 0, Step::LookLast),
        },
    };
    if m.step == Step::First && m.me().bits & RESUMED == 0 {
        // The producer may fail before anything is stored.
        m.read(|t, i| t.to(i, Step::AbandonLook));
    }
    if m.me().bits & skip != 0 {
        m.read(|t, i| {
            t.actors[i].bits &= !skip;
            t.to(i, next);
        });
        return;
    }
    m.send(Request::Put(plan.id, object), |t, i, answer| {
        if answer == Answer::Done {
            t.to(i, next);
        }
    });
}

/// What is to be replaced: what was found, if that is what was seen before, or
/// what -f may replace.
fn unchanged(plan: &Plan, seen: Text, found: Text) -> Option<Text> {
    match (names(found), names(seen)) {
        _ if found == UNKNOWN => Some(seen),
        (None, _) => Some(found),
        (Some(id), None) if seen == UNKNOWN => {
            (plan.how.is_forced() && id < plan.id).then_some(found)
        }
        (Some(id), seen) => (Some(id) == seen).then_some(found),
    }
}

fn look_last(m: &mut Moves, plan: &Plan) {
    let me = m.me();
    let seen = if me.tries() == 0 { me.seen } else { me.now };
    let next = match m.variant() {
        Variant::RecordBeforeLook => Step::Commit,
        _ => Step::Own,
    };
    m.look(seen, |t, i, found| {
        t.actors[i].bits &= !SINCE;
        if found == plan.text {
            t.to(i, Step::StillOwn);
            return;
        }
        match unchanged(plan, seen, sees(plan, found)) {
            Some(found) => {
                t.actors[i].now = found;
                t.to(i, next);
            }
            None => t.end(i, End::Refused),
        }
    });
}

fn commit(m: &mut Moves, plan: &Plan) {
    let again = m.variant() == Variant::CommitAgain;
    let replaced = match m.me().now {
        UNKNOWN => NONE,
        seen => seen,
    };
    let request = Request::PutManifest(plan.text, replaced);
    m.send(request, |t, i, answer| {
        if answer != Answer::Lost || !again {
            t.to(i, Step::Committed);
        }
    });
}

fn committed(m: &mut Moves, plan: &Plan) {
    let me = m.me();
    let back = match m.variant() {
        Variant::BackToCommit => Step::Commit,
        _ => Step::LookLast,
    };
    m.look(plan.text, |t, i, found| {
        if found == plan.text {
            t.to(i, Step::StillOwn);
            return;
        }
        t.actors[i].bits &= !SINCE;
        match unchanged(plan, me.now, sees(plan, found)) {
            None => t.end(i, End::Refused),
            Some(_) if me.tries() + 1 == TRIES => t.end(i, End::Unknown),
            Some(found) => {
                t.actors[i].now = found;
                t.actors[i].bits += TRY;
                t.to(i, back);
            }
        }
    });
}

/// What an upload remembers once it is committed.
pub fn settle(t: &mut State, i: usize) {
    let actor = &mut t.actors[i];
    actor.now = NONE;
    actor.bits &= RESUMED | EXCUSED;
}
