//! The policies in the manual: each grants what its commands ask for, and not
//! a thing more.
//!
//! Every request of a command is recorded, and held against the policies as
//! they stand there; then the same commands run behind a proxy that refuses
//! whatever they do not grant, as S3 does: with 403 for an object that is not
//! there, too, to a key that may not list the whole bucket. Requests for
//! streams of version 1 are never granted, and must do no harm.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tinyjson::JsonValue;

use crate::faults::site::{Site, blocks};
use crate::manual;
use crate::proxy::{Answer, Fault, Match, Proxy, Seen};
use crate::support::{Run, s3pipe};

/// The bucket of the manual's examples.
const EXAMPLE: &str = "example-backup";

/// The places where a policy's resources can be told from each other.
const PLACES: [&str; 6] = [
    "s3pipe/block/",
    "s3pipe/index/",
    "s3pipe/manifest/",
    "s3pipe/upload/",
    "stream.",
    "other/",
];

/// What a request asks IAM for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask {
    action: &'static str,
    /// An object's key, or the prefix of a listing.
    on: String,
}

impl Ask {
    fn of(seen: &Seen) -> Ask {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let key = path.strip_prefix(&format!("/{EXAMPLE}"));
        let key = key.unwrap_or_else(|| panic!("{seen:?}"));
        let key = key.trim_start_matches('/');
        let prefix = query.split('&').find_map(|q| q.strip_prefix("prefix="));
        let (action, on) = match (seen.method.as_str(), key, prefix) {
            ("GET", "", Some(prefix)) => ("s3:ListBucket", prefix.to_string()),
            ("PUT", key, None) => ("s3:PutObject", key.into()),
            ("GET" | "HEAD", key, None) => ("s3:GetObject", key.into()),
            ("DELETE", key, None) => ("s3:DeleteObject", key.into()),
            _ => panic!("what does this ask for? {seen:?}"),
        };
        let on = on.replace("%2F", "/").replace("%3D", "=");
        assert!(!on.is_empty() && !on.contains('%'), "{seen:?}");
        Ask { action, on }
    }

    /// About a stream of version 1.
    fn is_old(&self) -> bool {
        self.on.starts_with("stream.")
    }
}

/// One action on one resource, under one condition or none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    action: String,
    resource: String,
    prefix: Option<String>,
}

impl Grant {
    fn covers(&self, ask: &Ask) -> bool {
        let bucket = format!("arn:aws:s3:::{EXAMPLE}");
        let resource = match ask.action {
            "s3:ListBucket" => bucket,
            _ => format!("{bucket}/{}", ask.on),
        };
        let listed = self.prefix.as_ref().is_none_or(|p| fits(p, &ask.on));
        self.action == ask.action && fits(&self.resource, &resource) && listed
    }

    /// Lets a key see that an object is not there.
    fn tells_absence(&self) -> bool {
        self.action == "s3:ListBucket" && self.prefix.is_none()
    }
}

