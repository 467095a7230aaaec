//! The mutants, in one table: what is changed, and what must notice it.
//!
//! Each snippet stands exactly once in its file. Some guards are second ones,
//! which no odd answer reaches while the first one holds: there the mutant takes
//! the first away as well, and what is wrong afterwards tells the two apart.

/// A way to spoil the program.
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// What is changed, each by a file below `src`, its own text, and another. In
    /// that, `MUTANT(name)` is whether this mutant is switched on.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
    /// What must fail then, and only then.
    pub check: Check,
    /// What is said of the failure has this in it.
    pub says: &'static str,
}

/// A part of the tests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The combinations of the matrix with this in their names.
    Matrix(&'static str),
    /// The test of the suite with this name.
    Suite(&'static str),
}

use Check::{Matrix, Suite};

const fn mutant(
    name: &'static str,
    edits: &'static [(&'static str, &'static str, &'static str)],
    check: Check,
    says: &'static str,
) -> Mutant {
    Mutant { name, edits, check, says }
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    // What proves a PUT.
    mutant("any-2xx-of-a-put", &[(
        "s3/ops.rs",
        "status => format!(\"its status is {status}, not 200\"),",
        "_ if MUTANT(any-2xx-of-a-put) => return None,
         status => format!(\"its status is {status}, not 200\"),",
    )], Matrix("upload/PUT-block-1#1/bare-202/once"), "block 0000000001 is missing"),
    mutant("put-needs-no-etag", &[(
        "s3/ops.rs",
        "200 if !self.no_etags && ",
        "200 if !MUTANT(put-needs-no-etag) && !self.no_etags && ",
    )], Matrix("upload/PUT-block-1#1/no-etag-not-done/once"), "block 0000000001 is missing"),
    mutant("early-200", &[(
        "s3/ops.rs",
        "_ if !answer.whole =>",
        "_ if !answer.whole && !MUTANT(early-200) =>",
    )], Matrix("upload/PUT-block-2#1/early-200"), "block 0000000002 is missing"),
    mutant("body-of-a-put", &[(
        "s3/ops.rs",
        "200 if !body.is_empty() =>",
        "200 if !body.is_empty() && !MUTANT(body-of-a-put) =>",
    )], Matrix("upload/PUT-block-1#1/page-200-etag/once"), "block 0000000001 is missing"),
    mutant("other-checksum", &[(
        "s3/ops.rs",
        "200 if sum.is_some_and(",
        "200 if !MUTANT(other-checksum) && sum.is_some_and(",
    )], Matrix("upload/PUT-block-1#1/wrong-checksum/once"), "block 0000000001 is missing"),
    mutant("error-in-a-200", &[(
        "s3/ops.rs",
        "match xml::error(body) {",
        "match xml::error(body).filter(|_| !MUTANT(error-in-a-200)) {",
    )], Matrix("upload/PUT-block-0#1/error-200/always"), "does not say InternalError"),
    mutant("one-etag-lost", &[(
        "stream/record.rs",
        "if shown.etag.is_some() || known.etags || known.no_etags {",
        "if !MUTANT(one-etag-lost) && (shown.etag.is_some() || known.etags || known.no_etags) {",
    ), (
        "s3/client.rs",
        "self.settings.known.no_etags = !self.settings.known.etags;",
        "self.settings.known.no_etags = !self.settings.known.etags || MUTANT(one-etag-lost);",
    )], Suite("odd::etags::one_lost_etag_teaches_nothing"), ""),
    mutant("etags-not-taken-back", &[(
        "s3/attempt.rs",
        "self.settings.known.no_etags = false;",
        "self.settings.known.no_etags &= MUTANT(one-etag-lost) || MUTANT(etags-not-taken-back);",
    )], Suite("odd::etags::an_etag_takes_back_that_there_are_none"), ""),
    mutant("workers-do-not-know", &[(
        "workers/coordinator.rs",
        "self.task.settings = client.settings().clone();",
        "self.task.settings = client.settings().clone();
         if MUTANT(workers-do-not-know) {
             self.task.settings.known = Default::default();
         }",
    )], Matrix("upload-3/service/no-etags"), "it has no ETag"),

    // What proves a GET.
    mutant("hash-of-a-block", &[(
        "stream/block.rs",
        "if found == self.sha256 {",
        "if found == self.sha256 || MUTANT(hash-of-a-block) {",
    )], Matrix("download/GET-block-1#1/flipped/once"), "other bytes"),
    mutant("hash-of-an-index", &[(
        "s3/ops.rs",
        "} else if found != sha256 {",
        "} else if found != sha256 && !MUTANT(hash-of-an-index) {",
    )], Suite("damage::damaged_blocks_and_indexes"), ""),
    mutant("md5-of-version-1", &[(
        "stream/version1.rs",
        "if md5.is_some_and(",
        "if !MUTANT(md5-of-version-1) && md5.is_some_and(",
    )], Matrix("v1-download/GET-v1-block-1#1/flipped/once"), "other bytes"),
    mutant("etag-of-a-text", &[(
        "s3/ops.rs",
        "if damaged && self.doubtful",
        "if !MUTANT(etag-of-a-text) && damaged && self.doubtful",
    )], Matrix("download/GET-manifest#1/flipped-text/once"), "status"),
    mutant("totals-of-a-manifest", &[(
        "stream/manifest.rs",
        "if !fits {",
        "if !fits && !MUTANT(totals-of-a-manifest) {",
    )], Matrix("download/GET-manifest#1/claims-nothing/once"), "0 other bytes"),
    mutant("another-streams-manifest", &[(
        "stream/commit.rs",
        "if manifest.name == *name {",
        "if manifest.name == *name || MUTANT(another-streams-manifest) {",
    )], Matrix("download/GET-manifest#1/another's/once"), "status"),
    mutant("page-believed", &[(
        "s3/fault.rs",
        "Fault::Foreign { .. } | Fault::Wrong { .. } => Verdict::Again,",
        "Fault::Foreign { exit, .. } if MUTANT(page-believed) => Verdict::Final(*exit),
         Fault::Foreign { .. } | Fault::Wrong { .. } => Verdict::Again,",
    )], Matrix("download/GET-manifest#1/page-200/once"), "status 65"),
    mutant("404-of-a-page", &[(
        "s3/attempt.rs",
        "let anonymous = refusal.code.is_empty()",
        "let anonymous = !(MUTANT(404-of-a-page) && refusal.status == 404)
            && refusal.code.is_empty()",
    ), (
        "s3/fault.rs",
        "self.status == 404 && self.code == \"NoSuchKey\"",
        "self.status == 404 && (MUTANT(404-of-a-page) || self.code == \"NoSuchKey\")",
    )], Matrix("upload-there/GET-manifest#1/page-404/once"), "status 75"),
    mutant("no-head", &[(
        "s3/attempt.rs",
        "call.key.filter(|_| sizes.differ())",
        "call.key.filter(|_| sizes.differ() && !MUTANT(no-head))",
    )], Suite("odd::evidence::what_head_shows_whole_was_cut_on_the_way"), ""),
    mutant("missing-at-once", &[(
        "s3/ops.rs",
        "Err(f) if f.no_such_key() && reading < READINGS",
        "Err(f) if f.no_such_key() && reading < READINGS && !MUTANT(missing-at-once)",
    )], Matrix("download/GET-block-1#1/s3-NoSuchKey/once"), "status 65"),
    mutant("missing-is-damaged", &[(
        "stream/index.rs",
        "if *now == *manifest =>",
        "if *now == *manifest || MUTANT(missing-is-damaged) =>",
    )], Suite("policies::readers::replaced_between_two_blocks"), ""),

    // What is computed before status 0.
    mutant("block-not-written", &[(
        "commands/fetch.rs",
        "if !part.is_empty() {",
        "let skipped = MUTANT(block-not-written) || MUTANT(written-uncounted);
         if !part.is_empty() && !(skipped && block.number == 1) {",
    )], Matrix("download/service/pages-of-1"), "status 70"),
    mutant("written-uncounted", &[(
        "commands/download.rs",
        "if written == wanted {",
        "if written == wanted || MUTANT(written-uncounted) {",
    )], Matrix("download/service/pages-of-1"), "other bytes"),
    mutant("block-not-stored", &[(
        "commands/send.rs",
        "if length > 0 {",
        "let skipped = MUTANT(block-not-stored) || MUTANT(stored-uncounted);
         if length > 0 && !(skipped && self.stored().1 == 1 && length as u64 == size) {",
    )], Matrix("upload/service/pages-of-1"), "status 70"),
    mutant("stored-uncounted", &[(
        "commands/send.rs",
        "if stored == self.read {",
        "if stored == self.read || MUTANT(stored-uncounted) {",
    )], Matrix("upload/service/pages-of-1"), "the stream is another one"),

    mutant("finding-uncounted", &[(
        "commands/verify.rs",
        "self.bad += 1;",
        "self.bad += u64::from(!MUTANT(finding-uncounted));",
    )], Matrix("verify-damaged/service/pages-of-1"), "status 0"),

    // The commit.
    mutant("no-record-before", &[(
        "stream/commit.rs",
        "let owned = owned.and_then(|()| self.store.progress().check());",
        "let owned = if MUTANT(no-record-before) { Ok(()) } else { owned };
         let owned = owned.and_then(|()| self.store.progress().check());",
    )], Suite("commit::an_upload_cleaned_away_is_not_committed"), ""),
    mutant("no-record-after", &[(
        "commands/upload.rs",
        "last_look(store, &record)?;",
        "if !MUTANT(no-record-after) {
             last_look(store, &record)?;
         }",
    )], Suite("commit::an_upload_cleaned_away_after_its_commit_says_so"), ""),
    mutant("nonce", &[(
        "stream/record.rs",
        "Some(got) if got.value == *record => return Ok(()),",
        "Some(got) if got.value == *record || MUTANT(nonce) => return Ok(()),",
    )], Suite("resume::the_old_owner_notices"), ""),
    mutant("commit-not-seen", &[(
        "stream/commit.rs",
        "let Some(found) = seen_after(",
        "if MUTANT(commit-not-seen) && sent.is_ok() {
             return Ok(true);
         }
         let Some(found) = seen_after(",
    )], Matrix("upload/PUT-manifest#1/not-done/once"), "no path of tests/model: upload"),
    mutant("commit-repeated-blind", &[(
        "stream/commit.rs",
        "self.store.client.step(&mut put, &mut self.trial)",
        "if MUTANT(commit-repeated-blind) {
             return self.store.client.run(&mut put).map_err(Halt::from);
         }
         self.store.client.step(&mut put, &mut self.trial)",
    )], Suite("odd::races::a_deleted_stream_does_not_come_back_with_a_repeated_commit"), ""),
    mutant("record-repeated-blind", &[(
        "stream/record.rs",
        "let fault = match store.client.step(&mut put, trial) {",
        "if MUTANT(record-repeated-blind) {
             store.client.run(&mut put)?;
             return see(store, record).map(|()| true);
         }
         let fault = match store.client.step(&mut put, trial) {",
    )], Suite("odd::records::what_was_removed_does_not_come_back"), ""),
    mutant("no-look-before", &[(
        "stream/commit.rs",
        "let found = look(self.store, &self.manifest.name);",
        "let found = if MUTANT(no-look-before) {
             Ok(self.seen.clone())
         } else {
             look(self.store, &self.manifest.name)
         };",
    )], Suite("commit::ignored_conditions_are_made_up_for_by_a_look"), ""),
    mutant("no-condition", &[(
        "stream/commit.rs",
        "(ManifestState::Absent | ManifestState::Unknown, _) => Condition::Absent,",
        "_ if MUTANT(no-condition) => Condition::None,
         (ManifestState::Absent | ManifestState::Unknown, _) => Condition::Absent,",
    )], Suite("policies::write_only::a_stream_committed_meanwhile_stays"), ""),
    mutant("no-if-match", &[(
        "stream/commit.rs",
        "(_, Some(etag)) => Condition::Unchanged(etag),",
        "(_, Some(etag)) if !MUTANT(no-if-match) => Condition::Unchanged(etag),
         (_, Some(_)) => Condition::None,",
    )], Suite("policies::rivals::of_two_that_replace_the_last_commit_stands"), ""),
    mutant("412-of-a-commit", &[(
        "stream/commit.rs",
        "Some(412) if untouched =>",
        "Some(412) if MUTANT(412-of-a-commit) => return Err(self.unseen(failure.error)),
         Some(412) if untouched =>",
    )], Matrix("upload-force/service/conditions-unquoted"), "status 69"),
    mutant("412-of-a-record", &[(
        "stream/record.rs",
        "Some(412) if is_there(",
        "Some(412) if !MUTANT(412-of-a-record) && is_there(",
    )], Matrix("upload-resume/service/conditions-unquoted"), "status 75"),
    mutant("condition-needed", &[(
        "stream/commit.rs",
        "Some(501) if self.conditional =>",
        "Some(501) if self.conditional && !MUTANT(condition-needed) =>",
    )], Matrix("upload-force/service/conditions-501"), "status 69"),
    mutant("replaced-stays", &[(
        "commands/upload.rs",
        "let replaced = remove_upload(store, &old.name, &old.upload);",
        "let replaced = if MUTANT(replaced-stays) {
             Ok(true)
         } else {
             remove_upload(store, &old.name, &old.upload)
         };",
    )], Matrix("upload-force/service/pages-of-1"), "is left, and nothing said"),
    mutant("size-at-resume", &[(
        "commands/send.rs",
        ".contains(&(block.length, sha256))",
        ".iter()
         .any(|(n, hash)| (MUTANT(size-at-resume) || *n == block.length) && *hash == sha256)",
    ), (
        "workers/worker.rs",
        "stored.contains(&(block.length, sha256))",
        "stored.iter()
         .any(|(n, hash)| (MUTANT(size-at-resume) || *n == block.length) && *hash == sha256)",
    )], Suite("resume::a_stored_block_of_the_wrong_size_is_sent_again"), ""),

    // Listings.
    mutant("order-in-a-page", &[(
        "s3/listing.rs",
        "self.misplaced(page, true).filter(|_| self.ordered)",
        "self.misplaced(page, true).filter(|_| self.ordered
            && !MUTANT(order-in-a-page) && !MUTANT(no-own-check))",
    )], Matrix("verify/GET-list-block#1/list-reversed/once"), "status 65"),
    mutant("order-of-pages", &[(
        "s3/listing.rs",
        "let mut last = self.last.as_deref();",
        "let mut last = self.last.as_deref().filter(|_| !MUTANT(order-of-pages));",
    )], Matrix("verify/service/reversed-pages"), "status 65"),
    mutant("listing-cut", &[(
        "s3/listing.rs",
        "self.done = !page.truncated;",
        "self.done = !page.truncated || MUTANT(listing-cut);",
    )], Matrix("list/service/pages-of-1"), "printed: "),
    mutant("listed-twice", &[(
        "commands/streams.rs",
        "names.dedup();",
        "if !MUTANT(listed-twice) {
             names.dedup();
         }",
    )], Matrix("list/GET-list-manifest#1/list-doubled/once"), "printed: "),
    mutant("keys-not-asked-for", &[(
        "s3/listing.rs",
        "if keys().any(|key| !key.starts_with(&self.prefix)) {",
        "if !MUTANT(keys-not-asked-for) && keys().any(|key| !key.starts_with(&self.prefix)) {",
    )], Matrix("list/GET-list-manifest#1/list-foreign/once"), ""),

    // Removal.
    mutant("delete-believed", &[(
        "s3/deletion.rs",
        "204 => return Ok(()),",
        "_ if MUTANT(delete-believed) => return Ok(()),
         204 => return Ok(()),",
    )], Suite("upkeep::removal::an_answer_to_delete_that_proves_nothing_is_not_believed"), ""),
    mutant("delete-not-seen", &[(
        "stream/remove.rs",
        "client.delete_watched(key, Kind::Manifest, gone)?;",
        "client.delete_watched(key, Kind::Manifest, gone)?;
         if MUTANT(delete-not-seen) {
             return Ok(());
         }",
    )], Matrix("delete/DELETE-manifest#1/not-done/once"), "no path of tests/model: delete"),
    mutant("no-last-look-of-delete", &[(
        "stream/remove.rs",
        "Ok(!is_named_still(client, keys, name, id)?)",
        "Ok(MUTANT(no-last-look-of-delete) || !is_named_still(client, keys, name, id)?)",
    )], Suite("upkeep::removal::a_stream_that_comes_back_is_not_deleted"), ""),
    mutant("no-look-between", &[(
        "stream/remove.rs",
        "if is_named(&mut store.client, &store.keys, name, id)? {",
        "if !MUTANT(no-look-between)
             && is_named(&mut store.client, &store.keys, name, id)?
         {",
    )], Suite("upkeep::cleaning::clean_looks_once_more_when_the_record_is_gone"), ""),
    mutant("no-look-at-each-batch", &[(
        "stream/remove.rs",
        "if !look(client, keys, name, id)? {",
        "if MUTANT(no-look-at-each-batch) || !look(client, keys, name, id)? {",
    )], Suite("upkeep::cleaning::clean_stops_when_an_upload_is_committed_after_all"), ""),
    mutant("strays-of-a-damaged-stream", &[(
        "stream/remove.rs",
        "Presence::Missing => ",
        "Presence::Missing if MUTANT(strays-of-a-damaged-stream) => return Ok(()),
         Presence::Missing => ",
    )], Matrix("clean-damaged/service/no-etags"), "was changed or removed"),
    mutant("no-own-check", &[(
        "stream/remove.rs",
        "if belongs(store, manifest, &mut named, key)? {",
        "if !MUTANT(no-own-check) && belongs(store, manifest, &mut named, key)? {",
    )], Matrix("clean/GET-list-block#3/list-reversed/once"), "was changed or removed"),
    mutant("strays-of-another-stream", &[(
        "stream/remove.rs",
        "if !stream::is_unchanged(store, manifest)? {",
        "if !MUTANT(strays-of-another-stream)
            && !stream::is_unchanged(store, manifest)? {",
    )], Suite("upkeep::cleaning::strays_go_only_while_the_manifest_is_the_same"), ""),
    mutant("limit-after-the-listing", &[(
        "commands/clean.rs",
        "let (uploads, began) = gather(&mut store.client, &store.keys.uploads())?;",
        "let (uploads, began) = gather(&mut store.client, &store.keys.uploads())?;
         let now = store.client.last_date().filter(|_| MUTANT(limit-after-the-listing));
         let began = now.unwrap_or(began);",
    )], Suite("upkeep::cleaning::clean_takes_the_time_before_it_looks"), ""),
    mutant("no-second-listing", &[(
        "commands/clean.rs",
        "if !contents.is_old(self.limit) {",
        "if !MUTANT(no-second-listing) && !contents.is_old(self.limit) {",
    )], Suite("upkeep::cleaning::clean_looks_again_before_it_removes"), ""),
    mutant("verify-judges-another", &[(
        "commands/verify.rs",
        "if !stream::is_unchanged(store, &manifest)? {",
        "if !MUTANT(verify-judges-another) && !stream::is_unchanged(store, &manifest)? {",
    )], Suite("upkeep::verify::the_last_look_says_what_it_saw"), ""),
    mutant("bucket-believed", &[(
        "s3/deletion.rs",
        "(Some(true), _) | (None, None) => break,",
        "(Some(false), None) if MUTANT(bucket-believed) => break,
         (Some(true), _) | (None, None) => break,",
    )], Matrix("createbucket/PUT-bucket#1/page-200/once"), "the bucket is not"),

    // What is said and asked.
    mutant("secret-told", &[(
        "s3/attempt.rs",
        "let why = refusal.why();",
        "let why = refusal.why();
         let secret = MUTANT(secret-told).then_some(&self.settings.credentials.secret);
         let why = why + secret.map_or(\"\", String::as_str);",
    )], Matrix("info/GET-manifest#1/bare-404/always"), "it told a secret"),
    mutant("redirect-followed", &[(
        "net/mod.rs",
        ".max_redirects(0)",
        ".max_redirects(if MUTANT(redirect-followed) { 3 } else { 0 })",
    )], Matrix("list/GET-list-manifest#1/redirect-307/once"), "another host was asked"),
];
