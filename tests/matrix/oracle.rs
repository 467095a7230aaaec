//! What must be true after a run: the oracle sees the store, and believes
//! nothing that the program says of itself.

use crate::class::Nature;
use crate::expected;
use crate::format::{self, Objects, Stream};
use crate::requests::{Kind, NAME, What};
use crate::runs::{Combination, Odd, Times};
use crate::scenarios::{Goal, NEW, OTHER, Scenario, WHOLE};
use crate::support::Outcome;
use crate::support::store::SECRET;

/// A run, and all that is known of it.
pub struct Case<'a> {
    /// What was to be done, and how it was answered.
    pub combination: &'a Combination,
    /// The store before.
    pub before: &'a Objects,
    /// The store after, with all that was late.
    pub after: &'a Objects,
    /// Whether the bucket is there.
    pub bucket: bool,
    /// How it ended.
    pub outcome: &'a Outcome,
    /// It had to be killed.
    pub hung: bool,
}

impl Case<'_> {
    /// What was to be done.
    pub fn scenario(&self) -> &Scenario {
        self.combination.scenario
    }

    /// Whether any of the odd answers is such a one.
    pub fn any(&self, is: impl Fn(&Odd) -> bool) -> bool {
        self.combination.odd.iter().any(is)
    }
}

type Verdict = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}

/// What is wrong, if anything.
pub fn judge(case: &Case) -> Verdict {
    ensure!(!case.hung, "it did not come to its end");
    nothing_lost(case)?;
    nothing_told(case)?;
    let status = case.outcome.status;
    if status == 0 {
        kept(case)?;
    } else {
        short_of(case)?;
        words(case)?;
    }
    let allowed = expected::statuses(case);
    ensure!(
        allowed.contains(&status),
        "status {status}, not one of {allowed:?}"
    );
    Ok(())
}

/// Every stream is whole that was, and what nobody asked for is as it was.
fn nothing_lost(case: &Case) -> Verdict {
    let uninvolved = |key: &str| key.starts_with("unrelated/") || key.contains(OTHER);
    for (key, object) in case.before {
        let same = case.after.get(key) == Some(object);
        if same {
            continue;
        }
        ensure!(!uninvolved(key), "{key} was changed or removed");
        let may_go = match (case.scenario().family, case.scenario().goal) {
            ("upload", _) => key.contains(&format!("/{NAME}/")) || key.ends_with("/manifest/n"),
            ("delete", _) => true,
            ("clean", Goal::Cleaned(goes)) => goes(key) || may_be_mistaken(case, key),
            _ => false,
        };
        ensure!(may_go, "{key} was changed or removed");
    }
    let was_whole = format::read(case.before, NAME).is_ok();
    match format::read(case.after, NAME) {
        Err(why) => ensure!(!was_whole || misled(case), "{why}"),
        Ok(None) => {
            let had = case.before.contains_key(&format::manifest_key(NAME));
            let may_go = case.scenario().family == "delete";
            ensure!(!had || may_go, "the stream is gone");
        }
        Ok(Some(stream)) => {
            let old = format::read(case.before, NAME).ok().flatten();
            let new = case.scenario().family == "upload" && stream.data == *NEW;
            let same = old.as_ref() == Some(&stream);
            ensure!(same || new, "the stream is another one");
        }
    }
    // What was there of version 1 is whole, or not a stream any more.
    let info = format::old_key(NAME, "info");
    let blocks = format::old_key(NAME, "block.");
    let count = |objects: &Objects| {
        objects
            .keys()
            .filter(|key| key.starts_with(&blocks))
            .count()
    };
    let whole = !case.after.contains_key(&info) || count(case.after) == count(case.before);
    ensure!(whole, "the stream of version 1 is only half there");
    Ok(())
}

/// Clean was told that no manifest names an upload. Once, that costs its record
/// and nothing else, since it looks again; for good, nobody could know better.
fn may_be_mistaken(case: &Case, key: &str) -> bool {
    let lied = case.any(|odd| odd.what.kind == Kind::Manifest) && told(case);
    lied && (misled(case) || key.starts_with("s3pipe/upload/"))
}

