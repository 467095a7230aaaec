//! One TLS session, without its socket: records in, records out.
//!
//! rustls is used by its unbuffered interface: records are decrypted where they
//! were received, and encrypted into one buffer that goes to the socket at once.
//! Who has the socket ([`Wire`](crate::net::wire::Wire)) asks for a step after the
//! other, and moves the bytes that a step needs or has made.

#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};

/// Received at once, at most.
const RECEIVE: usize = 256 << 10;

/// Plaintext that is encrypted at once, at most: little enough to be in the
/// cache still when the socket takes it.
pub const PIECE: usize = 256 << 10;

/// Plaintext in a record, and what a record adds to it, at most: a header,
/// a nonce, a type and a tag (RFC 5246, 6.2.3.3; RFC 8446, 5.2).
const RECORD: (usize, usize) = (16 << 10, 64);

/// Room for the session's own records: a hello, a change of keys, an alert.
const OWN: usize = 32 << 10;

/// A session, at the client's end.
pub struct Tls {
    tls: UnbufferedClientConnection,
    /// What was received and not yet looked at lies from `start` to `end`.
    incoming: Box<[u8]>,
    start: usize,
    end: usize,
    outgoing: Records,
    rest: Rest,
    phase: Phase,
    /// Why it failed, for all that is asked of it after that: whoever looks first
    /// may not be the one who tells.
    failure: Option<(io::ErrorKind, rustls::Error)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The other end has said that it will send no more.
    Closed,
    /// It broke a rule, or was not trusted.
    Failed,
}

/// Records that are to be sent.
struct Records {
    space: Box<[u8]>,
    length: usize,
}

/// Plaintext for which its reader had no room; so much of it was `taken` since.
#[derive(Default)]
struct Rest {
    plain: Vec<u8>,
    taken: usize,
}

/// What a session is wanted for.
pub enum Want<'a> {
    /// To come to terms with the other end, and to see to what it has sent.
    Nothing,
    /// To encrypt so much, [`PIECE`] bytes at most.
    Send(&'a [u8]),
    /// To decrypt into this space, which is not empty.
    Read(&'a mut [u8]),
}

/// What came of it. Whatever [`Tls::outgoing`] holds is then to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is done; for a reader, so many bytes are in its space.
    Done(usize),
    /// Something is to be sent before it goes on.
    Send,
    /// [`Tls::space`] is to be filled with what is received.
    Receive,
    /// The other end has said that it will send no more.
    Closed,
}

impl Tls {
    /// With the server called `name`. Nothing is made to be sent yet.
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Tls> {
        let records = PIECE.div_ceil(RECORD.0);
        let outgoing = vec![0; PIECE + records * RECORD.1 + OWN];
        Ok(Tls {
            tls: UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?,
            incoming: vec![0; RECEIVE].into(),
            start: 0,
            end: 0,
            outgoing: Records {
                space: outgoing.into(),
                length: 0,
            },
            rest: Rest::default(),
            phase: Phase::Open,
            failure: None,
        })
    }

    /// Go on with what is wanted until it is done, or cannot be without the
    /// socket. An error, which holds one of rustls, is the end of the session;
    /// there may be an alert to send even so. Its kind is Other as long as the
    /// two ends have not come to terms, and then InvalidData.
    pub fn step(&mut self, want: &mut Want) -> io::Result<Step> {
        if let Want::Read(space) = want
            && let Some(count) = self.rest.take(space)
        {
            return Ok(Step::Done(count));
        }
        while self.phase == Phase::Open {
            let kind = if self.tls.is_handshaking() {
                io::ErrorKind::Other
            } else {
                io::ErrorKind::InvalidData
            };
            let records = &mut self.incoming[self.start..self.end];
            let UnbufferedStatus { mut discard, state } = self.tls.process_tls_records(records);
            let step = state
                .map_err(|e| io::Error::new(kind, e))
                .and_then(|state| {
                    advance(
                        state,
                        want,
                        &mut self.outgoing,
                        &mut self.rest,
                        &mut discard,
                    )
                });
            self.start += discard;
            match step {
                Ok(None) => {}
                Ok(Some(Step::Closed)) => self.phase = Phase::Closed,
                Ok(Some(step)) => return Ok(step),
                Err(e) => {
                    self.phase = Phase::Failed;
                    let cause = e.get_ref().and_then(|e| e.downcast_ref());
                    self.failure = cause.cloned().map(|cause| (e.kind(), cause));
                    self.encode_alert();
                    return Err(e);
                }
            }
        }
        match (self.phase, &self.failure) {
            (Phase::Failed, Some((kind, e))) => Err(io::Error::new(*kind, e.clone())),
            (Phase::Failed, None) => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(Step::Closed),
        }
    }

