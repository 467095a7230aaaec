//! A TCP socket used with patience: calls that signals interrupt are repeated,
//! only a connection on which nothing moves is given up, and no more is moved
//! at once than is allowed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::net::pace::Pace;
use crate::os;

/// What a socket asks of its surroundings.
pub trait Flow: Send + Sync {
    /// Asked after every interrupted call: true means give up.
    fn pulse(&self) -> bool;

    /// How many of `want` bytes may be moved now, after waiting until it is at
    /// least one. None means give up.
    fn grant(&self, want: usize) -> Option<usize>;

    /// So many bytes were moved, in either direction.
    fn moved(&self, bytes: usize);

    /// A name is looked up, which nothing interrupts; or that is over.
    fn look_up(&self, _begins: bool) {}
}

/// A flow that sockets share.
pub type SharedFlow = Arc<dyn Flow>;

/// A connected socket.
pub struct Socket {
    stream: TcpStream,
    flow: SharedFlow,
    /// The limits that the system was last told.
    told: [Option<Duration>; 2],
    /// Of the present request.
    pace: Pace,
}

impl Socket {
    /// Connect to the first of these addresses that answers.
    pub fn connect(
        addrs: &[SocketAddr],
        limit: Option<Duration>,
        flow: SharedFlow,
    ) -> io::Result<Socket> {
        let stream = connect(addrs, limit)?;
        stream.set_nodelay(true)?;
        Ok(Socket {
            stream,
            flow,
            told: [None; 2],
            pace: Pace::default(),
        })
    }

    /// A request begins: that another was slow does not count any more.
    pub fn begin(&mut self) {
        self.pace = Pace::default();
    }

    /// Read once; the limit is for a connection on which nothing moves
    /// (TimedOut), or so little that it makes no difference. 0 at the end.
    pub fn pull(&mut self, space: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        if self.told[0] != limit {
            self.stream.set_read_timeout(limit)?;
            self.told[0] = limit;
        }
        let (flow, mut stream) = (&self.flow, &self.stream);
        let most = flow.grant(space.len()).ok_or_else(interrupted)?;
        let start = Instant::now();
        let n = patiently(limit, start, flow, || stream.read(&mut space[..most]))?;
        flow.moved(n);
        if self.pace.bears(n, start.elapsed(), limit) {
            Ok(n)
        } else {
            Err(too_slow())
        }
    }

    /// Write everything; the limit is as for reading.
    pub fn push(&mut self, mut rest: &[u8], limit: Option<Duration>) -> io::Result<()> {
        if self.told[1] != limit {
            self.stream.set_write_timeout(limit)?;
            self.told[1] = limit;
        }
        let (flow, mut stream) = (&self.flow, &self.stream);
        while !rest.is_empty() {
            let most = flow.grant(rest.len()).ok_or_else(interrupted)?;
            let start = Instant::now();
            let n = patiently(limit, start, flow, || stream.write(&rest[..most]))?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            flow.moved(n);
            rest = &rest[n..];
            if !self.pace.bears(n, start.elapsed(), limit) {
                return Err(too_slow());
            }
        }
        Ok(())
    }

    /// Open and silent, as a connection between two requests must be.
    pub fn is_idle(&self) -> bool {
        self.peek().is_none()
    }

    /// Whether something can be read at once.
    pub fn has_input(&self) -> bool {
        self.peek().is_some_and(|n| n > 0)
    }

    /// Whether the other end has not received all that was written, as far as the
    /// system tells.
    pub fn has_unsent(&self) -> bool {
        os::unsent(self.stream.as_fd()) > 0
    }

    /// What a look at the socket finds, without waiting: Some(0) at its end.
    fn peek(&self) -> Option<usize> {
        // Mostly there is nothing, and this is what costs least.
        if !os::wait_for_input(&[self.stream.as_fd()], Duration::ZERO)[0] {
            return None;
        }
        self.stream.set_nonblocking(true).ok()?;
        let found = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).ok()?;
        match found {
            Ok(n) => Some(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        }
    }
}

/// Try each address in turn, dividing the time among those that are left.
fn connect(addrs: &[SocketAddr], limit: Option<Duration>) -> io::Result<TcpStream> {
    let end = limit.map(|limit| Instant::now() + limit);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (i, addr) in addrs.iter().enumerate() {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let share = left.map(|l| (l / (addrs.len() - i) as u32).max(Duration::from_millis(10)));
        let attempt = match share {
            Some(share) => TcpStream::connect_timeout(addr, share),
            None => TcpStream::connect(addr),
        };
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Repeat a call that signals interrupt until it succeeds, fails, or `limit`
/// is over since `start` (TimedOut). A pulse that says to give up ends it too.
fn patiently(
    limit: Option<Duration>,
    start: Instant,
    flow: &SharedFlow,
    mut call: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        let kind = match call() {
            Ok(n) => return Ok(n),
            Err(e) => match e.kind() {
                io::ErrorKind::Interrupted => io::ErrorKind::Interrupted,
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::ErrorKind::TimedOut,
                _ => return Err(e),
            },
        };
        if flow.pulse() {
            return Err(interrupted());
        }
        let over = limit.is_some_and(|limit| start.elapsed() >= limit);
        if kind == io::ErrorKind::TimedOut || over {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// A time-out with a reason of its own.
fn too_slow() -> io::Error {
    let why = "fewer than 16 KiB moved in five minutes";
    io::Error::new(io::ErrorKind::TimedOut, why)
}

/// Not ErrorKind::Interrupted: std and rustls would simply try again.
fn interrupted() -> io::Error {
    io::Error::other("interrupted")
}

/// Whether the other end has gone.
pub fn is_closed(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Free;
    use std::net::TcpListener;
    use std::thread;

    const LIMIT: Option<Duration> = Some(Duration::from_secs(60));

    /// Connected to a server that does this with its end.
    fn connected(serve: impl FnOnce(TcpStream) + Send + 'static) -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0));
        Socket::connect(&[addr], LIMIT, Arc::new(Free)).unwrap()
    }

    /// A socket that has waited for nearly as long as it may.
    fn weary(mut socket: Socket) -> Socket {
        for _ in 0..5 {
            assert!(socket.pace.bears(0, LIMIT.unwrap(), LIMIT));
        }
        socket
    }

    #[test]
    fn what_moves_too_slowly_is_given_up() {
        let mut socket = weary(connected(|stream| {
            let mut twin = stream.try_clone().unwrap();
            let taking = thread::spawn(move || io::copy(&mut twin, &mut io::sink()));
            while (&stream).write_all(b"x").is_ok() {}
            let _ = taking.join();
        }));
        let slow = |mut call: Box<dyn FnMut() -> io::Result<()> + '_>| {
            let e = (0..1000).find_map(|_| call().err()).unwrap();
            assert!(e.kind() == io::ErrorKind::TimedOut && e.to_string().contains("16 KiB"));
        };
        slow(Box::new(|| socket.pull(&mut [0], LIMIT).map(drop)));
        slow(Box::new(|| socket.push(&[0], LIMIT)));
        // For another request it starts anew.
        socket.begin();
        assert!(socket.pull(&mut [0], LIMIT).is_ok());
    }

    #[test]
    fn tries_every_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        let limit = Some(Duration::from_secs(5));
        assert!(connect(&[closed, good], limit).is_ok());
        let refused = connect(&[closed], limit).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