/// Clean was told so for good.
fn misled(case: &Case) -> bool {
    let lasting = |odd: &Odd| odd.what.kind == Kind::Manifest && odd.times != Times::Once;
    case.scenario().family == "clean" && case.any(lasting) && told(case)
}

/// No secret, no panic, and lines as they should be.
fn nothing_told(case: &Case) -> Verdict {
    let (out, err) = (&case.outcome.stdout, &case.outcome.stderr);
    let told = |text: &[u8]| {
        text.windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes())
    };
    ensure!(!told(out) && !told(err.as_bytes()), "it told a secret");
    ensure!(!err.contains("panicked"), "it panicked");
    ensure!(
        err.is_empty() || err.ends_with('\n'),
        "a line without an end"
    );
    for line in err.lines() {
        ensure!(line.starts_with("s3pipe: "), "a line of no form: {line}");
        ensure!(line.len() < 600, "a line of {} bytes", line.len());
        ensure!(!line.chars().any(char::is_control), "a control character");
    }
    Ok(())
}

/// It says that it is done: then it is.
fn kept(case: &Case) -> Verdict {
    let (out, err) = (&case.outcome.stdout, case.outcome.stderr.as_str());
    match case.scenario().goal {
        Goal::Stored => {
            let stream = format::read(case.after, NAME)?;
            stored(case, stream.ok_or("done, but there is no stream")?)?;
        }
        Goal::Written(offset, length) => {
            let wanted = &WHOLE[offset..offset + length];
            // Of version 1 nobody knows the end but from the listing, and so
            // that it cannot be proved is said.
            let cut = err.contains("cannot be proved") && told(case) && wanted.starts_with(out);
            ensure!(out == wanted || cut, "done, but {} other bytes", out.len());
        }
        Goal::Verified => ensure!(out.is_empty(), "verify wrote something"),
        Goal::Printed(text) => {
            let found = String::from_utf8_lossy(out);
            ensure!(found == text() || told(case), "printed: {found}");
        }
        Goal::Gone => {
            let manifest = format::manifest_key(NAME);
            ensure!(
                !case.after.contains_key(&manifest),
                "done, but the stream is there"
            );
            let info = format::old_key(NAME, "info");
            ensure!(
                !case.after.contains_key(&info),
                "done, but version 1's is there"
            );
            let ours = |key: &&String| key.contains("/n/") || key.starts_with("stream.");
            let left: Vec<&String> = case.after.keys().filter(ours).collect();
            silent_about(case, &left)?;
        }
        Goal::Cleaned(goes) => {
            let left: Vec<&String> = case.after.keys().filter(|key| goes(key)).collect();
            silent_about(case, &left)?;
        }
        Goal::Bucket(there) => {
            let done = case.bucket == there || told(case);
            ensure!(done, "done, but the bucket is not");
        }
    }
    let claims = err.contains("not committed") || err.contains("nothing was committed");
    ensure!(!claims, "done, but it says that it is not");
    Ok(())
}

/// It was told something that is not so, and that nobody could have doubted.
pub fn told(case: &Case) -> bool {
    case.any(|odd| {
        let kind = odd.what.kind;
        odd.class.nature == Nature::Past
            || match odd.class.name {
                "s3-NoSuchKey" | "claims-less" | "flipped-text" => true,
                "empty-200" => kind == Kind::OldInfo,
                // Who may not look there has no such streams to care for.
                "s3-AccessDenied" => matches!(kind, Kind::OldInfo | Kind::ListOld),
                "s3-NoSuchBucket" => case.scenario().family == "deletebucket",
                "list-size" | "list-no-time" => true,
                "list-no-size" | "list-stranger" => case.scenario().family == "clean",
                _ => false,
            }
    })
}

/// What an upload that is done has stored.
fn stored(case: &Case, stream: Stream) -> Verdict {
    ensure!(stream.data == *NEW, "done, but another stream is there");
    // Of its own upload, and of the one that it has replaced.
    let replaced = format::read(case.before, NAME)?.map(|stream| stream.upload);
    let left = case.after.keys().filter(|key| {
        let ours = key.contains(&stream.upload) && !stream.keys.contains(*key);
        ours || replaced.as_ref().is_some_and(|id| key.contains(id))
    });
    silent_about(case, &left.collect::<Vec<_>>())
}