    /// What rustls has to tell the other end of its failure, if anything. It
    /// is asked only once: it might stumble over the same record again.
    fn encode_alert(&mut self) {
        let records = &mut self.incoming[self.start..self.end];
        let state = self.tls.process_tls_records(records).state;
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) = state
            && let Ok(length) = alert.encode(self.outgoing.room())
        {
            self.outgoing.length += length;
        }
    }

    /// Records that are to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing.space[..self.outgoing.length]
    }

    /// They were sent.
    pub fn sent(&mut self) {
        self.outgoing.length = 0;
    }

    /// Where to put what is received.
    pub fn space(&mut self) -> &mut [u8] {
        self.incoming.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut self.incoming[self.end..]
    }

    /// So many bytes were put there.
    pub fn received(&mut self, count: usize) {
        self.end += count;
    }

    /// Whether nothing was received that is still to be read.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Open && self.start == self.end && self.rest.plain.is_empty()
    }
}

/// Do what the session asks for; None if it is to be asked again.
fn advance(
    state: ConnectionState<ClientConnectionData>,
    want: &mut Want,
    outgoing: &mut Records,
    rest: &mut Rest,
    discard: &mut usize,
) -> io::Result<Option<Step>> {
    match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            let mut filled = 0;
            while let Some(record) = traffic.next_record() {
                let record = record.map_err(io::Error::other)?;
                *discard += record.discard;
                let mut plain = record.payload;
                if let Want::Read(space) = want {
                    let count = plain.len().min(space.len() - filled);
                    space[filled..filled + count].copy_from_slice(&plain[..count]);
                    filled += count;
                    plain = &plain[count..];
                }
                rest.plain.extend_from_slice(plain);
            }
            Ok((filled > 0).then_some(Step::Done(filled)))
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let encoded = data.encode(outgoing.room());
            outgoing.length += encoded.map_err(io::Error::other)?;
            Ok(None)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Some(Step::Send))
        }
        ConnectionState::BlockedHandshake => Ok(Some(Step::Receive)),
        ConnectionState::WriteTraffic(mut traffic) => Ok(Some(match want {
            Want::Read(_) => Step::Receive,
            Want::Nothing => Step::Done(0),
            Want::Send(plain) => {
                let encrypted = traffic.encrypt(plain, outgoing.room());
                outgoing.length += encrypted.map_err(io::Error::other)?;
                Step::Done(plain.len())
            }
        })),
        _ => Ok(Some(Step::Closed)),
    }
}

impl Records {
    fn room(&mut self) -> &mut [u8] {
        &mut self.space[self.length..]
    }
}

impl Rest {
    /// Move as much as there is room for; None if there is nothing.
    fn take(&mut self, space: &mut [u8]) -> Option<usize> {
        if self.plain.is_empty() {
            return None;
        }
        let count = space.len().min(self.plain.len() - self.taken);
        space[..count].copy_from_slice(&self.plain[self.taken..self.taken + count]);
        self.taken += count;
        if self.taken == self.plain.len() {
            self.plain.clear();
            self.taken = 0;
        }
        Some(count)
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
pub(crate) mod tests;
