//! The promises of s3pipe(5), as what must be true of every state.

use crate::state::{At, EXCUSED, End, OK, State, WAS_FRESH};
use crate::store::{BLOCKS, INDEXES, NONE, UPLOADS, named, names, text};
use crate::trace::Step;
use crate::world::{Role, World};

/// A promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// An upload that says 0 stands, and is whole, until a delete or a -f that
    /// was asked for. So does the stream that was there before.
    Kept,
    /// All that a manifest names is there, whatever its upload has said.
    Whole,
    /// The manifest that a delete saw does not come back after its 0.
    Deleted,
    /// It is not there when the delete says 0.
    DeletedAtEnd,
    /// An upload that said that nothing was committed is not there.
    NotCommitted,
    /// A reader that says 0 has written all.
    ReadWhole,
    /// A reader that calls a stream damaged is right.
    ReadRight,
    /// Clean removes no upload that had something new when it looked last.
    SparesLive,
    /// What lies within a committed upload without belonging there can be found
    /// by the upload's record, whoever was killed.
    Findable,
    /// An upload that finds a stream in its place stores nothing.
    Early,
    /// Of a committed upload of which something is missing nothing is deleted.
    Untouched,
    /// Alone, whatever is lost on the way, it ends with 0, unless its producer
    /// fails.
    Succeeds,
    /// Alone, it leaves nothing behind.
    Tidy,
}

/// The first promise that this state breaks, of those that are to be kept. `by`
/// is the actor whose doing the state is.
pub fn broken(world: &World, kept: &[Promise], s: &State, by: usize) -> Option<Promise> {
    kept.iter().copied().find(|p| !holds(world, *p, s, by))
}

fn holds(world: &World, promise: Promise, s: &State, by: usize) -> bool {
    let manifest = s.store.manifest;
    match promise {
        Promise::Kept => is_kept(world, s),
        Promise::Whole => s.store.is_whole(manifest),
        Promise::Deleted => is_deleted(world, s),
        Promise::DeletedAtEnd => world.roles[by] != Role::Delete || is_deleted(world, s),
        Promise::NotCommitted => each(world, s, |i, role| match role {
            Role::Upload { data, .. } => {
                let at = s.actors[i].at;
                let said = at == At::End(End::Refused) || at == At::End(End::Abandoned);
                !said || manifest != text(s.actors[i].id, data)
            }
            _ => true,
        }),
        Promise::ReadWhole => each(world, s, |i, role| {
            let done = role == Role::Read && s.actors[i].at == At::End(End::Done);
            !done || s.actors[i].id == 0
        }),
        Promise::ReadRight => {
            let reader = s.actors[by];
            let right = manifest == reader.seen && !s.store.is_whole(manifest);
            reader.at != At::End(End::Damaged) || right
        }
        Promise::SparesLive => each(world, s, |i, _| {
            s.actors[i].at != At::Step(Step::CleanRecord) || s.actors[i].bits & WAS_FRESH == 0
        }),
        Promise::Findable => is_findable(s),
        Promise::Early => each(world, s, |_, role| match role {
            Role::Upload { id, how, .. } if !how.is_forced() && s.old != NONE => {
                s.store.objects[id as usize] == 0 && s.store.records[id as usize] == 0
            }
            _ => true,
        }),
        Promise::Untouched => {
            let was = s.store.ever[0] & (BLOCKS | INDEXES);
            s.store.objects[0] == was && s.store.records[0] != 0
        }
        Promise::Succeeds => {
            let done = s.any(End::Done) || s.any(End::Abandoned);
            !s.is_over() || !s.is_alone() || done
        }
        Promise::Tidy => !s.is_over() || !s.is_alone() || is_tidy(s),
    }
}

fn each(world: &World, s: &State, test: impl Fn(usize, Role) -> bool) -> bool {
    (0..s.actors.len()).all(|i| test(i, world.roles[i]))
}

fn is_kept(world: &World, s: &State) -> bool {
    let stands = |text| s.store.manifest == text && s.store.is_whole(text);
    let old = s.old == NONE || stands(s.old);
    old && each(world, s, |i, role| match role {
        Role::Upload { data, .. } if s.actors[i].bits & (OK | EXCUSED) == OK => {
            stands(text(s.actors[i].id, data))
        }
        _ => true,
    })
}

fn is_deleted(world: &World, s: &State) -> bool {
    each(world, s, |i, role| {
        let done = role == Role::Delete && s.actors[i].at == At::End(End::Done);
        !done || s.store.manifest != s.actors[i].seen
    })
}

/// Who gave up, or said that it must be verified, has said so.
fn is_findable(s: &State) -> bool {
    let said = s.any(End::Unknown) || s.any(End::Doubtful) || s.any(End::Changed);
    match names(s.store.manifest) {
        Some(id) if s.is_over() && !said && !s.littered => {
            let strays = s.store.objects[id as usize] & !named(s.store.manifest);
            strays == 0 || s.store.records[id as usize] != 0
        }
        _ => true,
    }
}

fn is_tidy(s: &State) -> bool {
    let manifest = s.store.manifest;
    if let Some(actor) = s.actors.iter().find(|a| a.at == At::End(End::Abandoned)) {
        return s.store.records[actor.id as usize] == 0;
    }
    (0..UPLOADS).all(|id| {
        let belongs = match names(manifest) {
            Some(named_id) if named_id as usize == id => named(manifest),
            _ => 0,
        };
        s.store.objects[id] == belongs && s.store.records[id] == 0
    })
}
