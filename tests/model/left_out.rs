//! What each step is for: without it, or with it done otherwise, a promise is
//! broken.

use crate::cases::{cases, named_case};
use crate::explore::explore;
use crate::promises::Promise::{self, *};
use crate::threads::each;
use crate::trace::Step::{self, *};
use crate::world::Variant::{self, *};

/// The change, the case that shows it, and the promise that is broken.
#[rustfmt::skip] // A change, a line.
const BROKEN: &[(Variant, &str, Promise)] = &[
    // An upload.
    (Without(Look),            "force, plain, delete",                 Early),
    (Without(Record),          "plain",                                Succeeds),
    (Without(RecordSeen),      "plain",                                Succeeds),
    (RecordAgain,              "plain, clean, read",                   Kept),
    (Without(TakeOver),        "resume",                               Succeeds),
    (TakeOverAlways,           "resume, clean, delete",                Kept),
    (TakeOverAny,              "force, resume other, clean",           Kept),
    (Without(LookAgain),       "plain, resume other, read",            Findable),
    (Without(First),           "plain",                                Whole),
    (Without(Second),          "plain",                                Whole),
    (Without(Index),           "plain",                                Whole),
    (Without(AbandonRecord),   "plain",                                Tidy),
    (Without(LookLast),        "plain, plain, delete, ignoring",       Kept),
    (Without(Own),             "plain, delete, read",                  Whole),
    (RecordBeforeLook,         "plain, delete, read",                  Whole),
    (Without(Commit),          "plain",                                Succeeds),
    (CommitAlways,             "plain, plain, delete",                 Kept),
    (CommitAgain,              "plain, delete, read",                  Whole),
    (Without(Committed),       "plain",                                Kept),
    (BackToCommit,             "plain, delete, read",                  Whole),
    (Without(StillOwn),        "plain, clean, read",                   Kept),
    (Without(Compare),         "plain, resume other, clean, brisk",    Kept),
    (HolesAllowed,             "plain, resume other, clean, brisk",    Kept),
    (Without(StraysLook),      "resume, resume other, delete, brisk",  Kept),
    (Without(Strays),          "resume other",                         Findable),
    (AnyIsStray,               "resume other",                         Kept),
    (RecordBeforeStrays,       "resume other, killed",                 Findable),
    (Without(OldRecord),       "force",                                Tidy),
    (Without(OldRecord),       "force, force, delete",                 Kept),
    (Without(OldLook),         "force, force, delete",                 Kept),
    (Without(OldBlocks),       "force",                                Tidy),
    (Without(OldIndexes),      "force",                                Tidy),
    (Without(OwnRecord),       "plain",                                Tidy),
    // A delete.
    (Without(DeleteLook),      "delete",                               Succeeds),
    (Without(DeleteRecord),    "plain, delete, read",                  Whole),
    (ManifestBeforeRecord,     "plain, delete, read",                  Whole),
    (Without(DeleteManifest),  "delete",                               Succeeds),
    (DeleteAgain,              "force, plain, delete",                 Kept),
    (Without(DeleteSeen),      "delete",                               Kept),
    (Without(DeleteBlocks),    "delete",                               Tidy),
    (Without(DeleteIndexes),   "delete",                               Tidy),
    (Without(DeleteLookLast),  "plain, plain, delete, late",           DeletedAtEnd),
    // A clean.
    (LimitAfterList,           "plain, clean, read",                   SparesLive),
    (Without(CleanList),       "plain, clean, read",                   Kept),
    (NoLookBefore,             "clean untidy",                         Findable),
    (Without(CleanListAgain),  "plain, clean, read",                   SparesLive),
    (Without(CleanRecord),     "plain, clean, read",                   Kept),
    (BlocksBeforeRecord,       "plain, clean, read",                   Kept),
    (Without(CleanLookAgain),  "plain, clean, read",                   Kept),
    (Without(CleanBlocks),     "clean",                                Tidy),
    (Without(CleanIndexes),    "clean",                                Tidy),
    (Without(CleanCompare),    "clean damaged",                        Untouched),
    (StraysAnyway,             "clean damaged",                        Untouched),
    (AnyIsStray,               "clean untidy",                         Kept),
    (Without(CleanStraysLook), "plain, resume other, clean, brisk",    Kept),
    (Without(CleanStrays),     "clean untidy",                         Findable),
    (RecordBeforeStrays,       "clean untidy, killed",                 Findable),
    (Without(CleanFinish),     "clean untidy",                         Tidy),
    // A reader.
    (Without(ReadIndex),       "plain, delete, read",                  ReadWhole),
    (Without(ReadFirst),       "plain, delete, read",                  ReadWhole),
    (Without(ReadSecond),      "plain, delete, read",                  ReadWhole),
    (Without(ReadAgain),       "plain, delete, read",                  ReadRight),
    (ReadById,                 "plain, resume other, read, ignoring",  ReadRight),
];

