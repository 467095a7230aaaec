//! A clean, as it comes to one upload.

use crate::remove::{self, CLEAN};
use crate::state::{End, State, WAS_FRESH};
use crate::store::{BLOCKS, Id, NONE, RECORD, Request, is_of, lacks, named};
use crate::trace::Step;
use crate::world::{Answer, Moves, Variant};

/// The bit that says that the listing came before the limit, in a variant.
const LISTED: u8 = 0b1000;

pub fn step(mut m: Moves, id: Id) {
    match m.step {
        Step::CleanLimit | Step::CleanList => list(&mut m, id),
        Step::CleanLook => look(&mut m, id, Step::CleanListAgain, Step::CleanListAgain),
        Step::CleanLookTwice => {
            let first = remove::first(m.variant(), CLEAN);
            look(&mut m, id, first, Step::CleanCompare);
        }
        Step::CleanListAgain => list_again(&mut m, id),
        Step::CleanCompare => compare(&mut m, id),
        Step::CleanStraysLook | Step::CleanStrays | Step::CleanFinish => finish(&mut m, id),
        _ => remove::upload(&mut m, CLEAN, id, &|t, i| t.end(i, End::Done), &|t, i| {
            t.end(i, End::Spared)
        }),
    }
}

/// The time, and then what there is.
fn list(m: &mut Moves, id: Id) {
    let limit_last = m.variant() == Variant::LimitAfterList;
    if m.step == Step::CleanLimit {
        let listed = m.me().bits & LISTED != 0;
        m.read(|t, i| {
            // What was stored before this is as old as can be.
            t.fresh &= if listed { 0b1_1111 } else { 0 };
            t.actors[i].bits &= !LISTED;
            t.to(
                i,
                if listed {
                    Step::CleanLook
                } else {
                    Step::CleanList
                },
            );
        });
        return;
    }
    let there = m.s.store.records[id as usize] != 0 || m.s.store.objects[id as usize] != 0;
    let was = m.s.store.ever[id as usize] & (RECORD | BLOCKS) != 0;
    let fresh = is_fresh(m, id);
    let left_out = m.is_left_out();
    if m.world.stale || !left_out && (fresh || !there) {
        m.read(|t, i| t.end(i, End::Spared));
    }
    if left_out || there && !fresh || m.world.stale && was {
        m.read(|t, i| {
            if limit_last {
                t.actors[i].bits |= LISTED;
                t.to(i, Step::CleanLimit);
            } else {
                t.to(i, Step::CleanLook);
            }
        });
    }
}

/// A look at the manifest. If it does not name the upload, `dead` is what comes
/// next; if it does, and there is a record, `committed`.
fn look(m: &mut Moves, id: Id, dead: Step, committed: Step) {
    let record = m.world.stale || m.s.store.records[id as usize] != 0;
    let never = m.variant() == Variant::NoLookBefore;
    m.look(NONE, |t, i, found| {
        let named = is_of(found, id) && !never;
        t.actors[i].seen = if named { found } else { NONE };
        match (named, record) {
            (true, false) => t.end(i, End::Spared),
            (true, true) => t.to(i, committed),
            (false, _) => t.to(i, dead),
        }
    });
}

/// Whether something of the upload is newer than the limit.
fn is_fresh(m: &Moves, id: Id) -> bool {
    m.s.fresh & 0b10_0000 << id != 0
}

/// Once more what there is of this upload.
fn list_again(m: &mut Moves, id: Id) {
    let fresh = is_fresh(m, id);
    let truly_fresh = m.s.fresh & 1 << id != 0;
    let committed = is_of(m.me().seen, id);
    let left_out = m.is_left_out();
    if m.world.stale || fresh && !left_out {
        m.read(|t, i| t.end(i, End::Spared));
    }
    if m.world.stale || !fresh || left_out {
        m.read(|t, i| {
            if truly_fresh {
                t.actors[i].bits |= WAS_FRESH;
            }
            let next = if committed {
                Step::CleanCompare
            } else {
                Step::CleanLookTwice
            };
            t.to(i, next);
        });
    }
}

/// A committed upload whose owner did not come to tidy up.
fn finish(m: &mut Moves, id: Id) {
    let me = m.me();
    let variant = m.variant();
    match m.step {
        Step::CleanStraysLook => m.look(me.seen, |t, i, found| {
            if found == me.seen {
                t.to(i, Step::CleanStrays);
            } else {
                t.end(i, End::Spared);
            }
        }),
        Step::CleanStrays => {
            let spared = remove::spared(variant, me.seen);
            remove::objects(m, id, spared, |t, i| match variant {
                Variant::RecordBeforeStrays => t.end(i, End::Done),
                _ => t.to(i, Step::CleanFinish),
            });
        }
        _ => m.send(Request::DeleteRecord(id), |t, i, answer| match answer {
            Answer::Lost => {}
            _ if variant == Variant::RecordBeforeStrays => t.to(i, Step::CleanStraysLook),
            _ => t.end(i, End::Done),
        }),
    }
}

/// Hold what is stored against what the manifest names.
fn compare(m: &mut Moves, id: Id) {
    let (seen, variant, stale) = (m.me().seen, m.variant(), m.world.stale);
    let there = m.s.store.objects[id as usize];
    let shown = there | m.s.store.ever[id as usize] & BLOCKS;
    let next = move |t: &mut State, i: usize| match variant {
        Variant::RecordBeforeStrays => t.to(i, Step::CleanFinish),
        _ if there & !named(seen) == 0 => t.to(i, Step::CleanFinish),
        _ => t.to(i, Step::CleanStraysLook),
    };
    if m.is_left_out() || variant == Variant::StraysAnyway {
        m.read(next);
        return;
    }
    if lacks(there, seen) != 0 {
        m.read(|t, i| t.end(i, End::Doubtful));
    }
    if lacks(there, seen) == 0 || stale && lacks(shown, seen) == 0 {
        m.read(next);
    }
}
