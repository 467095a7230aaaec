//! What an HTTP client writes to and reads from: a socket or a proxy's tunnel,
//! with a TLS session in it where the URL says so.

#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use crate::net::socket::Socket;
use crate::net::tls::{PIECE, Step, Tls, Want};

/// How often an idle connection is looked at before it is given up, and how
/// long a look may take.
const LOOKS: u32 = 4;
const AT_ONCE: Option<Duration> = Some(Duration::from_millis(100));

/// What the bytes go through.
pub enum Channel {
    /// A connection of our own.
    Socket(Socket),
    /// A connection to a proxy, which passes all on.
    Tunnel(Box<Wire>),
}

impl Channel {
    fn begin(&mut self) {
        match self {
            Channel::Socket(socket) => socket.begin(),
            Channel::Tunnel(wire) => wire.begin(),
        }
    }

    fn pull(&mut self, space: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        match self {
            Channel::Socket(socket) => socket.pull(space, limit),
            Channel::Tunnel(wire) => wire.pull(space, limit, None),
        }
    }

    fn push(&mut self, bytes: &[u8], limit: Option<Duration>) -> io::Result<()> {
        match self {
            Channel::Socket(socket) => socket.push(bytes, limit),
            Channel::Tunnel(wire) => wire.push(bytes, limit),
        }
    }

    fn is_idle(&mut self) -> bool {
        match self {
            Channel::Socket(socket) => socket.is_idle(),
            Channel::Tunnel(wire) => wire.is_idle(),
        }
    }

    fn has_input(&mut self) -> bool {
        match self {
            Channel::Socket(socket) => socket.has_input(),
            Channel::Tunnel(wire) => wire.has_input(),
        }
    }
}

/// A connection.
pub struct Wire {
    channel: Channel,
    session: Option<Tls>,
}

impl Wire {
    /// Without TLS.
    pub fn plain(channel: Channel) -> Wire {
        Wire {
            channel,
            session: None,
        }
    }

    /// With TLS, after the handshake, which may take until `end` (TimedOut). An
    /// error of rustls is inside one of [`io::ErrorKind::Other`].
    pub fn tls(channel: Channel, session: Tls, end: Option<Instant>) -> io::Result<Wire> {
        let mut wire = Wire {
            channel,
            session: Some(session),
        };
        loop {
            match wire.turn(&mut Want::Nothing, left(None, end)?)? {
                Turn::Done(_) => return Ok(wire),
                Turn::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                Turn::GoOn => {}
            }
        }
    }

    /// A request begins: see [`Socket::begin`].
    pub fn begin(&mut self) {
        self.channel.begin();
    }

    /// Read once; 0 at the end. The limit is for a connection on which nothing
    /// moves (TimedOut). A session may have to receive several times until it
    /// has something: not beyond this end, if there is one (TimedOut).
    pub fn pull(
        &mut self,
        space: &mut [u8],
        limit: Option<Duration>,
        end: Option<Instant>,
    ) -> io::Result<usize> {
        if self.session.is_none() {
            return self.channel.pull(space, limit);
        }
        let mut want = Want::Read(space);
        loop {
            match self.turn(&mut want, left(limit, end)?)? {
                Turn::Done(count) => return Ok(count),
                Turn::Closed => return Ok(0),
                Turn::GoOn => {}
            }
        }
    }

    /// Write everything; the limit is for a connection on which nothing moves
    /// (TimedOut).
    pub fn push(&mut self, bytes: &[u8], limit: Option<Duration>) -> io::Result<()> {
        if self.session.is_none() {
            return self.channel.push(bytes, limit);
        }
        for piece in bytes.chunks(PIECE) {
            loop {
                match self.turn(&mut Want::Send(piece), limit)? {
                    Turn::Done(_) => break,
                    Turn::Closed => return Err(io::ErrorKind::BrokenPipe.into()),
                    Turn::GoOn => {}
                }
            }
        }
        Ok(())
    }

    /// One step of the session, and what it asks of the channel.
    fn turn(&mut self, want: &mut Want, limit: Option<Duration>) -> io::Result<Turn> {
        let Some(session) = &mut self.session else {
            return Err(io::Error::other("no session"));
        };
        let step = session.step(want);
        if !session.outgoing().is_empty() {
            let sent = self.channel.push(session.outgoing(), limit);
            session.sent();
            // After a failure it is an alert: let it arrive, or not.
            if step.is_ok() {
                sent?;
            }
        }
        Ok(match step? {
            Step::Done(count) => Turn::Done(count),
            Step::Closed => Turn::Closed,
            Step::Send => Turn::GoOn,
            Step::Receive => {
                self.receive(limit)?;
                Turn::GoOn
            }
        })
    }

    /// Give the session what comes next; an error at the end, which must not
    /// come without a word: the connection may have been cut off.
    fn receive(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            return Err(io::Error::other("no session"));
        };
        match self.channel.pull(session.space(), limit)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                session.received(count);
                Ok(())
            }
        }
    }

    /// Open and silent, as a connection between two requests must be. What a
    /// session says to itself, tickets or new keys, does not count.
    pub fn is_idle(&mut self) -> bool {
        (self.session.is_none() || self.is_quiet()) && self.channel.is_idle()
    }

    /// Whether there is something to read at once, as far as can be told; what
    /// a session says to itself is not.
    pub fn has_input(&mut self) -> bool {
        match self.session {
            Some(_) => !self.is_quiet(),
            None => self.channel.has_input(),
        }
    }

    /// Whether the other end has not received all that was written.
    pub fn has_unsent(&self) -> bool {
        match &self.channel {
            Channel::Socket(socket) => socket.has_unsent(),
            Channel::Tunnel(wire) => wire.has_unsent(),
        }
    }

    /// Let the session see to what has come already. False if anything of it
    /// is for a reader, or went wrong.
    fn is_quiet(&mut self) -> bool {
        for _ in 0..LOOKS {
            let quiet = matches!(self.turn(&mut Want::Nothing, AT_ONCE), Ok(Turn::Done(_)))
                && self.session.as_ref().is_some_and(Tls::is_idle);
            if !quiet {
                return false;
            }
            if !self.channel.has_input() {
                return true;
            }
            if self.receive(AT_ONCE).is_err() {
                return false;
            }
        }
        false
    }
}

/// What is left of a limit that ends with `end` at the latest; TimedOut after
/// it.
pub fn left(limit: Option<Duration>, end: Option<Instant>) -> io::Result<Option<Duration>> {
    let left = end.map(|end| end.saturating_duration_since(Instant::now()));
    match left {
        Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
        // None is without limit, and more than any.
        _ => Ok(limit.into_iter().chain(left).min()),
    }
}

/// What became of a step.
enum Turn {
    /// It is done; for a reader, so many bytes are in its space.
    Done(usize),
    /// Something was sent or received, and it takes another one.
    GoOn,
    /// The other end has said that it will send no more.
    Closed,
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
