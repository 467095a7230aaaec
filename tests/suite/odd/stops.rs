//! Signals around the commit: what is known then is said, and nothing else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::{Odd, blocks, is};
use crate::proxy::Answer;
use crate::support::store::{Act, Reply, Request, Say};
use crate::support::{Outcome, Run};

const SIGNALS: [(&str, i32); 3] = [("HUP", 129), ("INT", 130), ("TERM", 143)];

/// Once `when` is true of a request, answers it and all like it so, and says
/// that it came.
fn from_then_on(
    odd: &Odd,
    when: impl Fn(&Request, bool) -> bool + Send + Sync + 'static,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Receiver<()> {
    let (say, came) = channel();
    let (say, sent) = (Mutex::new(say), AtomicBool::new(false));
    odd.store.hook(move |request: &Request| {
        let before = sent.load(Ordering::Relaxed);
        if is(request, "PUT", "/manifest/") {
            sent.store(true, Ordering::Relaxed);
        }
        if !when(request, before) {
            return Reply::truth();
        }
        // The test may have heard enough.
        let _ = say.lock().unwrap().send(());
        reply(request)
    });
    came
}

/// Stops it when so many such requests have come.
fn stopped(run: Run, came: &Receiver<()>, count: usize, signal: &str) -> Outcome {
    let running = run.spawn();
    for _ in 0..count {
        came.recv().expect("the store");
    }
    running.signal(signal);
    running.wait()
}

/// The commit was seen, and the last look at the record finds no answer.
#[test]
fn during_the_last_look_at_the_record() {
    let said = "the stream is committed; whether anything of it was removed meanwhile \
                was not checked: run s3pipe verify";
    let answers: [fn(&Request) -> Reply; 2] = [
        |_| Reply::instead(Answer::slow_down()),
        |_| Reply::truth().say(|_| vec![Say::Silence]),
    ];
    for answer in answers {
        for (signal, status) in SIGNALS {
            let (odd, data) = (Odd::new(), blocks(1));
            let last = |r: &Request, sent: bool| sent && is(r, "GET", "/upload/");
            let came = from_then_on(&odd, last, answer);
            let outcome = stopped(odd.upload(&data), &came, 1, signal);
            let by = format!("stopped by SIG{signal}: {said}");
            outcome.fails(status, &by);
            odd.holds(&data);
        }
    }
}

/// The commit is not answered, or by errors: it may have been carried out.
#[test]
fn during_a_commit_that_is_not_seen() {
    let answers: [fn(&Request) -> Reply; 3] = [
        |_| Reply::instead(Answer::slow_down()),
        |_| {
            let never = Reply::truth().act(Act::Never);
            never.say(|_| vec![Say::Silence])
        },
        |_| Reply::truth().act(Act::Never).say(|_| vec![Say::Close]),
    ];
    for answer in answers {
        for (signal, status) in SIGNALS {
            let odd = Odd::new();
            let commit = |r: &Request, _| is(r, "PUT", "/manifest/");
            let came = from_then_on(&odd, commit, answer);
            let outcome = stopped(odd.upload(&blocks(1)), &came, 1, signal);
            outcome.fails(status, "commit unknown");
            odd.holds_none();
        }
    }
}

/// What was carried out is found by one look, and then it is no matter that
/// somebody wants it to stop.
#[test]
fn during_a_commit_that_is_carried_out() {
    for (signal, _) in SIGNALS {
        let (odd, data) = (Odd::new(), blocks(1));
        let commit = |r: &Request, _| is(r, "PUT", "/manifest/");
        let silent = |_: &Request| Reply::truth().say(|_| vec![Say::Silence]);
        let came = from_then_on(&odd, commit, silent);
        stopped(odd.upload(&data), &came, 1, signal).ok();
        odd.holds(&data);
    }
}

/// Its answer was lost, and nothing can be looked at any more.
#[test]
fn while_it_is_looked_for() {
    for part in ["/manifest/", "/upload/"] {
        for (signal, status) in SIGNALS {
            let odd = Odd::new();
            let lost = AtomicBool::new(false);
            let when = move |r: &Request, sent: bool| {
                let first = is(r, "PUT", "/manifest/") && !lost.swap(true, Ordering::Relaxed);
                first || (sent && is(r, "GET", part))
            };
            let came = from_then_on(&odd, when, |r| match r.method.as_str() {
                "PUT" => Reply::truth().act(Act::Never).say(|_| vec![Say::Close]),
                _ => Reply::instead(Answer::slow_down()),
            });
            let outcome = stopped(odd.upload(&blocks(1)), &came, 2, signal);
            outcome.fails(status, "commit unknown");
            odd.holds_none();
        }
    }
}

/// The same with patience at its end.
#[test]
fn patience_ends_while_it_is_looked_for() {
    for part in ["/manifest/", "/upload/"] {
        let odd = Odd::new();
        let lost = AtomicBool::new(false);
        let when = move |r: &Request, sent: bool| {
            let first = is(r, "PUT", "/manifest/") && !lost.swap(true, Ordering::Relaxed);
            first || (sent && is(r, "GET", part))
        };
        let _came = from_then_on(&odd, when, |r| match r.method.as_str() {
            "PUT" => Reply::truth().act(Act::Never).say(|_| vec![Say::Close]),
            _ => Reply::instead(Answer::internal_error()),
        });
        let run = odd.upload(&blocks(1)).option("--patience", "1s");
        run.run().fails(69, "commit unknown");
        odd.holds_none();
    }
}
