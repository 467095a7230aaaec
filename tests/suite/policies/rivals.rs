//! Two uploads of one name at once, many times, as their last requests fall in
//! every order that delays can bring about.
//!
//! The embedded server looks at a condition and writes in two steps, so the
//! commits' PUTs take turns here, as on a store that does both in one. All
//! else is raced.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::faults::site::{BLOCK, STREAM, Site, on};
use crate::proxy::{Fault, Match, Proxy, Rule, Seen};
use crate::support::{Outcome, Run, random};

const ROUNDS: u64 = 20;

/// Whose commit is on its way, and whose reached the server, in that order.
#[derive(Default)]
struct Commits {
    turn: Mutex<(Option<usize>, Vec<usize>)>,
    changed: Condvar,
}

impl Commits {
    /// Waits with a commit until no other is under way. What its sender asks
    /// next tells that it has been answered.
    fn admit(&self, who: usize, seen: &Seen) {
        let mut turn = self.turn.lock().unwrap();
        if turn.0 == Some(who) {
            turn.0 = None;
            self.changed.notify_all();
        }
        if seen.method == "PUT" && seen.target.contains("/manifest/") {
            let taken = |turn: &mut (Option<usize>, _)| turn.0.is_some();
            turn = self.changed.wait_while(turn, taken).unwrap();
            turn.0 = Some(who);
            turn.1.push(who);
        }
    }
}

/// Delays for some of the requests about the manifest: some are longer than a
/// whole upload takes.
fn delays(proxy: &Proxy, seed: u64) {
    let dice = random(seed, 12);
    for (n, pair) in dice.chunks(2).enumerate() {
        let method = if pair[0] & 1 == 0 { "PUT" } else { "GET" };
        let time = Duration::from_millis(u64::from(pair[1]) >> (pair[0] >> 6));
        proxy.rule(Rule {
            when: on(method, "/manifest/").nth(1 + n % 3),
            fault: Fault::Delay(time),
            times: 1,
        });
    }
}

/// Two uploads of this at once, each through a proxy of its own: how they
/// ended, and whose commit was the last that the server took.
fn race(site: &Site, seed: u64, data: [&[u8]; 2], option: &[&str]) -> ([Outcome; 2], usize) {
    let commits = Arc::new(Commits::default());
    let proxies = [0, 1].map(|who| {
        let proxy = Proxy::start(site.server.addr());
        delays(&proxy, seed * 2 + who as u64);
        let commits = commits.clone();
        let watch = Match::any().when(move |seen| {
            commits.admit(who, seen);
            false
        });
        proxy.always(watch, Fault::StallRequest);
        proxy
    });
    let start = |who: usize| -> Run {
        let run = site.upload(data[who]).args(option);
        run.option("--endpoint", &proxies[who].url())
    };
    let runs = [0, 1].map(|who| start(who).spawn());
    let ends = runs.map(|run| run.wait());
    let mut taken = [0, 1].map(|who| {
        let mut puts = proxies[who].seen();
        puts.retain(|s| s.method == "PUT" && s.target.contains("/manifest/"));
        puts.into_iter().map(|put| put.status == Some(200))
    });
    let mut last = None;
    for &who in &commits.turn.lock().unwrap().1 {
        if taken[who].next().expect("a PUT") {
            last = Some(who);
        }
    }
    (ends, last.expect("a commit"))
}

fn stream(seed: u64) -> Vec<u8> {
    random(seed, BLOCK * (1 + seed as usize % 3) + 77)
}

#[test]
fn one_of_two_is_committed() {
    let site = Site::new();
    for round in 0..ROUNDS {
        let (one, two) = (stream(round), stream(round + 1000));
        let (ends, winner) = race(&site, round, [&one, &two], &[]);
        let [first, second] = ends;
        let (won, lost) = match winner {
            0 => (first, second),
            _ => (second, first),
        };
        won.ok();
        match lost.status {
            73 => drop(lost.fails(73, "exists already")),
            _ => drop(lost.fails(75, "another upload was committed meanwhile")),
        }
        site.assert_holds(STREAM, [&one, &two][winner]);
        site.run("delete").run().ok();
    }
}

#[test]
fn of_two_that_replace_the_last_commit_stands() {
    let site = Site::with(b"older");
    for round in 0..ROUNDS {
        let (one, two) = (stream(round), stream(round + 1000));
        let (ends, winner) = race(&site, round + 500, [&one, &two], &["-f"]);
        for (who, end) in ends.into_iter().enumerate() {
            match end.status {
                // Both do where one began when the other had been committed.
                0 => drop(end.ok()),
                75 if who != winner => drop(end.fails(75, "")),
                _ => panic!("{who} of {winner}: {end}"),
            }
        }
        site.assert_holds(STREAM, [&one, &two][winner]);
    }
}