/// Whether the text is what the pattern, with a star at its end at most, says.
fn fits(pattern: &str, text: &str) -> bool {
    assert!(!pattern.trim_end_matches('*').contains(['*', '?']));
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

type Object = HashMap<String, JsonValue>;

/// The grants of a policy. A member that is not known here is a panic.
fn parse(text: &str) -> Vec<Grant> {
    let policy: JsonValue = text.parse().expect("JSON");
    let mut policy = members(policy);
    assert_eq!(strings(&mut policy, "Version"), ["2012-10-17"]);
    let Some(JsonValue::Array(statements)) = policy.remove("Statement") else {
        panic!("no statements: {text}");
    };
    assert!(policy.is_empty(), "{policy:?}");
    statements.into_iter().flat_map(statement).collect()
}

fn statement(value: JsonValue) -> Vec<Grant> {
    let mut statement = members(value);
    assert_eq!(strings(&mut statement, "Effect"), ["Allow"]);
    let actions = strings(&mut statement, "Action");
    let resources = strings(&mut statement, "Resource");
    let prefix = statement.remove("Condition").map(|condition| {
        let mut condition = members(condition);
        let mut like = members(condition.remove("StringLike").expect("StringLike"));
        let [prefix] = &strings(&mut like, "s3:prefix")[..] else {
            panic!("prefixes");
        };
        assert!(condition.is_empty() && like.is_empty());
        prefix.clone()
    });
    assert!(statement.is_empty(), "{statement:?}");
    let grants = actions.iter().flat_map(|action| {
        let grant = |resource: &String| Grant {
            action: action.clone(),
            resource: resource.clone(),
            prefix: prefix.clone(),
        };
        resources.iter().map(grant)
    });
    grants.collect()
}

fn members(value: JsonValue) -> Object {
    match value {
        JsonValue::Object(members) => members,
        other => panic!("not an object: {other:?}"),
    }
}

/// A member that is a string or an array of strings.
fn strings(object: &mut Object, name: &str) -> Vec<String> {
    let text = |value| match value {
        JsonValue::String(text) => text,
        other => panic!("{name}: {other:?}"),
    };
    match object.remove(name).unwrap_or_else(|| panic!("no {name}")) {
        JsonValue::Array(all) => all.into_iter().map(text).collect(),
        one => vec![text(one)],
    }
}

/// The policies of the manual, in their order there.
fn policies() -> [Vec<Grant>; 4] {
    let all = manual::under("s3pipe.1", "Permissions");
    let all: Vec<_> = all.iter().map(|text| parse(text)).collect();
    all.try_into().expect("four policies")
}

/// The example's bucket on a server, its proxy, and s3pipe on either side.
struct Example(Site);

impl Example {
    fn new() -> Example {
        let example = Example(Site::new());
        example.direct("createbucket").without("-s").run().ok();
        example
    }

    /// A command as the bucket's owner runs it, unseen.
    fn direct(&self, command: &str) -> Run {
        let run = s3pipe(&self.0.server).option("-s", "export");
        small(run, command).option("-b", EXAMPLE)
    }

    /// A command that is recorded, and refused what is not granted.
    fn run(&self, command: &str) -> Run {
        let run = self.direct(command).option("--patience", "20s");
        run.option("--endpoint", &self.0.proxy.url())
    }

    fn folder(&self) -> PathBuf {
        let root = self.0.server.root.as_ref();
        root.expect("the embedded server").join(EXAMPLE)
    }

    /// An upload that its producer has broken off.
    fn broken_off(&self, name: &str) {
        let script = "head -c 200000 /dev/zero; exit 1";
        let run = self.direct("upload").option("-s", name);
        let run = run.args(["--", "sh", "-c", script]).run();
        run.fails(65, "nothing was committed");
    }

    fn store(&self, name: &str, n: usize) {
        let run = self.direct("upload").option("-s", name);
        run.stdin(blocks(n)).run().ok();
    }

    /// An upload that was committed, and did not come to remove anything.
    fn left_untidy(&self, name: &str) {
        let proxy = Proxy::start(self.0.server.addr());
        for method in ["DELETE", "POST"] {
            let denied = Fault::Status(Answer::access_denied());
            proxy.always(Match::method(method), denied);
        }
        let run = self.direct("upload").option("-s", name).arg("-f");
        let run = run.option("--endpoint", &proxy.url()).stdin(blocks(1));
        run.run().ok_saying("the stream is committed");
    }
}

/// Several blocks and several indexes.
fn small(run: Run, command: &str) -> Run {
    let run = run.env("S3PIPE_INDEX_BLOCKS", "2").arg(command);
    match command {
        "upload" => run.option("--blocksize", "64K"),
        _ => run,
    }
}

/// As if all that is stored were an hour old.
fn age(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => age(&path),
            false => {
                let file = File::options().append(true).open(&path);
                file.and_then(|f| f.set_modified(then)).expect("a time");
            }
        }
    }
}

/// From here on, what is not granted is refused.
fn enforce(example: &Example, grants: &[Grant]) {
    let (grants, folder) = (Arc::new(grants.to_vec()), example.folder());
    let refused = Match::any().when(move |seen| {
        // What is not there is not refused.
        if seen.method == "POST" {
            return false;
        }
        let ask = Ask::of(seen);
        let absence_shows = grants.iter().any(Grant::tells_absence);
        let hidden = ask.action == "s3:GetObject" && !folder.join(&ask.on).is_file();
        !grants.iter().any(|grant| grant.covers(&ask)) || (hidden && !absence_shows)
    });
    let denied = Fault::Status(Answer::access_denied());
    example.0.proxy.always(refused, denied);
}

/// Runs the commands, recorded and then refused what is not granted. `minimal`
/// are those of the grants that must all be needed.
fn check(grants: &[Grant], minimal: &[Grant], commands: impl Fn(&Example)) {
    let mut asks = Vec::new();
    for enforced in [false, true] {
        let example = Example::new();
        // DeleteObjects asks for s3:DeleteObject on each of its keys, which
        // are in its body; without it, each is deleted by a request of its own.
        let lacking = Answer::s3(501, "Not Implemented", "NotImplemented", "No.", "");
        let bulk = Match::method("POST").target("delete");
        example.0.proxy.always(bulk, Fault::Status(lacking));
        if enforced {
            enforce(&example, grants);
        }
        commands(&example);
        let mut seen = example.0.proxy.seen();
        seen.retain(|seen| seen.method != "POST");
        asks.extend(seen.iter().map(Ask::of).filter(|ask| !ask.is_old()));
    }
    for ask in &asks {
        let granted = grants.iter().any(|grant| grant.covers(ask));
        assert!(granted, "not granted: {ask:?}");
    }
    for grant in minimal {
        let used = asks.iter().any(|ask| grant.covers(ask));
        assert!(used, "of no use: {grant:?}");
    }
    // A resource with a star may be wider than what is asked for.
    for action in ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"] {
        for place in PLACES {
            let on = format!("{place}x");
            let probe = Ask { action, on };
            let granted = grants.iter().any(|grant| grant.covers(&probe));
            let used = asks
                .iter()
                .any(|ask| ask.action == action && ask.on.starts_with(place));
            assert_eq!(granted, used, "{action} on {place}: granted, used");
        }
    }
    let rest = grants.iter().filter(|g| g.action != "s3:ListBucket");
    let known = |grant: &Grant| {
        ["Put", "Get", "Delete"]
            .map(|a| format!("s3:{a}Object"))
            .contains(&grant.action)
    };
    assert!(rest.into_iter().all(known), "{grants:?}");
}

