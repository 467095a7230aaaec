//! A worker's end of the channel to its coordinator.
//!
//! Reports are sent at once. Orders about how to work (rate, pause) are carried out
//! when they are read, which happens whenever the worker waits for anything; those
//! about what to do are queued until it asks for them. Once the other end of the
//! channel is closed, there is nothing more to do: reports are dropped, and no order
//! comes.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::os;
use crate::progress::Relay;
use crate::progress::limit::Limit;
use crate::workers::message::{LineBuffer, Order, Report};

/// A worker's end of the channel.
pub struct WorkerChannel {
    stream: UnixStream,
    inbox: Mutex<Inbox>,
    limit: Arc<Mutex<Limit>>,
}

#[derive(Default)]
struct Inbox {
    lines: LineBuffer,
    orders: VecDeque<Order>,
    ended: bool,
}

impl WorkerChannel {
    /// Over this socket. Rates and pauses that are ordered go to `limit`.
    pub fn new(stream: UnixStream, limit: Arc<Mutex<Limit>>) -> WorkerChannel {
        WorkerChannel {
            stream,
            inbox: Mutex::default(),
            limit,
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Report to the coordinator. If that has ended, nothing happens.
    pub fn report(&self, report: &Report) {
        let _ = (&self.stream).write_all(report.to_line().as_bytes());
    }

    /// The next order about what to do, waiting for it. None at the end.
    pub fn next(&self) -> Option<Order> {
        loop {
            let mut inbox = self.inbox();
            if let Some(order) = inbox.orders.pop_front() {
                return Some(order);
            }
            if inbox.ended || os::stop_signal().is_some() {
                return None;
            }
            self.receive(&mut inbox);
        }
    }

    /// Whether the other end is closed.
    pub fn has_ended(&self) -> bool {
        self.inbox().ended
    }

    /// Read once, and wait if there is nothing to be read.
    fn receive(&self, inbox: &mut Inbox) {
        let mut buffer = [0; 4096];
        match (&self.stream).read(&mut buffer) {
            Ok(0) => inbox.ended = true,
            Ok(n) => inbox.lines.push(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => inbox.ended = true,
        }
        while let Some(line) = inbox.lines.next_line() {
            let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
            match Order::parse(&line) {
                Some(Order::Rate(rate)) => limit.set_rate(rate, Instant::now()),
                Some(Order::Hold(time)) => limit.hold_until(Instant::now() + time),
                Some(order) => inbox.orders.push_back(order),
                // A line that cannot be read must not leave the worker waiting.
                None => inbox.orders.push_back(Order::Finish),
            }
        }
    }

    /// The answer to a question: the first order that is `wanted`, even if others
    /// came before it. Waits for it. None at the end.
    pub fn answer<T>(&self, wanted: impl Fn(&Order) -> Option<T>) -> Option<T> {
        let mut inbox = self.inbox();
        loop {
            let found = inbox.orders.iter().enumerate();
            if let Some((at, answer)) = found.filter_map(|(i, o)| Some((i, wanted(o)?))).next() {
                inbox.orders.remove(at);
                return Some(answer);
            }
            if inbox.ended || os::stop_signal().is_some() {
                return None;
            }
            self.receive(&mut inbox);
        }
    }
}

impl Relay for WorkerChannel {
    fn say(&self, text: &str) {
        self.report(&Report::Say(text.into()));
    }

    fn remind(&self, text: &str) {
        self.report(&Report::Remind(text.into()));
    }

    fn retried(&self) {
        self.report(&Report::Retried);
    }

    fn slowed(&self, time: Duration) {
        self.report(&Report::Slow(time));
    }

    fn look_up(&self, begins: bool) {
        self.report(&Report::Lookup(begins));
    }

    fn moved(&self, bytes: u64) {
        // A coordinator that is busy is not waited for: the next one will do.
        if os::can_write(self.stream.as_fd()) {
            self.report(&Report::Moved(bytes));
        }
    }

    fn attend(&self, time: Duration) {
        let mut inbox = self.inbox();
        if inbox.ended {
            os::pause(time);
        } else if os::wait_for_input(&[self.stream.as_fd()], time)[0] {
            self.receive(&mut inbox);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::limit::Grant;
    use crate::sign::Credentials;

    fn pair() -> (UnixStream, WorkerChannel) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let limit = Arc::new(Mutex::new(Limit::new(None)));
        (ours, WorkerChannel::new(theirs, limit))
    }

    fn send(stream: &UnixStream, order: &Order) {
        let mut stream = stream;
        stream.write_all(order.to_line().as_bytes()).unwrap();
    }

    #[test]
    fn settings_are_heeded_and_jobs_are_kept() {
        let (ours, channel) = pair();
        send(&ours, &Order::Write(0..5));
        send(&ours, &Order::Rate(Some(1)));
        send(&ours, &Order::Hold(Duration::from_secs(60)));
        channel.attend(Duration::from_secs(10));
        let now = Instant::now();
        {
            let mut limit = channel.limit.lock().unwrap();
            assert!(limit.held(now) > Some(Duration::from_secs(50)));
            limit.moved(5000);
            assert!(matches!(limit.ask(9, now), Grant::Wait(_)));
        }
        assert_eq!(channel.next(), Some(Order::Write(0..5)));
        drop(ours);
        assert_eq!(channel.next(), None);
        channel.report(&Report::Got);
    }

    #[test]
    fn an_answer_overtakes_what_waits() {
        let (ours, channel) = pair();
        let keys = Credentials {
            id: "a".into(),
            secret: "b".into(),
            token: None,
        };
        send(&ours, &Order::Finish);
        send(&ours, &Order::Credentials(keys.clone()));
        let answer = channel.answer(|order| match order {
            Order::Credentials(keys) => Some(keys.clone()),
            _ => None,
        });
        assert_eq!(answer, Some(keys));
        assert_eq!(channel.next(), Some(Order::Finish));
    }

    #[test]
    fn nonsense_ends_it() {
        let (ours, channel) = pair();
        (&ours).write_all(b"what\n").unwrap();
        assert_eq!(channel.next(), Some(Order::Finish));
    }
}
