//! What the coordinator and its workers say to each other: one line a message.
//!
//! Pure text. The fields of a line are separated by tabs and percent-encoded,
//! so that no name, key or reason can be taken for a separator. Both ends are
//! the same program: a line that cannot be read is a fault (None), not a
//! matter of versions. The lines carry credentials, and must go nowhere but
//! into the channel.
//!
//! `underway` and `early`: as long as nothing of a stream is transferred, an error
//! that only a person can repair (a missing permission, a wrong key) ends the run at
//! once; after that it is waited out, since giving up would lose something. A worker
//! knows only what it was told with its order. So one that gives up because nothing
//! was underway says so (`early`), and if another worker has finished a block in the
//! meantime, the coordinator has it try once more.

use std::ops::Range;
use std::time::Duration;

use crate::error::{Error, Exit};
use crate::sign::Credentials;
use crate::stream::manifest::BlockRef;
use crate::text::hex::{self, Hash};
use crate::text::uri;
use crate::workers::task::Task;

/// From the coordinator to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first one: all that a worker needs to know.
    Begin(Box<Task>),
    /// Read the next block from stdin, and store it.
    Read {
        /// The block's number.
        number: u64,
        /// Something of the stream is stored already.
        underway: bool,
        /// Lengths, in bytes, and hashes of what an earlier run has stored under
        /// this number.
        stored: Vec<(u64, Hash)>,
    },
    /// Try once more to store the block that was read: something is underway now.
    StoreAgain,
    /// Fetch and verify this block, and hold it in memory.
    Get {
        /// The block.
        block: BlockRef,
        /// Something of the stream was read already.
        underway: bool,
    },
    /// Write these bytes of the block that is held to stdout.
    Write(Range<usize>),
    /// Sign with these credentials from now on.
    Credentials(Credentials),
    /// Move so many bytes a second; None is without a limit.
    Rate(Option<u64>),
    /// Send no request for so long: the service has asked for a pause.
    Hold(Duration),
    /// There is no more to do: close the stream and exit.
    Finish,
}

/// From a worker to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The stream is an age file, and its header has so many bytes; a report
    /// of what was read follows.
    Header(u64),
    /// So many bytes of the stream were read: the next worker may read.
    Read(u64),
    /// This block is stored.
    Stored(BlockRef),
    /// The block was fetched and verified.
    Got,
    /// So many bytes were written: the next worker may write, unless a report of an
    /// error follows.
    Written(u64),
    /// The stream was closed; the worker exits.
    Closed,
    /// Reading or writing the stream failed, with this errno.
    Io(i32),
    /// The order could not be carried out.
    Failed {
        /// The server says that there is no such object.
        missing: bool,
        /// It was given up because nothing was underway.
        early: bool,
        /// For the user.
        error: Error,
    },
    /// A line for stderr.
    Say(String),
    /// A line for stderr that is shown only now and then, since all workers say the
    /// like.
    Remind(String),
    /// A request is tried again.
    Retried,
    /// So many bytes of the present block have been moved. Sent at least once a
    /// second, to show that the worker does not hang.
    Moved(u64),
    /// The service has asked for a pause of this length.
    Slow(Duration),
    /// The service does not accept the credentials any more: others are needed.
    Expired,
    /// A look-up of a host's name begins (true), until the end of which nothing can
    /// be reported; or it has ended (false).
    Lookup(bool),
}

/// A line of these fields, with its end.
pub(crate) fn line(fields: &[&str]) -> String {
    let encoded: Vec<String> = fields.iter().map(|f| uri::encode(f)).collect();
    encoded.join("\t") + "\n"
}

/// The fields of a line, which may or may not have its end.
pub(crate) fn fields(line: &str) -> Option<Vec<String>> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.split('\t').map(|f| uri::decode(f, false)).collect()
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn pairs(fields: &[&str]) -> Option<Vec<(u64, Hash)>> {
    let pair = |pair: &[&str]| match pair {
        [length, sha256] => Some((number(length)?, hex::decode_array(sha256)?)),
        _ => None,
    };
    fields.chunks(2).map(pair).collect()
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

fn flag_text(flag: bool) -> &'static str {
    if flag { "1" } else { "0" }
}

fn milliseconds(text: &str) -> Option<Duration> {
    number(text).map(Duration::from_millis)
}

