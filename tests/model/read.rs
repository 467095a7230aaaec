//! A download: the manifest once, and then what it names.

use crate::state::End;
use crate::store::{FIRST, NONE, data, index, lacks, names, second};
use crate::trace::Step;
use crate::world::{Moves, Variant};

pub fn step(mut m: Moves) {
    let me = m.me();
    let store = m.s.store;
    let id = names(me.seen);
    let (object, next) = match m.step {
        Step::ReadManifest => {
            m.read(|t, i| {
                t.actors[i].seen = store.manifest;
                match store.manifest {
                    NONE => t.end(i, End::Missing),
                    _ => t.to(i, Step::ReadIndex),
                }
            });
            return;
        }
        Step::ReadIndex => (index(data(me.seen)), Some(Step::ReadFirst)),
        Step::ReadFirst => (FIRST, Some(Step::ReadSecond)),
        Step::ReadSecond => (second(data(me.seen)), None),
        _ => {
            let same = match m.variant() {
                Variant::ReadById => names(store.manifest) == id,
                _ => m.is_left_out() || store.manifest == me.seen,
            };
            let end = if same { End::Damaged } else { End::Changed };
            m.read(|t, i| t.end(i, end));
            return;
        }
    };
    let got = id.is_some_and(|id| store.objects[id as usize] & object != 0);
    let left_out = m.is_left_out();
    m.read(|t, i| {
        if !got && !left_out {
            t.to(i, Step::ReadAgain);
            return;
        }
        let actor = &mut t.actors[i];
        if !left_out {
            actor.bits |= object;
        }
        if let Some(next) = next {
            t.to(i, next);
            return;
        }
        // What it has not written, for the promise.
        actor.id = lacks(actor.bits, actor.seen);
        t.end(i, End::Done);
    });
}
