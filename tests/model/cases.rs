//! Who meets whom, over which services.

pub use crate::explore::Case;
use crate::promises::Promise::{self, *};
use crate::state::ACTORS;
use crate::store::{Data, FIRST, Id, Store, named, text};
use crate::world::{How, Late, Role, Variant, World};

/// What must hold of new uploads and of -f.
const ALL: &[Promise] = &[
    Kept,
    Whole,
    Deleted,
    DeletedAtEnd,
    NotCommitted,
    ReadWhole,
    ReadRight,
    Findable,
    Early,
];

/// Where an owner may stand still between its last look and the commit while
/// others remove its upload: then a manifest may stand that is not whole, but its
/// upload ends with 75.
const STILL: &[Promise] = &[
    Kept,
    DeletedAtEnd,
    ReadWhole,
    ReadRight,
    SparesLive,
    Early,
    NotCommitted,
];

/// The same of two with the same data in one upload: what the one has not
/// committed may be there, by the other.
const SHARED: &[Promise] = &[Kept, DeletedAtEnd, ReadWhole, ReadRight, SparesLive, Early];

/// What must hold of one actor alone.
const ALONE: &[Promise] = &[
    Kept,
    Whole,
    Deleted,
    NotCommitted,
    ReadWhole,
    ReadRight,
    SparesLive,
    Findable,
    Succeeds,
    Tidy,
];

/// What must hold wherever there is a reader.
const READ: &[Promise] = &[Kept, DeletedAtEnd, ReadWhole, ReadRight];

/// What must hold wherever.
const KEPT: &[Promise] = &[Kept, DeletedAtEnd, ReadWhole];

/// What a service does to us.
#[derive(Clone, Copy)]
enum Service {
    /// It honours conditions, and loses no answer.
    Steady,
    /// The same, but two answers may be lost.
    Good,
    /// The same, with one lost answer.
    Once,
    /// One lost request may be carried out at any later time, but for the DELETE of
    /// a manifest.
    Tardy,
    /// The same, and listings are stale.
    Stale,
    /// It ignores conditions; one answer may be lost.
    Ignoring,
    /// The same, and nobody stands still in the middle of a removal.
    Brisk,
}

const fn up(id: Id, data: Data, how: How) -> Role {
    Role::Upload { id, data, how }
}

/// Half of an upload with the data 0.
const HALF: u8 = 0b00011;

/// Nothing is there.
const NOTHING: Store = Store::EMPTY;

/// A committed stream, upload 0; its record stayed.
fn old() -> Store {
    let whole = named(text(0, 0));
    Store::EMPTY.with(0, whole, true).committed(text(0, 0))
}

/// An upload that was broken off: there is nothing else.
fn broken_off() -> Store {
    Store::EMPTY.with(0, HALF, true)
}

/// The same, with all that it needs but the commit, and objects of another try.
fn nearly() -> Store {
    Store::EMPTY.with(0, 0b11111, true)
}

/// A committed stream whose record and strays stayed.
fn untidy() -> Store {
    Store::EMPTY.with(0, 0b11111, true).committed(text(0, 0))
}

/// The same, and of the stream itself something is missing.
fn damaged() -> Store {
    let most = 0b11111 & !FIRST;
    Store::EMPTY.with(0, most, true).committed(text(0, 0))
}

fn case(
    service: Service,
    name: &'static str,
    store: Store,
    roles: &[Role],
    kept: &'static [Promise],
    states: usize,
) -> Case {
    let mut all = [Role::Nobody; ACTORS];
    all[..roles.len()].copy_from_slice(roles);
    let late = matches!(service, Service::Stale | Service::Tardy);
    Case {
        name,
        store,
        kept,
        states,
        faults: match service {
            Service::Steady => 0,
            Service::Good => 2,
            _ => 1,
        },
        world: World {
            variant: Variant::Sound,
            roles: all,
            conditions: !matches!(service, Service::Ignoring | Service::Brisk),
            late: if late { Late::ButDelete } else { Late::Never },
            stale: matches!(service, Service::Stale),
            brisk: matches!(service, Service::Brisk),
            killed: false,
        },
    }
}