impl Order {
    /// As a line.
    pub fn to_line(&self) -> String {
        match self {
            Order::Begin(task) => {
                let fields = task.to_fields();
                let fields = fields.iter().map(String::as_str);
                line(&std::iter::once("begin").chain(fields).collect::<Vec<_>>())
            }
            Order::Read {
                number,
                underway,
                stored,
            } => {
                let number = number.to_string();
                let pair = |(length, sha): &(u64, Hash)| [length.to_string(), hex::encode(sha)];
                let stored: Vec<String> = stored.iter().flat_map(pair).collect();
                let mut fields = vec!["read", &number, flag_text(*underway)];
                fields.extend(stored.iter().map(String::as_str));
                line(&fields)
            }
            Order::StoreAgain => line(&["again"]),
            Order::Get { block, underway } => {
                let [number, length, sha256] = block_fields(block);
                line(&["get", &number, &length, &sha256, flag_text(*underway)])
            }
            Order::Write(part) => line(&["write", &part.start.to_string(), &part.end.to_string()]),
            Order::Credentials(c) => {
                let token: Vec<&str> = c.token.as_deref().into_iter().collect();
                line(&[&["credentials", &c.id, &c.secret][..], &token].concat())
            }
            Order::Rate(None) => line(&["rate"]),
            Order::Rate(Some(rate)) => line(&["rate", &rate.to_string()]),
            Order::Hold(time) => line(&["hold", &time.as_millis().to_string()]),
            Order::Finish => line(&["finish"]),
        }
    }

    /// From a line.
    pub fn parse(line: &str) -> Option<Order> {
        let fields = fields(line)?;
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        Some(match fields[..] {
            ["begin", ref rest @ ..] => Order::Begin(Box::new(Task::from_fields(rest)?)),
            ["read", n, underway, ref stored @ ..] => Order::Read {
                number: number(n)?,
                underway: flag(underway)?,
                stored: pairs(stored)?,
            },
            ["again"] => Order::StoreAgain,
            ["get", number, length, sha256, underway] => Order::Get {
                block: block([number, length, sha256])?,
                underway: flag(underway)?,
            },
            ["write", start, end] => Order::Write(number(start)?..number(end)?),
            ["credentials", id, secret, ref token @ ..] if token.len() < 2 => {
                Order::Credentials(Credentials {
                    id: id.into(),
                    secret: secret.into(),
                    token: token.first().map(|t| t.to_string()),
                })
            }
            ["rate"] => Order::Rate(None),
            ["rate", rate] => Order::Rate(Some(number(rate)?)),
            ["hold", time] => Order::Hold(milliseconds(time)?),
            ["finish"] => Order::Finish,
            _ => return None,
        })
    }
}

fn block_fields(block: &BlockRef) -> [String; 3] {
    let (number, length) = (block.number.to_string(), block.length.to_string());
    [number, length, hex::encode(&block.sha256)]
}

fn block([n, length, sha256]: [&str; 3]) -> Option<BlockRef> {
    Some(BlockRef {
        number: number(n)?,
        length: number(length)?,
        sha256: hex::decode_array(sha256)?,
    })
}

impl Report {
    /// A failure that trying again would not have changed.
    pub fn failed(error: Error) -> Report {
        Report::Failed {
            missing: false,
            early: false,
            error,
        }
    }

    /// As a line.
    pub fn to_line(&self) -> String {
        match self {
            Report::Header(length) => line(&["header", &length.to_string()]),
            Report::Read(length) => line(&["read", &length.to_string()]),
            Report::Stored(block) => {
                let [number, length, sha256] = block_fields(block);
                line(&["stored", &number, &length, &sha256])
            }
            Report::Got => line(&["got"]),
            Report::Written(bytes) => line(&["written", &bytes.to_string()]),
            Report::Closed => line(&["closed"]),
            Report::Io(errno) => line(&["io", &errno.to_string()]),
            Report::Failed {
                missing,
                early,
                error,
            } => {
                let exit = error.exit().code().to_string();
                let flags = [flag_text(*missing), flag_text(*early)];
                let (what, why) = (error.what(), error.why());
                line(&["failed", flags[0], flags[1], &exit, what, why])
            }
            Report::Say(text) => line(&["say", text]),
            Report::Remind(text) => line(&["remind", text]),
            Report::Retried => line(&["retried"]),
            Report::Moved(bytes) => line(&["moved", &bytes.to_string()]),
            Report::Slow(time) => line(&["slow", &time.as_millis().to_string()]),
            Report::Expired => line(&["expired"]),
            Report::Lookup(begins) => line(&["lookup", flag_text(*begins)]),
        }
    }

