//! One client connection: requests are read, given their fault, forwarded.
//!
//! A second thread carries the request's body up while this one waits for the
//! answer, so that interim and early answers pass as they would without a
//! proxy. An error on either side ends the connection, and that is all that
//! the client gets to see of it: this module never makes up an answer that no
//! fault asked for.

use super::Shared;
use super::date;
use super::fault::{Answer, Fault, unix};
use super::wire::{Body, Framing, Head, Part, peek_head, read_head, skip_byte};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

/// What becomes of the connection after an exchange.
enum Next {
    /// The next request.
    Keep,
    /// Closed; reset where bytes of the client's are unread.
    Close,
    /// Reset as soon as there is a byte of the client's.
    Reset,
    /// Held until the client closes.
    Hold,
}

/// A client connection and its upstream.
pub struct Link {
    /// What all connections share.
    pub shared: Arc<Shared>,
    /// Number of the connection.
    pub id: usize,
    /// The client's side.
    pub client: Arc<TcpStream>,
    /// The upstream's side, once there is one, and where it leads.
    pub upstream: Option<(SocketAddr, Arc<TcpStream>)>,
}

impl Link {
    /// Serves the connection to its end; only resets it if it is `refused`.
    pub fn run(mut self, refused: bool) {
        let end = if refused {
            Ok(Next::Reset)
        } else {
            self.serve()
        };
        // Of two ends it is the sockets' that matters; there is nobody to tell.
        let _ = match end {
            Ok(Next::Reset) => self.client.peek(&mut [0]).map(|_| ()),
            Ok(Next::Hold) => io::copy(&mut &*self.client, &mut io::sink()).map(|_| ()),
            other => other.map(|_| ()),
        };
        // Both holders of the sockets let go, or they would not close.
        self.shared.leave(self.id);
    }

    fn serve(&mut self) -> io::Result<Next> {
        while let Some(head) = peek_head(&self.client)? {
            let (n, fault) = self.shared.admit(self.id, &head);
            if let Some(Fault::Delay(time)) = fault {
                self.shared.pause(self.id, Some(time))?;
            }
            let local = fault.as_ref().is_some_and(|fault| !fault.forwards());
            let next = if head.start()[0] == "CONNECT" && !local {
                self.connect(n)?
            } else if local {
                self.refuse(n, &head, fault.as_ref())?
            } else {
                skip_byte(&self.client)?;
                self.forward(n, &head, fault.as_ref())?
            };
            if !matches!(next, Next::Keep) {
                return Ok(next);
            }
        }
        Ok(Next::Close)
    }