/// What should have been removed is left: that must be said, unless it was
/// told otherwise.
fn silent_about(case: &Case, left: &[&String]) -> Verdict {
    let words = ["left behind", "its uploads are spared"];
    let said = words.iter().any(|word| case.outcome.stderr.contains(word));
    match left.first() {
        Some(key) if !said && !told(case) => {
            Err(format!("done, but {key} is left, and nothing said"))
        }
        _ => Ok(()),
    }
}

/// It says that it is not done: what there is, is true all the same.
fn short_of(case: &Case) -> Verdict {
    let (out, err) = (&case.outcome.stdout, case.outcome.stderr.as_str());
    match case.scenario().goal {
        Goal::Written(offset, length) => {
            let wanted = &WHOLE[offset..offset + length.max(out.len()).min(WHOLE.len() - offset)];
            ensure!(
                wanted.starts_with(out),
                "{} bytes that are not the stream's",
                out.len()
            );
            let far = format!("{} bytes", out.len());
            let said = err.contains(&far) || out.is_empty();
            ensure!(said, "it does not say that it wrote {far}");
        }
        // A list of all streams may have one that cannot be read.
        Goal::Printed(_) => {
            let unread = case.scenario().args.contains(&"-l") && case.outcome.status == 65;
            ensure!(unread || out.is_empty(), "half an answer was printed");
        }
        Goal::Stored => {
            let found = format::read(case.after, NAME)?;
            let ours = found.is_some_and(|stream| stream.data == *NEW);
            let denied = err.contains("not committed") || err.contains("nothing was committed");
            ensure!(!(ours && denied), "it says that nothing was committed");
            let words = ["commit unknown", "committed", "run s3pipe verify"];
            let known = words.iter().any(|word| err.contains(word));
            ensure!(!ours || known, "it is committed, and nothing says so");
            let claimed = err.contains("the stream is committed");
            ensure!(!claimed || ours, "it says that it is committed");
        }
        _ => {}
    }
    Ok(())
}

/// One line is the error, and names what happened.
fn words(case: &Case) -> Verdict {
    let mut lines: Vec<&str> = case.outcome.stderr.lines().collect();
    let error = lines.pop().ok_or("nothing was said")?;
    let parts = error.splitn(3, ": ").count();
    ensure!(parts == 3, "no 'what: why'");
    for line in lines {
        let known = expected::WARNINGS.iter().any(|text| line.contains(text));
        // What is wrong with a stream, and in the end that something is.
        let finding = line.starts_with("s3pipe: verify: ")
            || (line.starts_with("s3pipe: clean: ") && error.contains("run s3pipe verify"));
        ensure!(known || finding, "two errors");
    }
    let [odd] = &case.combination.odd[..] else {
        return Ok(());
    };
    if odd.times != Times::Always || case.outcome.status == case.scenario().status {
        return Ok(());
    }
    if told(case) {
        // It followed what it was told to where nothing fits any more.
        return Ok(());
    }
    if case.outcome.status == 66 {
        ensure!(
            error.contains("no such") || error.contains("404"),
            "it does not say what is missing"
        );
        return Ok(());
    }
    let (about, says) = (object(&odd.what), odd.class.says);
    // A finding comes before the error that says that there is one.
    let named = case.outcome.stderr.contains(about);
    ensure!(named, "the message does not name {about}");
    let condition = odd.class.name == "s3-PreconditionFailed" && odd.what.method == "PUT";
    if condition || odd.what.method == "HEAD" {
        // What it means can be said in other words.
        return Ok(());
    }
    ensure!(error.contains(says), "the message does not say {says}");
    Ok(())
}

/// What a message about this is expected to name.
fn object(what: &What) -> &'static str {
    match what.kind {
        Kind::Manifest => "manifest/",
        Kind::Record => "upload/",
        Kind::Index | Kind::Block => "/n",
        Kind::OldInfo | Kind::OldBlock => "stream.",
        // A listing, or many objects.
        _ => "test",
    }
}
