//! What an HTTP client writes to and reads from: a socket or a proxy's tunnel,
//! with a TLS session in it where the URL says so.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::time::Duration::NotHappening as NEVER;
use ureq::unversioned::transport::{NextTimeout, TransportAdapter};

use crate::socket::Socket;
use crate::tls::{PIECE, Step, Tls, Want};

/// What the bytes go through.
pub enum Channel {
    /// A connection of our own.
    Socket(Socket),
    /// What a proxy has connected us to.
    Tunnel(Box<TransportAdapter>),
}

impl Channel {
    fn pull(&mut self, space: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        match self {
            Channel::Socket(socket) => socket.pull(space, limit),
            Channel::Tunnel(tunnel) => {
                tunnel.set_timeout(next(limit));
                tunnel.read(space)
            }
        }
    }

    fn push(&mut self, bytes: &[u8], limit: Option<Duration>) -> io::Result<()> {
        match self {
            Channel::Socket(socket) => socket.push(bytes, limit),
            Channel::Tunnel(tunnel) => {
                tunnel.set_timeout(next(limit));
                tunnel.write_all(bytes)
            }
        }
    }
}

fn next(limit: Option<Duration>) -> NextTimeout {
    NextTimeout {
        after: limit.map_or(NEVER, Into::into),
        ..NextTimeout::default()
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

    /// With TLS, after the handshake, which may take so long in all (TimedOut).
    /// An error of rustls is inside one of [`io::ErrorKind::Other`].
    pub fn tls(channel: Channel, session: Tls, limit: Option<Duration>) -> io::Result<Wire> {
        let end = limit.map(|limit| Instant::now() + limit);
        let mut wire = Wire {
            channel,
            session: Some(session),
        };
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if wire.turn(&mut Want::Handshake, left)?.is_some() {
                return Ok(wire);
            }
        }
    }

    /// Read once; 0 at the end. The limit is for a connection on which nothing
    /// moves (TimedOut).
    pub fn pull(&mut self, space: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        if self.session.is_none() {
            return self.channel.pull(space, limit);
        }
        let mut want = Want::Read(space);
        loop {
            if let Some(count) = self.turn(&mut want, limit)? {
                return Ok(count);
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
            while self.turn(&mut Want::Send(piece), limit)?.is_none() {}
        }
        Ok(())
    }

    /// One step of the session, and what it asks of the channel: the step's
    /// result once it is done. 0 at the end of what there is to read.
    fn turn(&mut self, want: &mut Want, limit: Option<Duration>) -> io::Result<Option<usize>> {
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
        match (step?, want) {
            (Step::Done(count), _) => Ok(Some(count)),
            (Step::Send, _) => Ok(None),
            (Step::Receive, _) => match self.channel.pull(session.space(), limit)? {
                // Without a word: it may have been cut off.
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    session.received(count);
                    Ok(None)
                }
            },
            (Step::Closed, Want::Read(_)) => Ok(Some(0)),
            (Step::Closed, Want::Send(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            (Step::Closed, Want::Handshake) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Open and silent, as a connection between two requests must be.
    pub fn is_idle(&mut self) -> bool {
        let quiet = self.session.as_ref().is_none_or(Tls::is_idle);
        quiet
            && match &mut self.channel {
                Channel::Socket(socket) => socket.is_idle(),
                Channel::Tunnel(tunnel) => tunnel.get_mut().is_open(),
            }
    }

    /// Whether something can be read at once, as far as can be told.
    pub fn has_input(&self) -> bool {
        match &self.channel {
            Channel::Socket(socket) => socket.has_input(),
            Channel::Tunnel(_) => false,
        }
    }
}
