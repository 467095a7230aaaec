//! What an upload does once its manifest was seen: whether it may say 0, and what
//! it removes.

use crate::remove;
use crate::state::{End, OK, RESUMED, State};
use crate::store::{BLOCKS, Request, lacks, named, names};
use crate::trace::Step;
use crate::upload::{Plan, settle};
use crate::world::{Answer, Moves, Variant};

pub fn step(mut m: Moves, plan: &Plan) {
    let resumed = m.me().bits & RESUMED != 0;
    let variant = m.variant();
    match m.step {
        Step::StillOwn => {
            let ours = m.is_left_out() || m.s.store.records[plan.id as usize] == plan.nonce;
            m.read(|t, i| {
                settle(t, i);
                if !ours {
                    t.end(i, End::Doubtful);
                } else if resumed {
                    t.to(i, Step::Compare);
                } else {
                    promise(t, i);
                    remove_old(t, i, variant);
                }
            });
        }
        Step::Compare => compare(&mut m, plan),
        Step::StraysLook => m.look(plan.text, |t, i, found| {
            if found == plan.text {
                t.to(i, Step::Strays);
            } else {
                // It is not ours to tidy up any more.
                t.actors[i].bits |= KEEP;
                remove_old(t, i, variant);
            }
        }),
        Step::Strays => {
            let spared = remove::spared(variant, plan.text);
            remove::objects(&mut m, plan.id, spared, |t, i| match variant {
                Variant::RecordBeforeStrays => t.end(i, End::Done),
                _ => remove_old(t, i, variant),
            });
        }
        Step::OwnRecord => m.send(Request::DeleteRecord(plan.id), |t, i, answer| {
            if answer == Answer::Lost {
                return;
            }
            match variant {
                Variant::RecordBeforeStrays if resumed => t.to(i, Step::StraysLook),
                _ => t.end(i, End::Done),
            }
        }),
        _ => remove::old(&mut m, remove_own),
    }
}

/// From here on the exit status is 0.
fn promise(t: &mut State, i: usize) {
    t.actors[i].bits |= OK;
}

/// The record stays: a bit that means something else before the commit.
const KEEP: u8 = 0b0001;

/// Hold what is stored against what the manifest names.
fn compare(m: &mut Moves, plan: &Plan) {
    let variant = m.variant();
    let id = plan.id as usize;
    let store = m.s.store;
    let there = store.objects[id];
    let shown = if m.world.stale {
        there | store.ever[id] & BLOCKS
    } else {
        there
    };
    let any_way = |t: &mut State, i: usize| {
        promise(t, i);
        match variant {
            Variant::RecordBeforeStrays => t.to(i, Step::OwnRecord),
            _ if there & !named(plan.text) == 0 => remove_old(t, i, variant),
            _ => t.to(i, Step::StraysLook),
        }
    };
    if m.is_left_out() {
        m.read(any_way);
        return;
    }
    if lacks(there, plan.text) != 0 {
        m.read(|t, i| match variant {
            Variant::HolesAllowed => {
                promise(t, i);
                remove_old(t, i, variant);
            }
            Variant::StraysAnyway => any_way(t, i),
            _ => t.end(i, End::Doubtful),
        });
    }
    if lacks(shown, plan.text) == 0 {
        m.read(any_way);
    }
}

/// What was replaced goes, if anything was.
fn remove_old(t: &mut State, i: usize, variant: Variant) {
    let actor = t.actors[i];
    match names(actor.seen).filter(|old| *old != actor.id) {
        Some(_) => t.to(i, remove::first(variant, remove::OLD)),
        None => remove_own(t, i),
    }
}

/// The record goes, unless strays are left that it stands for.
fn remove_own(t: &mut State, i: usize) {
    if t.actors[i].bits & KEEP == 0 {
        t.to(i, Step::OwnRecord);
    } else {
        t.end(i, End::Done);
    }
}
