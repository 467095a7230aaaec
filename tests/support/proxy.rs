//! A fault-injecting HTTP/1.1 proxy for tests: everything that networks and
//! servers do wrong, done on purpose and on the wire.
//!
//! [`Proxy::start`] listens on a loopback port and forwards every request, byte
//! for byte (`Host` included, so signatures stay right), to one upstream. Point
//! a client at [`Proxy::url`] as its endpoint, or at the same URL as its
//! HTTP_PROXY or HTTPS_PROXY: `CONNECT host:port` gives a tunnel to the upstream
//! *whatever host is named*, so virtual-hosted bucket names need no DNS. Plain
//! HTTP in a tunnel is treated like any other; TLS in it is copied blindly. With
//! `S3PIPE_TEST_TLS` in the environment, the URL is that of a front that speaks
//! TLS and hands on what is in it.
//!
//! ```ignore
//! let proxy = Proxy::start(server.addr());
//! proxy.rule(Rule {
//!     when: Match::method("PUT").target("/block/").nth(3),
//!     fault: Fault::LoseAnswer,
//!     times: 1,
//! });
//! // … run the program with --endpoint proxy.url() …
//! assert!(proxy.seen().iter().any(|seen| seen.faulted));
//! ```
//!
//! Without a fault nothing is changed but the form of an absolute target.
//! Bodies are streamed in both directions at once; early answers, `100
//! Continue`, keep-alive and closing pass as the upstream does them, except that
//! an upstream's closing of an *idle* connection is not passed on (the next
//! request gets a new one). When the upstream cannot be reached or breaks off,
//! the client's connection is closed without an answer. Dropping the proxy ends
//! all its connections and threads.

// Each test program uses a part of this.
#![allow(dead_code, unused_imports)]

#[path = "proxy/date.rs"]
pub mod date;
#[path = "proxy/fault.rs"]
mod fault;
#[path = "front.rs"]
pub mod front;
#[path = "proxy/link.rs"]
mod link;
#[path = "proxy/state.rs"]
mod state;
#[path = "proxy/wire.rs"]
mod wire;

pub use fault::{Answer, Fault, Match, Rule, Seen};

use state::{Shared, Storm};
use std::env;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long [`Proxy::wait_for`] waits before it panics.
const PATIENCE: Duration = Duration::from_secs(120);

/// The proxy; see the module's documentation.
pub struct Proxy {
    addr: SocketAddr,
    front: Option<SocketAddr>,
    shared: Arc<Shared>,
    gate: Mutex<Gate>,
}

/// The listening side: a thread that accepts, or the two ends of a connection
/// that keeps the port taken while nothing listens on it.
enum Gate {
    Up(JoinHandle<TcpStream>),
    Down { _ends: (TcpStream, TcpStream) },
    Gone,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `upstream`.
    pub fn start(upstream: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let addr = listener.local_addr().expect("address");
        let shared = Arc::new(Shared::new(upstream));
        let gate = Mutex::new(Gate::Up(accept(listener, &shared)));
        let front = env::var_os("S3PIPE_TEST_TLS").map(|_| front::start(addr));
        Proxy {
            addr,
            front,
            shared,
            gate,
        }
    }

    /// Where it listens; the same for its whole life.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same past a front.
    pub fn plain_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// `http://127.0.0.1:PORT`, as an endpoint or as the value of HTTP_PROXY.
    pub fn url(&self) -> String {
        match self.front {
            Some(front) => format!("https://{front}"),
            None => self.plain_url(),
        }
    }

