//! The commands, in one table: what is stored before, the command line, and
//! what must hold if it says that it is done.

use std::sync::LazyLock;
use std::time::Duration;

use crate::format::{self, BEGAN, BLOCK, Objects, upload_id};
use crate::requests::NAME;
use crate::support::random;
use crate::support::store::Object;

/// What stands beside [`NAME`], and that nothing may touch.
pub const OTHER: &str = "other";

/// What is uploaded: three blocks in two indexes. The last one is so long that
/// it is under way for a while.
pub static NEW: LazyLock<Vec<u8>> = LazyLock::new(|| random(1, 2 * BLOCK + 60_000));

/// What is there to be read.
pub static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| random(2, 2 * BLOCK + 5_000));

/// What is there to be replaced.
pub static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| random(3, BLOCK + 1_000));

/// What belongs to none of them.
static STRAY: LazyLock<Vec<u8>> = LazyLock::new(|| random(4, BLOCK));

/// A command line, on a store.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The command.
    pub family: &'static str,
    /// The command line, but for what all have.
    pub args: &'static [&'static str],
    /// What is in the store, yesterday and now.
    pub world: fn() -> World,
    /// How many objects a page of a listing has.
    pub page: usize,
    /// The status that it ends with where nothing is odd.
    pub status: i32,
    /// What must hold then.
    pub goal: Goal,
}

/// What a store holds.
#[derive(Clone, Default)]
pub struct World {
    /// At the beginning: what a stale answer may show.
    pub yesterday: Objects,
    /// When the command starts.
    pub now: Objects,
    /// There is no bucket.
    pub no_bucket: bool,
}

/// What a run that is done has done.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Stored [`NEW`].
    Stored,
    /// Written these bytes of the stream.
    Written(usize, usize),
    /// Found the stream whole.
    Verified,
    /// Printed this.
    Printed(fn() -> String),
    /// Removed the stream.
    Gone,
    /// Removed the objects whose keys this is true of, and no others.
    Cleaned(fn(&str) -> bool),
    /// Made the bucket, or removed it.
    Bucket(bool),
}

const fn scenario(
    name: &'static str,
    family: &'static str,
    args: &'static [&'static str],
    world: fn() -> World,
    goal: Goal,
) -> Scenario {
    Scenario {
        name,
        family,
        args,
        world,
        page: 1000,
        status: 0,
        goal,
    }
}

const fn paged(page: usize, scenario: Scenario) -> Scenario {
    Scenario { page, ..scenario }
}

const fn fails(status: i32, scenario: Scenario) -> Scenario {
    Scenario { status, ..scenario }
}

use Goal::{Bucket, Cleaned, Gone, Printed, Stored, Verified, Written};

/// All of them.
#[rustfmt::skip] // One scenario, one paragraph.
pub static SCENARIOS: &[Scenario] = &[
    scenario("upload", "upload", &["upload", "-j1", "--blocksize=64K"], beside, Stored),
    scenario("upload-3", "upload", &["upload", "-j3", "--blocksize=64K"], beside, Stored),
    scenario("upload-force", "upload", &["upload", "-f", "-j1", "--blocksize=64K"], old, Stored),
    scenario("upload-force-3", "upload", &["upload", "-f", "-j3", "--blocksize=64K"], old, Stored),
    paged(2, scenario("upload-resume", "upload", &["upload", "--resume", "-j1"],
        broken_off, Stored)),
    scenario("upload-resume-3", "upload", &["upload", "--resume", "-j3"], broken_off, Stored),
    scenario("upload-command", "upload",
        &["upload", "-j1", "--blocksize=64K", "--", "sh", "-c", "exec cat"], beside, Stored),
    fails(73, scenario("upload-there", "upload", &["upload", "-j1"], old, Stored)),
    fails(73, scenario("upload-there-v1", "upload", &["upload", "-j1"], version1, Stored)),

    scenario("download", "download", &["download", "-j1"], whole, Written(0, 2 * BLOCK + 5_000)),
    scenario("download-3", "download", &["download", "-j3"], whole, Written(0, 2 * BLOCK + 5_000)),
    scenario("download-part", "download", &["download", "-j1", "--offset=65000", "--length=70000"],
        whole, Written(65_000, 70_000)),
    fails(65, scenario("download-damaged", "download", &["download", "-j1"],
        damaged, Written(0, BLOCK))),
    fails(66, scenario("download-none", "download", &["download", "-j1"], beside, Written(0, 0))),

    paged(2, scenario("verify", "verify", &["verify", "-j1"], whole, Verified)),
    scenario("verify-3", "verify", &["verify", "-j3"], whole, Verified),
    paged(2, scenario("verify-quick", "verify", &["verify", "--quick"], whole, Verified)),
    fails(65, scenario("verify-damaged", "verify", &["verify", "-j1"], damaged, Verified)),
    fails(65, scenario("verify-quick-damaged", "verify", &["verify", "--quick"],
        damaged, Verified)),

    scenario("list", "list", &["list"], whole, Printed(|| format!("{NAME}\n{OTHER}\n"))),
    scenario("list-l", "list", &["list", "-l"], whole, Printed(long)),
    scenario("list-incomplete", "list", &["list", "--incomplete"], messy,
        Printed(|| format!("{}\t{NAME}\n{}\tp\n", upload_id(3), upload_id(4)))),
    scenario("info", "info", &["info"], whole, Printed(figures)),

    scenario("delete", "delete", &["delete"], whole, Gone),
    fails(66, scenario("delete-none", "delete", &["delete"], beside, Gone)),

    scenario("clean", "clean", &["clean", "--older-than=1d"], messy, Cleaned(mess)),
    scenario("clean-n", "clean", &["clean", "-n", "--older-than=1d"], messy,
        Printed(|| format!("{}\t{BLOCK}\t1\t{NAME}\n", upload_id(3)))),
    fails(65, scenario("clean-damaged", "clean", &["clean", "--older-than=1d"],
        messy_damaged, Cleaned(abandoned))),

    scenario("v1-list", "list", &["list", "-l"], version1, Printed(old_long)),
    scenario("v1-download", "download", &["download", "-j1"],
        version1, Written(0, 2 * BLOCK + 5_000)),
    scenario("v1-verify", "verify", &["verify", "-j1"], version1, Verified),
    scenario("v1-delete", "delete", &["delete"], version1, Gone),

    scenario("createbucket", "createbucket", &["createbucket"], no_bucket, Bucket(true)),
    scenario("deletebucket", "deletebucket", &["deletebucket"], World::default, Bucket(false)),
];