    /// Opens a tunnel. Plain HTTP in it is served like any other; TLS, known
    /// by the type of its first record (RFC 8446 section 5.1), is copied.
    fn connect(&mut self, n: usize) -> io::Result<Next> {
        skip_byte(&self.client)?;
        self.shared.note(n, |seen| seen.status = Some(200));
        (&*self.client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let mut first = [0];
        if self.client.peek(&mut first)? == 0 || first != [0x16] {
            return Ok(Next::Keep);
        }
        let (client, upstream) = (self.client.clone(), self.upstream()?);
        thread::scope(|scope| {
            scope.spawn(|| pump(&client, &upstream));
            pump(&upstream, &client);
        });
        Ok(Next::Close)
    }

    /// The faults by which the upstream never hears of the request.
    fn refuse(&self, n: usize, head: &Head, fault: Option<&Fault>) -> io::Result<Next> {
        let [method, target, _] = head.start();
        let early = matches!(
            fault,
            Some(Fault::EarlyStatus(_) | Fault::EarlyStatusDrain(_))
        );
        match fault {
            Some(Fault::RefuseFor(times)) => {
                self.shared.lock().refuse += times;
                return Ok(Next::Close);
            }
            Some(Fault::DropRequest { after }) => return self.drop_request(n, head, *after),
            Some(Fault::StallBody { after }) => {
                skip_byte(&self.client)?;
                self.read_body(n, head, head.request_framing()?, *after)?;
                self.shared.pause(self.id, None)?;
                return Ok(Next::Close);
            }
            _ => skip_byte(&self.client)?,
        }
        if !early {
            self.read_body(n, head, head.request_framing()?, u64::MAX)?;
        }
        let Some(answer) = fault.and_then(|fault| fault.answer(&target)) else {
            return Ok(Next::Hold);
        };
        let next = self.reply(n, &method, &answer)?;
        Ok(match fault {
            Some(Fault::EarlyStatusDrain(_)) => {
                self.client.shutdown(Shutdown::Write)?;
                Next::Hold
            }
            // A client that waits for '100 Continue' has no byte to send.
            Some(Fault::EarlyStatus(_)) => {
                let waits = head.expects() || head.request_framing()? == Framing::Length(0);
                if waits { Next::Close } else { Next::Reset }
            }
            _ => next,
        })
    }

    fn drop_request(&self, n: usize, head: &Head, after: u64) -> io::Result<Next> {
        let after = match head.request_framing()? {
            Framing::Length(0) => return Ok(Next::Close),
            Framing::Length(length) => after.min(length - 1),
            _ => after,
        };
        skip_byte(&self.client)?;
        self.read_body(n, head, head.request_framing()?, after)?;
        Ok(Next::Reset)
    }

    /// Reads up to `most` bytes of the request's body and throws them away.
    fn read_body(&self, n: usize, head: &Head, framing: Framing, most: u64) -> io::Result<()> {
        if head.expects() && framing != Framing::Length(0) {
            (&*self.client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Body::new(&self.client, framing);
        let (mut buf, mut at) = (Vec::new(), 0);
        while at < most {
            match body.next(&mut buf, most - at)? {
                Part::End => break,
                Part::Frame => continue,
                Part::Data => at += buf.len() as u64,
            }
            let len = buf.len() as u64;
            self.shared.note(n, |seen| seen.body_len += len);
        }
        Ok(())
    }

    /// Gives an answer of the proxy's own.
    fn reply(&self, n: usize, method: &str, answer: &Answer) -> io::Result<Next> {
        let mut raw = answer.head();
        let closes = Head { raw: raw.clone() }.closes();
        if method != "HEAD" {
            raw.extend_from_slice(&answer.body);
        }
        self.shared.note(n, |seen| seen.status = Some(answer.code));
        (&*self.client).write_all(&raw)?;
        Ok(if closes { Next::Close } else { Next::Keep })
    }

    /// The connection to the upstream: the last one where it still stands.
    fn upstream(&mut self) -> io::Result<Arc<TcpStream>> {
        let to = self.shared.lock().upstream;
        if let Some((at, stream)) = &self.upstream
            && *at == to
            && is_idle(stream)?
        {
            return Ok(stream.clone());
        }
        let stream = Arc::new(TcpStream::connect(to)?);
        stream.set_nodelay(true)?;
        self.shared.join(self.id, &stream)?;
        self.upstream = Some((to, stream.clone()));
        Ok(stream)
    }

    /// Passes the request to the upstream and the answer back.
    fn forward(&mut self, n: usize, head: &Head, fault: Option<&Fault>) -> io::Result<Next> {
        let framing = head.request_framing()?;
        let upstream = self.upstream()?;
        let flip = match fault {
            Some(Fault::FlipRequest { at }) => Some(*at),
            _ => None,
        };
        (&*upstream).write_all(&head.origin_form())?;
        let link = &*self;
        thread::scope(|scope| {
            let sender = scope.spawn(|| link.send_body(n, framing, &upstream, flip));
            let next = link.answer(n, head, &upstream, fault);
            // After an early answer nobody wants the rest of the body. A held
            // client must stay open, so there the sender ends when it does.
            if !matches!(next, Ok(Next::Keep | Next::Reset)) {
                let _ = upstream.shutdown(Shutdown::Both);
            }
            if matches!(next, Err(_) | Ok(Next::Close)) && !sender.is_finished() {
                let _ = link.client.shutdown(Shutdown::Read);
            }
            let sent = sender.join().expect("sender panicked");
            match next? {
                Next::Keep => sent.map(|()| Next::Keep),
                other => Ok(other),
            }
        })
    }

    fn send_body(
        &self,
        n: usize,
        framing: Framing,
        mut upstream: &TcpStream,
        flip: Option<u64>,
    ) -> io::Result<()> {
        let mut body = Body::new(&self.client, framing);
        let (mut buf, mut at) = (Vec::new(), 0);
        loop {
            let part = body.next(&mut buf, u64::MAX).inspect_err(|_| {
                // The client has gone; the upstream would wait for ever.
                let _ = upstream.shutdown(Shutdown::Both);
            })?;
            let len = buf.len() as u64;
            match part {
                Part::End => return Ok(()),
                Part::Frame => {}
                Part::Data => {
                    self.shared.note(n, |seen| seen.body_len += len);
                    flip_bit(&mut buf, at, flip);
                    at += len;
                }
            }
            upstream.write_all(&buf)?;
        }
    }

    /// Reads the upstream's answer and passes on what the fault leaves of it.
    fn answer(
        &self,
        n: usize,
        request: &Head,
        upstream: &TcpStream,
        fault: Option<&Fault>,
    ) -> io::Result<Next> {
        let [method, target, _] = request.start();
        let mut head = read_head(upstream)?;
        while matches!(head.status()?, 100..200) {
            (&*self.client).write_all(&head.raw)?;
            head = read_head(upstream)?;
        }
        let framing = head.response_framing(&method)?;
        let mut body = Body::new(upstream, framing);
        let closes = framing == Framing::UntilClose || head.closes();
        let next = if closes { Next::Close } else { Next::Keep };
        match fault {
            Some(Fault::LoseAnswer) => {
                collect(&mut body)?;
                return Ok(Next::Close);
            }
            Some(Fault::Replace(_) | Fault::ErrorIn200 { .. }) => {
                collect(&mut body)?;
                let answer = fault.and_then(|f| f.answer(&target)).expect("an answer");
                let own = self.reply(n, &method, &answer)?;
                return Ok(if closes { next } else { own });
            }
            Some(Fault::WrongLength { .. } | Fault::Truncate { .. }) => {
                let claim = self.misstate(n, &method, head, &mut body, fault);
                return claim.map(|closing| if closing { Next::Close } else { next });
            }
            Some(Fault::Date { seconds }) => shift_date(&mut head, *seconds),
            _ => {}
        }
        let recode = matches!(fault, Some(Fault::Chunked))
            && !matches!(framing, Framing::Chunked | Framing::Length(0));
        if recode {
            head.set("Content-Length", None);
            head.set("Transfer-Encoding", Some("chunked"));
        }
        let code = head.status()?;
        self.shared.note(n, |seen| seen.status = Some(code));
        (&*self.client).write_all(&head.raw)?;
        self.pass_body(&mut body, fault, recode)?;
        Ok(match fault {
            Some(Fault::DropResponse { .. } | Fault::CloseIdle) => Next::Close,
            Some(Fault::Stall { .. }) => Next::Hold,
            Some(Fault::CloseNext) if !closes => Next::Reset,
            _ => next,
        })
    }

    /// Passes a response under a wrong length; whether to close after it.
    fn misstate(
        &self,
        n: usize,
        method: &str,
        mut head: Head,
        body: &mut Body,
        fault: Option<&Fault>,
    ) -> io::Result<bool> {
        let body = collect(body)?;
        let length = match method {
            "HEAD" => head.header("Content-Length").and_then(|v| v.parse().ok()),
            _ => Some(body.len() as u64),
        };
        let length = length.unwrap_or(0);
        let (length, closing) = match fault {
            Some(Fault::WrongLength { delta }) => (length.saturating_add_signed(*delta), true),
            Some(Fault::Truncate { by }) => (length.saturating_sub(*by), false),
            _ => (length, false),
        };
        head.set("Transfer-Encoding", None);
        head.set("Content-Length", Some(&length.to_string()));
        let code = head.status()?;
        self.shared.note(n, |seen| seen.status = Some(code));
        head.raw.extend_from_slice(&body);
        (&*self.client).write_all(&head.raw)?;
        Ok(closing)
    }

    /// Passes the response's body as far as the fault lets it.
    fn pass_body(&self, body: &mut Body, fault: Option<&Fault>, recode: bool) -> io::Result<()> {
        let mut client = &*self.client;
        let (cut, flip) = match fault {
            Some(Fault::DropResponse { after } | Fault::Stall { after }) => (*after, None),
            Some(Fault::Flip { at }) => (u64::MAX, Some(*at)),
            _ => (u64::MAX, None),
        };
        let (mut buf, mut at) = (Vec::new(), 0);
        while at < cut {
            let part = body.next(&mut buf, cut - at)?;
            let len = buf.len();
            match part {
                Part::End if recode => return client.write_all(b"0\r\n\r\n"),
                Part::End => return Ok(()),
                Part::Data => flip_bit(&mut buf, at, flip),
                Part::Frame => {}
            }
            if part == Part::Data {
                at += len as u64;
            }
            if recode {
                buf.splice(..0, format!("{len:x}\r\n").into_bytes());
                buf.extend_from_slice(b"\r\n");
            }
            client.write_all(&buf)?;
        }
        Ok(())
    }
}

/// Copies one direction of a tunnel until it ends.
fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    let ended = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    if ended.is_err() {
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Whether a kept connection is open, with nothing to read on it.
fn is_idle(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(peeked.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock))
}

/// The payload of a body.
fn collect(body: &mut Body) -> io::Result<Vec<u8>> {
    let (mut whole, mut buf) = (Vec::new(), Vec::new());
    loop {
        match body.next(&mut buf, u64::MAX)? {
            Part::End => return Ok(whole),
            Part::Frame => {}
            Part::Data => whole.extend_from_slice(&buf),
        }
    }
}

/// Flips a bit where the piece, which begins at offset `start`, has byte `at`.
fn flip_bit(piece: &mut [u8], start: u64, at: Option<u64>) {
    let offset = at.and_then(|at| at.checked_sub(start));
    if let Some(byte) = offset.and_then(|offset| piece.get_mut(offset as usize)) {
        *byte ^= 1;
    }
}

fn shift_date(head: &mut Head, seconds: i64) {
    let date = head.header("Date").and_then(|date| date::parse_http(&date));
    let date = date.unwrap_or_else(|| unix(SystemTime::now()));
    let date = date::http(date.saturating_add_signed(seconds));
    head.set("Date", Some(&date));
}