#[test]
fn to_upload() {
    let [write, ..] = policies();
    check(&write, &write, |example| {
        let run = example.run("upload").stdin(blocks(4));
        run.run().ok();
        let again = example.run("upload").stdin(blocks(1)).run();
        again.fails(73, "exists already");
    });
}

#[test]
fn to_replace_and_resume() {
    let [write, more, ..] = policies();
    let both = [write, more.clone()].concat();
    check(&both, &more, |example| {
        example.store("export", 4);
        let run = example.run("upload").arg("-f").stdin(blocks(3));
        run.run().ok();
        example.broken_off("disk");
        let run = example.run("upload").option("-s", "disk").arg("--resume");
        run.stdin(blocks(2)).run().ok();
    });
}

#[test]
fn to_read() {
    let [_, _, read, _] = policies();
    check(&read, &read, |example| {
        example.store("export", 4);
        example.left_untidy("untidy");
        let list = |args: &[&str]| {
            let run = example.run("list").without("-s").args(args);
            run.run().ok().text().to_string()
        };
        assert_eq!(list(&[]), "export\nuntidy\n");
        assert_eq!(list(&["-l"]).lines().count(), 2);
        assert_eq!(list(&["--incomplete"]), "");
        example.run("info").run().ok();
        example.run("info").arg("--raw").run().ok();
        assert_eq!(example.run("download").run().ok().stdout, blocks(4));
        example.run("verify").run().ok();
        example.run("verify").arg("--quick").run().ok();
    });
}

#[test]
fn to_remove() {
    let [.., remove] = policies();
    check(&remove, &remove, |example| {
        example.store("export", 4);
        example.store("other", 1);
        example.store("untidy", 3);
        example.left_untidy("untidy");
        example.broken_off("disk");
        example.run("delete").run().ok();
        age(&example.folder());
        let clean = || {
            example
                .run("clean")
                .without("-s")
                .option("--older-than", "60")
        };
        assert_eq!(clean().arg("-n").run().ok().text().lines().count(), 2);
        clean().run().ok();
        let left = || example.direct("list").without("-s");
        assert_eq!(left().run().ok().text(), "other\nuntidy\n");
        assert_eq!(left().arg("--incomplete").run().ok().text(), "");
        for name in ["other", "untidy"] {
            example.direct("verify").option("-s", name).run().ok();
        }
    });
}

/// A lifecycle rule is about the blocks, all of them and nothing else.
#[test]
fn to_move_into_a_cold_class() {
    let [text, _] = &manual::under("s3pipe.1", "Blocks into a cold storage class")[..] else {
        panic!("a rule and a command");
    };
    let mut rules = members(text.parse().expect("JSON"));
    let Some(JsonValue::Array(mut list)) = rules.remove("Rules") else {
        panic!("no rules: {text}");
    };
    let mut rule = members(list.pop().expect("a rule"));
    assert!(rules.is_empty() && list.is_empty());
    assert_eq!(strings(&mut rule, "Status"), ["Enabled"]);
    let mut filter = members(rule.remove("Filter").expect("a filter"));
    let [prefix] = &strings(&mut filter, "Prefix")[..] else {
        panic!("a prefix");
    };
    assert!(filter.is_empty() && rule.contains_key("Transitions"));
    rule.retain(|name, _| name != "ID" && name != "Transitions");
    assert!(rule.is_empty(), "does it remove anything? {rule:?}");

    let example = Example::new();
    let run = example.run("upload").stdin(blocks(4));
    run.run().ok();
    let puts = example.0.seen("PUT", "");
    let (moved, rest): (Vec<_>, Vec<_>) = puts
        .iter()
        .map(|put| Ask::of(put).on)
        .partition(|key| key.starts_with(prefix));
    assert_eq!((moved.len(), rest.len()), (5, 5), "{moved:?} {rest:?}");
    assert!(moved.iter().all(|key| key.starts_with("s3pipe/block/")));
}