/// All cases that are explored by `cargo test`.
pub fn cases() -> Vec<Case> {
    let mut cases = alone();
    cases.extend(good());
    cases.extend(late());
    cases.extend(ignoring());
    cases
}

/// The case of this name.
pub fn named_case(name: &str) -> Case {
    let all = cases().into_iter().chain(limits());
    all.into_iter()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("no case {name}"))
}

/// One actor, and lost answers.
fn alone() -> Vec<Case> {
    use How::*;
    let case = |name, store, role, states| case(Service::Once, name, store, &[role], ALONE, states);
    let mut cases = vec![
        case("plain", NOTHING, up(1, 0, Plain), 60),
        case("force", old(), up(1, 0, Force), 88),
        case("resume", broken_off(), up(1, 0, Resume), 42),
        case("resume other", nearly(), up(1, 1, Resume), 51),
        case("delete", old(), Role::Delete, 37),
        case("clean", nearly(), Role::Clean(0), 38),
        case("clean untidy", untidy(), Role::Clean(0), 19),
    ];
    let mut late = cases[0].clone();
    (late.name, late.world.late) = ("plain, late", Late::ButDelete);
    late.kept = &[Kept, Whole, NotCommitted];
    cases.push(late);
    let mut spared = case("clean damaged", damaged(), Role::Clean(0), 6);
    spared.kept = &[Untouched];
    cases.push(spared);
    for (name, mut killed) in [
        ("resume other, killed", cases[3].clone()),
        ("clean untidy, killed", cases[6].clone()),
    ] {
        (killed.name, killed.world.killed) = (name, true);
        killed.kept = &[Kept, Findable];
        cases.push(killed);
    }
    cases
}

/// Those who meet on a good service.
#[rustfmt::skip] // A case, a line.
fn good() -> Vec<Case> {
    use How::*;
    use Role::{Clean, Delete, Read};
    use Service::{Good, Once, Steady};
    let plain = up(1, 0, Plain);
    let force = up(1, 0, Force);
    vec![
        case(Good, "plain, delete, read", NOTHING, &[plain, Delete, Read], ALL, 8_464),
        case(Good, "plain, plain, delete", NOTHING, &[plain, up(2, 0, Plain), Delete], ALL, 80_674),
        case(Good, "plain, clean, read", NOTHING, &[plain, Clean(1), Read], STILL, 10_228),
        case(Good, "plain, clean, delete", NOTHING, &[plain, Clean(1), Delete], STILL, 31_628),
        case(Good, "blind, plain, delete", NOTHING, &[up(1, 0, Blind), up(2, 0, Plain), Delete], ALL, 80_674),
        case(Once, "blind force, plain, delete", old(), &[up(1, 0, BlindForce), up(2, 0, Plain), Delete], ALL, 71_249),
        case(Good, "force, delete, read", old(), &[force, Delete, Read], ALL, 89_499),
        case(Once, "force, force, delete", old(), &[force, up(2, 0, Force), Delete], STILL, 533_405),
        case(Once, "force, plain, delete", old(), &[force, up(2, 0, Plain), Delete], ALL, 81_320),
        case(Once, "force, clean old, delete", old(), &[force, Clean(0), Delete], ALL, 106_453),
        case(Once, "force, clean, delete", old(), &[force, Clean(1), Delete], STILL, 111_623),
        case(Good, "resume, clean, delete", broken_off(), &[up(1, 0, Resume), Clean(0), Delete], STILL, 37_954),
        case(Good, "resume other, clean, delete", broken_off(), &[up(1, 1, Resume), Clean(0), Delete], STILL, 55_406),
        case(Good, "plain, resume, delete", NOTHING, &[plain, up(2, 0, Resume), Delete], SHARED, 195_713),
        case(Good, "plain, resume other, delete", NOTHING, &[plain, up(2, 1, Resume), Delete], STILL, 231_050),
        case(Once, "plain, resume other, clean", NOTHING, &[plain, up(2, 1, Resume), Clean(1)], STILL, 200_425),
        case(Good, "plain, resume other, read", NOTHING, &[plain, up(2, 1, Resume), Read], ALL, 36_064),
        case(Steady, "force, resume other, delete", old(), &[force, up(2, 1, ForceResume), Delete], STILL, 166_152),
        case(Steady, "force, resume other, clean", old(), &[force, up(2, 1, ForceResume), Clean(1)], STILL, 112_690),
        case(Good, "resume, resume other, delete", broken_off(), &[up(1, 0, Resume), up(2, 1, Resume), Delete], STILL, 167_252),
        case(Once, "resume, resume other, clean", broken_off(), &[up(1, 0, Resume), up(2, 1, Resume), Clean(0)], STILL, 212_983),
    ]
}

