//! How an upload that was broken off is taken over.

use crate::state::{End, RESUMED, SKIPS, State};
use crate::store::{FIRST, Id, NONE, RECORD, Request, UPLOADS, names, second};
use crate::trace::Step;
use crate::upload::{Plan, anew, own};
use crate::world::{Answer, Moves, Variant};

pub fn step(mut m: Moves, plan: &Plan) {
    let me = m.me();
    match m.step {
        Step::FindRecord => find(&mut m),
        Step::ReadRecord => {
            let nonce = m.s.store.records[me.id as usize];
            m.read(|t, i| {
                if nonce == 0 {
                    anew(t, i, me.now);
                    return;
                }
                t.actors[i].now = nonce;
                t.actors[i].bits |= RESUMED;
                t.to(i, Step::TakeOver);
            });
        }
        Step::TakeOver => {
            let request = Request::PutRecord(me.id, plan.nonce, Some(me.now));
            m.send(request, |t, i, answer| {
                if answer != Answer::Lost {
                    t.actors[i].now = NONE;
                    t.to(i, Step::TakenOver);
                }
            });
        }
        Step::TakenOver => own(&mut m, plan, Step::LookAgain, End::Refused),
        Step::LookAgain => m.look(me.seen, |t, i, found| {
            if names(found) == names(me.seen) {
                t.to(i, Step::ListBlocks);
            } else {
                t.end(i, End::Refused);
            }
        }),
        _ => list(&mut m, plan),
    }
}

/// The newest upload whose record is listed and that is newer than the committed
/// one; or a new upload.
fn find(m: &mut Moves) {
    let me = m.me();
    let variant = m.variant();
    let counts = |id: &Id| match (names(me.seen), variant) {
        (_, Variant::TakeOverAny) | (None, _) => true,
        (Some(committed), Variant::TakeOverOlder) => *id != committed,
        (Some(committed), _) => *id > committed,
    };
    let store = &m.s.store;
    let there = |id: &Id| store.records[*id as usize] != 0;
    let was = |id: &Id| store.ever[*id as usize] & RECORD != 0;
    let ids = || (0..UPLOADS as Id).filter(counts);
    let newest = ids().filter(there).max();
    let mut choices = vec![newest];
    if m.world.stale {
        choices.extend(ids().filter(was).map(Some).chain([None]));
    }
    choices.dedup();
    for choice in choices {
        m.read(|t, i| take(t, i, choice));
    }
}

fn take(t: &mut State, i: usize, id: Option<Id>) {
    let actor = &mut t.actors[i];
    match id {
        Some(id) => {
            // Its own id is kept until it is known to be of no use.
            (actor.now, actor.id) = (actor.id, id);
            t.to(i, Step::ReadRecord);
        }
        None => {
            let fresh = actor.id;
            anew(t, i, fresh);
        }
    }
}

/// Which of its blocks are listed.
fn list(m: &mut Moves, plan: &Plan) {
    let wanted = [FIRST, second(plan.data)];
    let store = m.s.store;
    let id = plan.id as usize;
    for skips in 0..=SKIPS {
        let fits = (0..2).all(|n| {
            let listed = skips & 1 << n != 0;
            let there = store.objects[id] & wanted[n] != 0;
            let was = store.ever[id] & wanted[n] != 0;
            listed == there || (m.world.stale && (!listed || was))
        });
        if fits {
            m.read(|t, i| {
                t.actors[i].bits |= skips;
                t.to(i, Step::First);
            });
        }
    }
}
