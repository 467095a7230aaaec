//! What removes objects: the tidying of what was replaced, a delete; and what
//! they have in common with a clean.

use crate::state::{End, State, TRY};
use crate::store::{BLOCKS, INDEXES, Id, NONE, Request, Text, is_of, named, names};
use crate::trace::Step;
use crate::world::{Answer, Moves, Variant};

/// How often a manifest is deleted that is still there, or there again.
const TRIES: u8 = 2;

/// The steps of a removal: the record, a look, blocks, another look, indexes.
pub type Parts = [Step; 5];

/// Those of the tidying of what was replaced.
pub const OLD: Parts = [
    Step::OldRecord,
    Step::OldLook,
    Step::OldBlocks,
    Step::OldLookAgain,
    Step::OldIndexes,
];

const DELETE: Parts = [
    Step::DeleteRecord,
    Step::DeleteSeen,
    Step::DeleteBlocks,
    Step::DeleteLookAgain,
    Step::DeleteIndexes,
];

/// Those of a clean.
pub const CLEAN: Parts = [
    Step::CleanRecord,
    Step::CleanLookAgain,
    Step::CleanBlocks,
    Step::CleanLookOnce,
    Step::CleanIndexes,
];

/// Whether this step is in the middle of a removal: behind the DELETE of a record,
/// or behind the look before strays.
pub fn is_underway(step: Step) -> bool {
    matches!(
        step,
        Step::DeleteManifest | Step::Strays | Step::CleanStrays
    ) || [OLD, DELETE, CLEAN].iter().any(|p| p[1..].contains(&step))
}

/// The tidying of what was replaced.
pub fn old(m: &mut Moves, then: impl Fn(&mut State, usize)) {
    let id = names(m.me().seen).unwrap_or(0);
    upload(m, OLD, id, &then, &then);
}

/// Where a removal begins.
pub fn first(variant: Variant, parts: Parts) -> Step {
    match variant {
        Variant::BlocksBeforeRecord => parts[1],
        _ => parts[0],
    }
}

/// Remove an upload that no manifest names; if one does, `stop`.
pub fn upload(
    m: &mut Moves,
    parts: Parts,
    id: Id,
    then: &dyn Fn(&mut State, usize),
    stop: &dyn Fn(&mut State, usize),
) {
    let record_last = m.variant() == Variant::BlocksBeforeRecord && parts != DELETE;
    match parts.iter().position(|step| *step == m.step) {
        Some(0) => m.send(Request::DeleteRecord(id), |t, i, answer| {
            if answer == Answer::Lost {
                return;
            }
            if record_last {
                then(t, i);
            } else {
                t.to(i, parts[1]);
            }
        }),
        Some(look @ (1 | 3)) => m.look(NONE, |t, i, found| {
            if is_of(found, id) {
                stop(t, i);
            } else {
                t.to(i, parts[look + 1]);
            }
        }),
        Some(2) => objects(m, id, !BLOCKS, |t, i| t.to(i, parts[3])),
        _ => objects(m, id, !INDEXES, |t, i| {
            if record_last {
                t.to(i, parts[0]);
            } else {
                then(t, i);
            }
        }),
    }
}

/// Delete what is stored of an upload and not spared, one after the other in any
/// order, as much as is listed.
pub fn objects(m: &mut Moves, id: Id, spared: u8, then: impl Fn(&mut State, usize)) {
    let there = m.s.store.objects[id as usize] & !spared;
    if there == 0 || m.world.stale || m.is_left_out() {
        m.read(&then);
    }
    if m.is_left_out() {
        return;
    }
    for object in (0..5).map(|n| 1 << n) {
        if there & object != 0 {
            m.send(Request::Delete(id, object), |_, _, _| {});
        }
    }
}

/// What is no stray of the upload that this manifest names.
pub fn spared(variant: Variant, text: Text) -> u8 {
    match variant {
        Variant::AnyIsStray => 0,
        _ => named(text),
    }
}

/// A delete.
pub fn delete(mut m: Moves) {
    let me = m.me();
    let saw = names(me.seen).unwrap_or(0);
    let manifest_first = m.variant() == Variant::ManifestBeforeRecord;
    let again = m.variant() == Variant::DeleteAgain;
    match m.step {
        Step::DeleteLook => m.look(NONE, |t, i, found| {
            t.actors[i].seen = found;
            match found {
                NONE => t.end(i, End::Missing),
                _ if manifest_first => t.to(i, Step::DeleteManifest),
                _ => t.to(i, Step::DeleteRecord),
            }
        }),
        Step::DeleteRecord => m.send(Request::DeleteRecord(saw), |t, i, answer| match answer {
            Answer::Lost => {}
            _ if manifest_first => t.to(i, Step::DeleteSeen),
            _ => t.to(i, Step::DeleteManifest),
        }),
        Step::DeleteManifest => m.send(Request::DeleteManifest, |t, i, answer| match answer {
            Answer::Lost if again => {}
            _ if manifest_first => t.to(i, Step::DeleteRecord),
            _ => t.to(i, Step::DeleteSeen),
        }),
        Step::DeleteSeen => m.look(NONE, |t, i, found| {
            if !is_of(found, saw) {
                t.to(i, Step::DeleteBlocks);
            } else if me.tries() + 1 == TRIES {
                t.end(i, End::Unknown);
            } else {
                t.actors[i].bits += TRY;
                t.to(i, Step::DeleteManifest);
            }
        }),
        Step::DeleteLookLast => m.look(NONE, |t, i, found| {
            let still_there = is_of(found, saw);
            t.end(i, if still_there { End::Unknown } else { End::Done });
        }),
        _ => upload(
            &mut m,
            DELETE,
            saw,
            &|t, i| t.to(i, Step::DeleteLookLast),
            &|t, i| t.end(i, End::Changed),
        ),
    }
}