    /// From a line.
    pub fn parse(line: &str) -> Option<Report> {
        let fields = fields(line)?;
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        Some(match fields[..] {
            ["header", length] => Report::Header(number(length)?),
            ["read", length] => Report::Read(number(length)?),
            ["stored", number, length, sha256] => Report::Stored(block([number, length, sha256])?),
            ["got"] => Report::Got,
            ["written", bytes] => Report::Written(number(bytes)?),
            ["closed"] => Report::Closed,
            ["io", errno] => Report::Io(number(errno)?),
            ["failed", missing, early, exit, what, why] => Report::Failed {
                missing: flag(missing)?,
                early: flag(early)?,
                error: Error::new(Exit::from_code(number(exit)?)?, what, why),
            },
            ["say", text] => Report::Say(text.into()),
            ["remind", text] => Report::Remind(text.into()),
            ["retried"] => Report::Retried,
            ["moved", bytes] => Report::Moved(number(bytes)?),
            ["slow", time] => Report::Slow(milliseconds(time)?),
            ["expired"] => Report::Expired,
            ["lookup", begins] => Report::Lookup(flag(begins)?),
            _ => return None,
        })
    }
}

/// LineBuffer as they come out of a channel, in whatever pieces.
#[derive(Default)]
pub struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Append what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole line, if there is one.
    pub fn next_line(&mut self) -> Option<String> {
        let end = self.0.iter().position(|b| *b == b'\n')?;
        let line: Vec<u8> = self.0.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_block() -> BlockRef {
        BlockRef {
            number: 7,
            length: 1 << 24,
            sha256: [0xa5; 32],
        }
    }

    #[test]
    fn orders_are_read_as_they_were_written() {
        let keys = |token: Option<&str>| Credentials {
            id: "id".into(),
            secret: "sec\tret\n%".into(),
            token: token.map(String::from),
        };
        for order in [
            Order::Begin(Box::new(crate::workers::task::tests::task())),
            Order::Read {
                number: u64::MAX,
                underway: true,
                stored: vec![(9, [1; 32]), (1 << 30, [2; 32])],
            },
            Order::Get {
                block: a_block(),
                underway: false,
            },
            Order::StoreAgain,
            Order::Write(5..9),
            Order::Credentials(keys(None)),
            Order::Credentials(keys(Some(""))),
            Order::Rate(None),
            Order::Rate(Some(1)),
            Order::Hold(Duration::from_millis(30_000)),
            Order::Finish,
        ] {
            let line = order.to_line();
            assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            assert_eq!(Order::parse(&line).as_ref(), Some(&order), "{line}");
        }
    }

    #[test]
    fn reports_are_read_as_they_were_written() {
        for report in [
            Report::Header(200),
            Report::Read(0),
            Report::Stored(a_block()),
            Report::Got,
            Report::Written(3),
            Report::Closed,
            Report::Io(32),
            Report::Failed {
                missing: true,
                early: false,
                error: Error::new(Exit::Signal(15), "what\u{2028}: ", "why\tand % more"),
            },
            Report::Say("a: b\tc".into()),
            Report::Remind("still trying".into()),
            Report::Retried,
            Report::Moved(1),
            Report::Slow(Duration::from_millis(5)),
            Report::Expired,
            Report::Lookup(true),
            Report::Lookup(false),
        ] {
            let line = report.to_line();
            assert_eq!(Report::parse(&line).as_ref(), Some(&report), "{line}");
        }
    }

    #[test]
    fn nonsense_is_not_understood() {
        for line in [
            "",
            "\n",
            "read",
            "read\tx",
            "get\t1\t2\tff\t1",
            "rate\t-1",
            "write\t1",
            "x",
            "%",
            "failed\t0\t1\ta\tb",
            "credentials\ta\tb\tc\td",
            "begin",
        ] {
            assert_eq!(Order::parse(line), None, "{line:?}");
            let read = Report::parse(line);
            assert!(read.is_none(), "{line:?}: {read:?}");
        }
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut lines = LineBuffer::default();
        for (piece, whole) in [("re", 0), ("ad\t1\ngo", 1), ("t\n", 1), ("a\nb\nc", 2)] {
            lines.push(piece.as_bytes());
            assert_eq!(std::iter::from_fn(|| lines.next_line()).count(), whole);
        }
    }
}
