//! The statuses that a run may end with, and why.
//!
//! A transient oddity does not end a run: where it may, that is in [`ONCE`],
//! with the reason. What stays odd ends it with a status that fits: [`ALWAYS`].
//! Whatever the status is, the oracle has its say besides.

use crate::class::Nature;
use crate::oracle::{Case, told};
use crate::requests::Kind;
use crate::runs::{Odd, Times};

/// What may be said beside the error.
pub const WARNINGS: &[&str] = &[
    "still trying",
    "written by s3pipe 1",
    "this was left behind",
    "nothing was removed of this upload",
];

/// Other statuses that a run may end with.
struct End {
    /// The classes, by the beginnings of their names; empty for all.
    classes: &'static [&'static str],
    /// The requests.
    when: fn(&Odd) -> bool,
    /// The statuses.
    statuses: &'static [i32],
    /// Why they are right.
    _why: &'static str,
}

const fn end(
    classes: &'static [&'static str],
    when: fn(&Odd) -> bool,
    statuses: &'static [i32],
    _why: &'static str,
) -> End {
    End {
        classes,
        when,
        statuses,
        _why,
    }
}

fn always(_: &Odd) -> bool {
    true
}

/// Nothing has been stored or written yet, or nothing ever is.
fn early(odd: &Odd) -> bool {
    !odd.underway
}

fn is(odd: &Odd, method: &str, kind: Kind) -> bool {
    odd.what.method == method && odd.what.kind == kind
}

fn head(odd: &Odd) -> bool {
    odd.what.method == "HEAD"
}

fn manifest(odd: &Odd) -> bool {
    is(odd, "GET", Kind::Manifest)
}

fn text(odd: &Odd) -> bool {
    manifest(odd) || is(odd, "GET", Kind::Record)
}

fn old_info(odd: &Odd) -> bool {
    odd.what.kind == Kind::OldInfo
}

fn look(odd: &Odd) -> bool {
    manifest(odd) || old_info(odd)
}

fn named(odd: &Odd) -> bool {
    let kinds = [Kind::Index, Kind::Block, Kind::OldBlock];
    odd.what.method == "GET" && kinds.contains(&odd.what.kind)
}

fn body(odd: &Odd) -> bool {
    text(odd) || named(odd) || old_info(odd)
}

fn no_get(odd: &Odd) -> bool {
    !body(odd)
}

fn listing(odd: &Odd) -> bool {
    odd.what.kind.is_listing()
}

fn all_objects(odd: &Odd) -> bool {
    odd.what.kind == Kind::ListAll
}

fn put_text(odd: &Odd) -> bool {
    is(odd, "PUT", Kind::Manifest) || is(odd, "PUT", Kind::Record)
}

/// Where a single odd answer may end a run.
#[rustfmt::skip] // A table.
const ONCE: &[End] = &[
    end(&["s3-AccessDenied", "s3-SignatureDoesNotMatch", "bare-403", "page-403", "under-403"],
        early, &[77], "a refusal is believed at once while nothing is at stake"),
    end(&["s3-AccessDenied"],
        manifest, &[73], "what may not be read is not replaced: it has no ETag for a condition"),
    end(&["s3-InvalidRequest", "bare-400", "under-400"],
        early, &[69], "so is a request that is not understood"),
    end(&["bare-501", "under-501"], head, &[69], "S3 has no other words for it without a body"),
    end(&["s3-ExpiredToken"], always, &[77], "a key in the environment cannot be renewed"),
    end(&["s3-NoSuchBucket"], always, &[66], "a bucket that is gone is not waited for"),
    end(&["s3-NoSuchKey"], manifest, &[66, 73, 75], "so does a stream look that is not there"),
    end(&["s3-NoSuchKey"], old_info, &[66], "so does a stream of version 1"),
    end(&["s3-NoSuchKey"], no_get, &[66], "some services say that of a bucket"),
    end(&["s3-PreconditionFailed", "s3-InvalidRange", "s3-NotImplemented"],
        always, &[69], "S3's own word, and lasting by its nature"),
    end(&["yesterday", "before"], manifest, &[65, 66, 73, 75], "the stream was so, and is not now"),
    end(&["yesterday", "before"], old_info, &[66], "the stream was not there"),
    end(&["empty-200"], old_info, &[0, 73], "that is what a stream of version 1 has there"),
    end(&["claims-less"], manifest, &[65, 75], "a text that parses is what is stored"),
    end(&["list-"], listing, &[69], "a listing that breaks the rules is refused"),
    end(&["list-foreign", "list-stranger"], all_objects, &[73], "it shows that there is something"),
    end(&["list-s", "list-no", "yesterday", "before"], listing, &[65],
        "it shows what is not so, or does not show what is: verify believes it"),
];

