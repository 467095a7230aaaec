//! What the proxy remembers, and which fault a request gets. One lock guards
//! all of it; nothing is done under the lock that can block, the tests' own
//! closures aside.

use super::fault::{Fault, Rule, Seen};
use super::link::Link;
use super::wire::Head;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the handle and the connections' threads share.
pub struct Shared {
    state: Mutex<State>,
    /// Told of every change that somebody may wait for.
    pub changed: Condvar,
}

/// The proxy's memory.
pub struct State {
    /// Where requests go.
    pub upstream: SocketAddr,
    /// New connections still to be reset.
    pub refuse: usize,
    /// Every request so far.
    pub seen: Vec<Seen>,
    /// Rules, and how many requests each has met.
    pub rules: Vec<(Rule, usize)>,
    /// Faults for the requests that no rule wants.
    pub storm: Option<Storm>,
    /// Connections accepted so far.
    pub connections: usize,
    /// The connection on which the accepting thread ends.
    pub waker: Option<SocketAddr>,
    open: HashMap<usize, Open>,
    threads: Vec<JoinHandle<()>>,
}

/// The sockets of a connection, to be shut from outside.
struct Open {
    client: Arc<TcpStream>,
    upstream: Option<Arc<TcpStream>>,
    cut: bool,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(upstream: SocketAddr) -> Shared {
        let state = Mutex::new(State {
            upstream,
            refuse: 0,
            seen: Vec::new(),
            rules: Vec::new(),
            storm: None,
            connections: 0,
            waker: None,
            open: HashMap::new(),
            threads: Vec::new(),
        });
        let changed = Condvar::new();
        Shared { state, changed }
    }

    /// The state. A test that panics in a closure of its own must still be
    /// able to drop the proxy, so poison is passed over.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread of a new connection.
    pub fn enter(self: &Arc<Self>, client: TcpStream) {
        let client = Arc::new(client);
        // Fails where the client has gone already, which its thread will see.
        let _ = client.set_nodelay(true);
        let mut state = self.lock();
        let id = state.connections;
        state.connections += 1;
        let refused = state.refuse > 0;
        state.refuse -= usize::from(refused);
        let open = Open {
            client: client.clone(),
            upstream: None,
            cut: false,
        };
        state.open.insert(id, open);
        let link = Link {
            shared: self.clone(),
            id,
            client,
            upstream: None,
        };
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread::spawn(move || link.run(refused)));
    }

    /// Makes an upstream known, so that it can be shut; an error where the
    /// connection has been cut meanwhile.
    pub fn join(&self, id: usize, upstream: &Arc<TcpStream>) -> io::Result<()> {
        match self.lock().open.get_mut(&id) {
            Some(open) if !open.cut => open.upstream = Some(upstream.clone()),
            _ => return Err(ErrorKind::ConnectionAborted.into()),
        }
        Ok(())
    }

    /// Forgets a connection that has ended.
    pub fn leave(&self, id: usize) {
        self.lock().open.remove(&id);
    }

    /// Waits so long, or for ever; an error where the connection is cut.
    pub fn pause(&self, id: usize, time: Option<Duration>) -> io::Result<()> {
        let until = time.map(|time| Instant::now() + time);
        let mut state = self.lock();
        while state.open.get(&id).is_some_and(|open| !open.cut) {
            let left = until.map_or(Duration::MAX, |at| {
                at.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Err(ErrorKind::ConnectionAborted.into())
    }

    /// Changes what is known of a request.
    pub fn note(&self, n: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.lock().seen.get_mut(n) {
            change(seen);
        }
        self.changed.notify_all();
    }

    /// Lists a request and chooses its fault.
    pub fn admit(&self, connection: usize, head: &Head) -> (usize, Option<Fault>) {
        let [method, target, _] = head.start();
        let mut state = self.lock();
        let mut seen = Seen {
            n: state.seen.len(),
            at: Instant::now(),
            method,
            target,
            headers: head.headers(),
            body_len: 0,
            connection,
            status: None,
            faulted: false,
        };
        let fault = state.choose(&seen);
        seen.faulted = fault.is_some();
        let n = seen.n;
        state.seen.push(seen);
        drop(state);
        self.changed.notify_all();
        (n, fault)
    }

    /// Ends all connections and waits for their threads.
    pub fn hang_up(&self) {
        let mut state = self.lock();
        for open in state.open.values_mut() {
            open.cut = true;
            for stream in [Some(&open.client), open.upstream.as_ref()] {
                // Fails where the peer has closed already.
                let _ = stream.map(|stream| stream.shutdown(Shutdown::Both));
            }
        }
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.changed.notify_all();
        for thread in threads {
            // A panic there was printed; the test will miss its answer.
            let _ = thread.join();
        }
    }
}

impl State {
    fn choose(&mut self, seen: &Seen) -> Option<Fault> {
        let mut fault = None;
        for (rule, met) in &mut self.rules {
            if !rule.when.fits(seen) {
                continue;
            }
            *met += 1;
            if fault.is_none() && *met >= rule.when.nth && rule.times > 0 {
                rule.times -= 1;
                fault = Some(rule.fault.clone());
            }
        }
        if fault.is_none() && seen.method != "CONNECT" {
            fault = self.storm.as_mut().and_then(Storm::draw);
            // To a HEAD it would be the plain lie that the object is there.
            let lie = |f: &Fault| matches!(f, Fault::ErrorIn200 { .. });
            fault = fault.filter(|f| seen.method != "HEAD" || !lie(f));
        }
        fault
    }
}

/// Faults at random.
pub struct Storm {
    /// State of the generator.
    pub seed: u64,
    /// The chance of a fault, in 100.
    pub percent: u64,
    /// What there is to choose from; never empty.
    pub faults: Vec<Fault>,
}

impl Storm {
    fn draw(&mut self) -> Option<Fault> {
        let (hit, which) = (self.next() % 100, self.next());
        let which = which as usize % self.faults.len();
        (hit < self.percent).then(|| self.faults[which].clone())
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
    /// generators, 2014): any seed will do, and it fits in four lines.
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