/// What no counterexample needs: a step, and why it is there nevertheless.
const NOT_NEEDED: &[(Step, &str)] = &[
    (FindRecord, "without it nothing is resumed"),
    (ReadRecord, "the condition of the next PUT comes from it"),
    (
        TakenOver,
        "an upload that was lost is noticed now, and not after hours",
    ),
    (
        AbandonLook,
        "it spares who has taken the upload over another 75",
    ),
    (ListBlocks, "without it all is sent again"),
    (
        OldLookAgain,
        "the look before is enough, but this one may be hours later",
    ),
    (DeleteLookAgain, "the same"),
    (CleanLookOnce, "the same"),
    (
        CleanLook,
        "the next is enough, but it spares what is committed another listing",
    ),
    (
        CleanLookTwice,
        "that before is enough, if it was answered as it should be",
    ),
    (
        CleanLimit,
        "what counts is when the time is taken: LimitAfterList",
    ),
    (ReadManifest, "without it nothing can be read"),
];

/// Changes that break nothing, all the same.
const HARMLESS: &[Variant] = &[
    Without(TakenOver),
    Without(ListBlocks),
    Without(AbandonLook),
    Without(OldLookAgain),
    Without(DeleteLookAgain),
    Without(CleanLookOnce),
    Without(CleanLook),
    Without(CleanLookTwice),
    TakeOverOlder,
];

#[test]
fn without_a_step_a_promise_is_broken() {
    each(BROKEN.to_vec(), |(variant, name, promise)| {
        let found = explore(&named_case(name).with(variant));
        let Some((broken, how)) = found.broken else {
            return Err(format!("{variant:?} breaks nothing in '{name}'"));
        };
        if broken != promise {
            return Err(format!("{variant:?} breaks {broken:?} in '{name}':\n{how}"));
        }
        let steps = how.lines().count();
        Ok(format!(
            "{variant:?}: {promise:?} is broken in {steps} steps: {name}"
        ))
    });
}

#[test]
#[ignore = "takes minutes, and says only that no counterexample was found"]
fn nothing_needs_the_rest() {
    let all = HARMLESS.iter().flat_map(|variant| {
        let with = |case: crate::cases::Case| (*variant, case);
        cases().into_iter().map(with)
    });
    each(all.collect(), |(variant, case)| {
        match explore(&case.with(variant)).broken {
            Some((promise, how)) => Err(format!("{variant:?} breaks {promise:?}:\n{how}")),
            None => Ok(format!("{variant:?} breaks nothing in '{}'", case.name)),
        }
    });
}

#[test]
fn every_step_is_needed_or_has_a_reason() {
    for step in Step::ALL.iter().filter(|step| !step.is_beyond()) {
        let needed = BROKEN.iter().any(|(v, ..)| *v == Without(*step));
        let reason = NOT_NEEDED.iter().any(|(s, _)| s == step);
        assert!(
            needed != reason,
            "{step:?}: needed {needed}, reason {reason}"
        );
    }
}
