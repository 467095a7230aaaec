//! The other end of the measurements: as much of an S3 server as s3pipe and
//! its peers need, over plain HTTP and over TLS, on loopback.
//!
//! It is no S3 server: it verifies no signature and no sum, and it throws away
//! the bodies of blocks and of everything below `peer/` (see `objects`). It can
//! play a slow network (see `network`) and make streams up (see `made_up`).
//!
//! It runs in a process of its own with a thread for each connection, so that
//! its CPU time is not counted as anybody else's. It says its ports on stdout,
//! answers each line on stdin with a line, and ends with stdin: so it cannot
//! outlive its parent. A line that it cannot read ends it.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;

use crate::Outcome;
use crate::connection::{Connection, Shared};
use crate::made_up::Maker;
use crate::network::Network;
use crate::objects::Objects;
use crate::pattern::{Aligned, BLOCK};
use crate::tally::{Counts, Tally};
use crate::tls;

/// The process that measures holds its sink by this.
pub struct Sink {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where it listens on 127.0.0.1, without TLS.
    pub plain: u16,
    /// The same with TLS, if it has a certificate.
    pub tls: Option<u16>,
}

impl Sink {
    /// Starts a sink with `command`, which must end up in [`run`].
    pub fn start(mut command: Command) -> Outcome<Sink> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let mut ports = line.split_whitespace();
        Ok(Sink {
            ask: child.stdin.take(),
            child,
            answers,
            plain: ports.next().ok_or("the sink did not start")?.parse()?,
            tls: ports.next().map(str::parse).transpose()?,
        })
    }

    /// What has passed through since the last call.
    pub fn counts(&mut self) -> Outcome<Counts> {
        let line = self.ask("counts")?;
        Ok(Counts::parse(&line).ok_or("the sink is gone")?)
    }

    /// From now on: milliseconds before an answer, and bytes a second on each
    /// connection (0 for no limit).
    pub fn network(&mut self, wait: u64, rate: u64) -> Outcome {
        self.ask(&format!("network {wait} {rate}")).map(drop)
    }

    /// Makes up `count` streams called NAME-0, NAME-1, …, each of `blocks`
    /// blocks of `size` bytes.
    pub fn make_streams(&mut self, count: u64, name: &str, blocks: u64, size: u64) -> Outcome {
        self.ask(&format!("streams {count} {name} {blocks} {size}"))
            .map(drop)
    }

    /// Makes up objects `prefix`0, `prefix`1, … of `size` bytes each, which are
    /// as good as uploaded.
    pub fn make_objects(&mut self, count: u64, prefix: &str, size: u64) -> Outcome {
        self.ask(&format!("objects {count} {prefix} {size}"))
            .map(drop)
    }

    /// How many objects have keys that begin with `prefix`.
    pub fn count(&mut self, prefix: &str) -> Outcome<u64> {
        Ok(self.ask(&format!("count {prefix}"))?.parse()?)
    }

    fn ask(&mut self, question: &str) -> Outcome<String> {
        let ask = self.ask.as_mut().ok_or("the sink was stopped")?;
        writeln!(ask, "{question}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(answer) => Ok(answer.to_string()),
            None => Err("the sink is gone".into()),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.ask = None;
        // It ends by itself now; there is nothing left to do if it does not.
        let _ = self.child.wait();
    }
}

/// The sink itself, until stdin ends; with TLS as well if there is a
/// certificate chain and its key.
pub fn run(certificate: Option<(&Path, &Path)>) -> Outcome {
    let shared = Arc::new(Shared {
        objects: Objects::default(),
        pattern: Aligned::pattern(),
        network: Network::default(),
        tally: Tally::new(),
    });
    let mut ports = listen(&shared, None)?.to_string();
    if let Some((chain, key)) = certificate {
        let port = listen(&shared, Some(tls::server(chain, key)?))?;
        ports += &format!(" {port}");
    }
    let mut out = io::stdout();
    writeln!(out, "{ports}")?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = answer(&shared, &words).map_err(|e| format!("{line}: {e}"))?;
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

/// Takes connections from now on: the port.
fn listen(shared: &Arc<Shared>, config: Option<Arc<ServerConfig>>) -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (shared, config) = (Arc::clone(&shared), config.clone());
            shared.tally.connection();
            // A broken connection is for the client to report.
            std::thread::spawn(move || {
                let stream = tls::accept(stream, config)?;
                Ok::<(), Box<dyn std::error::Error + Send + Sync>>(
                    Connection::new(stream, shared).serve()?,
                )
            });
        }
    });
    Ok(port)
}

/// Does what a line of [`Sink`] asks.
fn answer(shared: &Shared, words: &[&str]) -> Outcome<String> {
    match words {
        ["counts"] => return Ok(shared.tally.line()),
        ["count", prefix] => return Ok(shared.objects.count(prefix).to_string()),
        ["network", wait, rate] => shared.network.set(wait.parse()?, rate.parse()?),
        ["streams", count, name, blocks, size] => {
            let mut maker = Maker::new(&shared.pattern);
            for number in 0..count.parse::<u64>()? {
                let name = format!("{name}-{number}");
                let made = maker.stream(&name, blocks.parse()?, block_size(size)?);
                shared.objects.insert(made);
            }
        }
        ["objects", count, prefix, size] => {
            let object = Maker::new(&shared.pattern).object(size.parse()?);
            let numbers = 0..count.parse::<u64>()?;
            let made = numbers.map(|number| (format!("{prefix}{number}"), object.clone()));
            shared.objects.insert(made);
        }
        _ => return Err("not understood".into()),
    }
    Ok("done".into())
}

fn block_size(text: &str) -> Outcome<u64> {
    let size = text.parse()?;
    match (1..=BLOCK as u64).contains(&size) {
        true => Ok(size),
        false => Err("longer than the pattern".into()),
    }
}