/// What keeps an upload from seeing that there is a stream of version 1; one of
/// version 2 it sees in the end.
const HIDES: &[&str] = &[
    "s3-AccessDenied",
    "s3-SignatureDoesNotMatch",
    "s3-NoSuchKey",
    "yesterday",
    "before",
];

/// What ends a run that is answered so for good, beside 69.
#[rustfmt::skip] // A table.
const ALWAYS: &[End] = &[
    end(&["bare-403", "page-403", "under-403", "s3-A", "s3-S", "s3-E", "s3-skewed"],
        always, &[77], "refused"),
    end(&["bare-307", "redirect", "s3-region", "under-30"],
        always, &[77, 78], "it lives elsewhere"),
    end(&["s3-NoSuchKey"], always, &[65, 66, 73, 75], "it is not there"),
    end(&["s3-NoSuchBucket"], always, &[66], "it is not there"),
    end(&["s3-AccessDenied"], old_info, &[66], "who may not look has none of version 1"),
    end(&["bare-4", "under-4", "page-4"], text, &[65], "no text of s3pipe's"),
    end(&["s3-PreconditionFailed", "s3-ConditionalRequestConflict"], put_text, &[75], "it changed"),
];

/// The statuses that are right for this run.
pub fn statuses(case: &Case) -> Vec<i32> {
    let mut all = vec![case.scenario().status];
    for odd in &case.combination.odd {
        let excused = ONCE.iter().filter(|end| end.is_for(odd));
        all.extend(excused.flat_map(|end| end.statuses));
        let lasts = odd.times == Times::Always
            || (odd.times == Times::Thrice && odd.class.nature != Nature::Noise);
        if !lasts || odd.class.nature == Nature::Truth {
            continue;
        }
        all.push(69);
        let ends = ALWAYS.iter().filter(|end| end.is_for(odd));
        all.extend(ends.flat_map(|end| end.statuses));
        if body(odd) {
            // It may be what is stored: nobody else can tell.
            all.push(65);
        }
        if odd.what.kind == Kind::Record || odd.class.nature == Nature::Past {
            all.extend([65, 66, 73, 75]);
        }
        if odd.class.nature == Nature::Evidence {
            all.extend([65, 75]);
        }
        if listing(odd) {
            all.push(65);
        }
    }
    let hidden = case.any(|odd| look(odd) && HIDES.contains(&odd.class.name));
    if hidden && case.scenario().family == "upload" {
        all.push(0);
    }
    if told(case) && case.scenario().family == "clean" {
        // What looks young, or not to be there, is spared, and not compared.
        all.push(0);
    }
    if case.combination.service.is_some_and(|s| s.unsorted) {
        all.push(69);
    }
    if case.combination.odd.len() > 1 {
        // Two at once are no place for niceties.
        all.extend([65, 66, 69, 73, 75, 77, 78]);
    }
    all.sort_unstable();
    all.dedup();
    all
}

impl End {
    fn is_for(&self, odd: &Odd) -> bool {
        let named = |name: &&str| odd.class.name.starts_with(name);
        self.classes.iter().any(named) && (self.when)(odd)
    }
}