/// Those who meet where requests come late, and those who see stale listings.
#[rustfmt::skip] // A case, a line.
fn late() -> Vec<Case> {
    use How::*;
    use Role::{Clean, Delete, Read};
    use Service::{Stale, Tardy};
    let plain = up(1, 0, Plain);
    let other = up(1, 1, Resume);
    vec![
        case(Tardy, "plain, plain, delete, late", NOTHING, &[plain, up(2, 0, Plain), Delete], KEPT, 103_750),
        case(Tardy, "plain, clean, delete, late", NOTHING, &[plain, Clean(1), Delete], KEPT, 69_256),
        case(Tardy, "plain, delete, read, late", NOTHING, &[plain, Delete, Read], READ, 14_749),
        case(Tardy, "force, delete, read, late", old(), &[up(1, 0, Force), Delete, Read], READ, 129_870),
        case(Stale, "resume other, delete, read, stale", nearly(), &[other, Delete, Read], KEPT, 241_766),
        case(Tardy, "force, clean old, late", old(), &[up(1, 0, Force), Clean(0)], KEPT, 6_732),
        case(Tardy, "resume other, clean, delete, late", broken_off(), &[other, Clean(0), Delete], KEPT, 129_529),
        case(Tardy, "plain, resume other, delete, late", NOTHING, &[plain, up(2, 1, Resume), Delete], KEPT, 418_067),
        case(Stale, "plain, clean, delete, stale", NOTHING, &[plain, Clean(1), Delete], KEPT, 287_763),
        case(Stale, "force, clean old, stale", old(), &[up(1, 0, Force), Clean(0)], KEPT, 22_256),
        case(Stale, "resume other, clean, stale", broken_off(), &[other, Clean(0)], KEPT, 31_952),
        case(Stale, "plain, resume, stale", NOTHING, &[plain, up(2, 0, Resume)], KEPT, 10_296),
    ]
}

/// Those who meet where conditions are ignored.
#[rustfmt::skip] // A case, a line.
fn ignoring() -> Vec<Case> {
    use How::*;
    use Role::{Clean, Delete, Read};
    use Service::{Brisk, Ignoring};
    let plain = up(1, 0, Plain);
    let force = up(1, 0, Force);
    vec![
        case(Ignoring, "plain, plain, delete, ignoring", NOTHING, &[plain, up(2, 0, Plain), Delete], KEPT, 44_994),
        case(Ignoring, "plain, clean, delete, ignoring", NOTHING, &[plain, Clean(1), Delete], KEPT, 16_878),
        case(Ignoring, "force, delete, read, ignoring", old(), &[force, Delete, Read], KEPT, 41_228),
        case(Ignoring, "force, plain, delete, ignoring", old(), &[force, up(2, 0, Plain), Delete], KEPT, 95_577),
        case(Ignoring, "plain, resume other, read, ignoring", NOTHING, &[plain, up(2, 1, Resume), Read], &[Kept, ReadWhole, ReadRight], 24_441),
        case(Brisk, "resume other, clean, delete, brisk", broken_off(), &[up(1, 1, Resume), Clean(0), Delete], KEPT, 13_506),
        case(Brisk, "plain, resume other, clean, brisk", NOTHING, &[plain, up(2, 1, Resume), Clean(1)], KEPT, 191_872),
        case(Brisk, "resume, resume other, delete, brisk", broken_off(), &[up(1, 0, Resume), up(2, 1, Resume), Delete], KEPT, 47_255),
            ]
}