/// Whether `clean` has to remove this of [`messy`].
fn mess(key: &str) -> bool {
    key == stray_key(2, 0) || key == format::record_key(NAME, &upload_id(2)) || abandoned(key)
}

/// Whether it belongs to the upload that was never committed.
fn abandoned(key: &str) -> bool {
    key.contains(&upload_id(3))
}

fn long() -> String {
    let (time, bytes) = (BEGAN.1, WHOLE.len());
    format!("{time}\t{bytes}\t3\t{NAME}\n{time}\t1000\t1\t{OTHER}\n")
}

fn old_long() -> String {
    let (time, bytes) = (BEGAN.1, WHOLE.len());
    format!("2007-11-30T11:50:45Z\t{bytes}\t3\t{NAME}\n{time}\t1000\t1\t{OTHER}\n")
}

fn figures() -> String {
    format!(
        "stream      {NAME}\nupload      {}\ncreated     {}\n\
         bytes       136072 (132.9 KiB)\nblocks      3\nblocksize   65536 (64.0 KiB)\n\
         indexes     2\nencryption  none\n",
        upload_id(2),
        BEGAN.1
    )
}

/// Something else, and nothing of [`NAME`].
fn beside() -> World {
    let mut objects = Objects::new();
    format::commit(&mut objects, OTHER, &upload_id(9), &random(9, 1000));
    objects.insert("unrelated/object".into(), Object::new("unrelated"));
    World {
        yesterday: objects.clone(),
        now: objects,
        no_bucket: false,
    }
}

/// A stream that was not there yesterday.
fn old() -> World {
    let mut world = beside();
    format::commit(&mut world.now, NAME, &upload_id(1), &OLD);
    world
}

/// A stream that was another one yesterday.
fn whole() -> World {
    let mut world = beside();
    format::commit(&mut world.yesterday, NAME, &upload_id(1), &OLD);
    format::commit(&mut world.now, NAME, &upload_id(2), &WHOLE);
    world
}

/// One whose second block is missing.
fn damaged() -> World {
    let mut world = whole();
    lose_block(&mut world, 2);
    world
}

fn lose_block(world: &mut World, upload: u64) {
    let second = format!("s3pipe/block/{NAME}/{}/0000000001.", upload_id(upload));
    world.now.retain(|key, _| !key.starts_with(&second));
}

/// An upload that was broken off behind its second block: the first is there
/// with other contents too, the second with other contents only.
fn broken_off() -> World {
    let mut world = beside();
    let id = upload_id(2);
    format::record(&mut world.now, NAME, &id);
    world.yesterday.extend(world.now.clone());
    let mut all = Objects::new();
    format::write(&mut all, NAME, &id, &NEW);
    all.retain(|key, _| key.contains("/0000000000.") && key.contains("/block/"));
    world.now.extend(all);
    world.now.extend([stray(2, 0), stray(2, 1)]);
    world
}

/// A block of this upload with this number that does not belong to its stream.
fn stray(upload: u64, block: u64) -> (String, Object) {
    (stray_key(upload, block), Object::new(&**STRAY))
}

fn stray_key(upload: u64, block: u64) -> String {
    static HASH: LazyLock<String> = LazyLock::new(|| format::sha256(&STRAY));
    let (id, hash) = (upload_id(upload), &*HASH);
    format!("s3pipe/block/{NAME}/{id}/{block:010}.{hash}")
}

/// A committed upload with its record and a stray block left; an old one that
/// was never committed; a young one.
fn messy() -> World {
    let mut world = whole();
    let now = &mut world.now;
    format::record(now, NAME, &upload_id(2));
    now.extend([stray(2, 0)]);
    format::record(now, NAME, &upload_id(3));
    format::write(now, NAME, &upload_id(3), &random(5, BLOCK));
    for object in now.values_mut() {
        object.modified -= Duration::from_secs(2 * 86_400);
    }
    format::record(now, "p", &upload_id(4));
    format::write(now, "p", &upload_id(4), &random(6, 1000));
    world
}

/// The same, with a block of the committed one missing.
fn messy_damaged() -> World {
    let mut world = messy();
    lose_block(&mut world, 2);
    world
}

/// A stream of version 1.
fn version1() -> World {
    let mut world = beside();
    format::write_old(&mut world.now, NAME, &WHOLE);
    world
}

fn no_bucket() -> World {
    World {
        no_bucket: true,
        ..World::default()
    }
}