    /// Forwards to this address from the next request on (a server that was
    /// started again on another port).
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared.lock().upstream = upstream;
    }

    /// Adds a rule. For each request the first rule, in the order given, that
    /// matches and is not spent applies, and no other.
    ///
    /// # Panics
    /// Where the match names CONNECT and the fault needs an upstream's answer.
    pub fn rule(&self, rule: Rule) {
        let connect = rule.when.method.as_deref() == Some("CONNECT");
        let fits = !rule.fault.forwards() || matches!(rule.fault, Fault::Delay(_));
        assert!(fits || !connect, "no such fault for CONNECT");
        self.shared.lock().rules.push((rule, 0));
    }

    /// A rule for every request that `when` matches, without an end.
    pub fn always(&self, when: Match, fault: Fault) {
        let times = usize::MAX;
        self.rule(Rule { when, fault, times });
    }

    /// A rule for the next request that `when` matches.
    pub fn once(&self, when: Match, fault: Fault) {
        let times = 1;
        self.rule(Rule { when, fault, times });
    }

    /// From now on, gives each request that no rule wants (CONNECT aside) one
    /// of these faults at random, with a chance of `percent` in 100. The same
    /// seed and the same order of requests give the same faults.
    pub fn storm(&self, seed: u64, percent: u64, faults: Vec<Fault>) {
        assert!(!faults.is_empty(), "a storm of nothing");
        self.shared.lock().storm = Some(Storm {
            seed,
            percent,
            faults,
        });
    }

    /// Takes back all rules, the storm, and what is left of `refuse_for`;
    /// faults under way go on.
    pub fn clear(&self) {
        let mut state = self.shared.lock();
        state.rules.clear();
        state.storm = None;
        state.refuse = 0;
    }

    /// Every request so far, in the order in which their heads were complete.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// Waits until this is true of the requests so far (it is asked again at
    /// every change) and returns them. It must not call the proxy, which is
    /// locked meanwhile.
    ///
    /// # Panics
    /// After two minutes.
    pub fn wait_for(&self, mut done: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
        let state = self.shared.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !done(&state.seen));
        let (state, late) = waited.unwrap_or_else(PoisonError::into_inner);
        let seen = state.seen.clone();
        drop(state);
        assert!(!late.timed_out(), "waited in vain; seen: {seen:#?}");
        seen
    }

    /// How many connections were accepted so far, refused ones included.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Resets the next so many new connections at their first byte.
    pub fn refuse_for(&self, connections: usize) {
        self.shared.lock().refuse += connections;
    }

    /// Ends all open connections, with whatever is under way on them; new ones
    /// are served. They have ended when this returns.
    pub fn hang_up(&self) {
        self.shared.hang_up();
    }

    /// As a server that has crashed: closes the listening socket, so that
    /// connecting gets ECONNREFUSED, and all connections. The port stays ours.
    pub fn down(&self) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let Gate::Up(acceptor) = std::mem::replace(&mut *gate, Gate::Gone) else {
            panic!("down already");
        };
        let ours = {
            // Under the lock, so that the thread cannot take this connection,
            // which wakes it, for a client's.
            let mut state = self.shared.lock();
            let ours = TcpStream::connect(self.addr).expect("connect to ourselves");
            state.waker = Some(ours.local_addr().expect("address"));
            ours
        };
        let theirs = acceptor.join().expect("acceptor panicked");
        *gate = Gate::Down {
            _ends: (ours, theirs),
        };
        drop(gate);
        self.shared.hang_up();
    }

    /// Listens on the same port again after [`Proxy::down`].
    pub fn up(&self) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(matches!(*gate, Gate::Down { .. }), "up already");
        self.shared.lock().waker = None;
        let listener = TcpListener::bind(self.addr).expect("bind the same port again");
        *gate = Gate::Up(accept(listener, &self.shared));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let gate = self.gate.get_mut().unwrap_or_else(PoisonError::into_inner);
        match gate {
            Gate::Up(_) => self.down(),
            _ => self.shared.hang_up(),
        }
    }
}

/// Accepts connections until the waker's comes, which is returned.
fn accept(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<TcpStream> {
    let shared = shared.clone();
    thread::spawn(move || {
        loop {
            // An error is of a connection that is gone already.
            let Ok((client, peer)) = listener.accept() else {
                continue;
            };
            let waker = shared.lock().waker;
            if waker == Some(peer) {
                return client;
            } else if waker.is_none() {
                shared.enter(client);
            }
        }
    })
}