/// What is not promised, each with a promise that is broken there.
#[rustfmt::skip] // A case, a line.
pub fn limits() -> Vec<Case> {
    use How::*;
    use Role::{Clean, Delete};
    use Service::{Good, Ignoring, Once, Tardy};
    let plain = up(1, 0, Plain);
    let mut late = case(Tardy, "a DELETE of a manifest comes late", NOTHING, &[plain, up(2, 0, Plain), Delete], &[Kept], 0);
    late.world.late = Late::All;
    vec![
        late,
        case(Tardy, "a PUT of a manifest comes late", NOTHING, &[plain, Delete], &[Deleted], 0),
        case(Good, "the owner stands still before the commit", NOTHING, &[plain, Clean(1)], &[Whole], 0),
        case(Once, "two replace, one deletes", old(), &[up(1, 0, Force), up(2, 0, Force), Delete], &[Whole], 0),
        case(Ignoring, "resumed while it is cleaned, ignoring", broken_off(), &[up(1, 0, Resume), Clean(0)], &[Kept], 0),
    ]
}

/// Too many states for every day.
#[rustfmt::skip] // A case, a line.
pub fn more() -> Vec<Case> {
    use How::*;
    use Role::{Clean, Delete, Read};
    use Service::{Brisk, Good, Once, Stale, Tardy};
    let plain = up(1, 0, Plain);
    let force = up(1, 0, Force);
    let other = up(2, 1, Resume);
    let force_other = up(2, 1, ForceResume);
    vec![
        case(Good, "force, force, delete, two lost", old(), &[force, up(2, 0, Force), Delete], STILL, 1_523_597),
        case(Good, "force, resume other, delete, two lost", old(), &[force, force_other, Delete], STILL, 2_274_428),
        case(Good, "force, resume other, clean, two lost", old(), &[force, force_other, Clean(1)], STILL, 939_754),
        case(Tardy, "force, force, delete, late", old(), &[force, up(2, 0, Force), Delete], KEPT, 2_032_317),
        case(Tardy, "force, resume other, delete, late", old(), &[force, force_other, Delete], KEPT, 3_409_285),
        case(Tardy, "force, resume other, clean, late", old(), &[force, force_other, Clean(1)], KEPT, 1_868_346),
        case(Stale, "plain, resume other, delete, stale", NOTHING, &[plain, other, Delete], KEPT, 1_723_750),
        case(Stale, "plain, resume other, clean, stale", NOTHING, &[plain, other, Clean(1)], KEPT, 1_753_396),
        case(Stale, "resume other, clean, delete, stale", broken_off(), &[up(1, 1, Resume), Clean(0), Delete], KEPT, 1_046_516),
        case(Once, "plain, resume other, delete, clean", NOTHING, &[plain, other, Delete, Clean(1)], STILL, 4_598_006),
        case(Once, "plain, resume other, delete, read", NOTHING, &[plain, other, Delete, Read], STILL, 923_527),
        case(Once, "plain, resume other, delete, delete", NOTHING, &[plain, other, Delete, Delete], STILL, 2_931_104),
        case(Once, "force, plain, delete, clean", old(), &[force, up(2, 0, Plain), Delete, Clean(1)], STILL, 3_988_535),
        case(Brisk, "force, resume other, delete, brisk", old(), &[force, force_other, Delete], KEPT, 363_846),
        far(true),
        case(Brisk, "plain, resume other, delete, clean, brisk", NOTHING, &[plain, other, Delete, Clean(1)], KEPT, 2_718_635),
    ]
}

/// The same two, who clean and delete, where everything may go on at any time, or
/// not; and no answer is lost.
#[rustfmt::skip] // A case, a line.
pub fn far(brisk: bool) -> Case {
    use How::{Force, ForceResume};
    use Role::{Clean, Delete};
    let all = [up(1, 0, Force), up(2, 1, ForceResume), Delete, Clean(1)];
    let mut case = case(Service::Steady, "force, resume other, delete, clean", old(), &all, &[Kept], 1_796_647);
    case.world.brisk = brisk;
    case
}
