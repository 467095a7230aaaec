//! The store's connections: requests come in, and what their replies say goes
//! out. A connection that fails has a client that has gone, and ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::reply::{Act, Part, Reply, Say};
use super::{Request, Shared, State, socket, truth};

/// How long a client has to take note of an answer, or that a connection was closed.
const LINGER: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes.
const HEAD: u64 = 64 << 10;

/// Serves every connection until the store goes.
pub fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (n, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        let mut state = shared.lock();
        if state.closing {
            return;
        }
        state.connections.insert(n, handle);
        drop(state);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let _ = serve(&shared, stream, n);
            shared.lock().connections.remove(&n);
        });
    }
}

/// Whether a connection goes on after an answer.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    Close,
    /// Take nothing any more.
    Drop,
    Reset,
}

fn serve(shared: &Shared, stream: TcpStream, number: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut next = Next::Request;
    while next == Next::Request {
        let Some(mut request) = read_head(&mut reader)? else {
            return Ok(());
        };
        let mut state = shared.lock();
        request.n = state.requests.len();
        state.requests.push(request.clone());
        drop(state);
        shared.came.notify_all();
        let hook = Arc::clone(&shared.hook.lock().unwrap());
        let reply = hook(&request);
        next = answer(shared, &mut reader, &stream, &request, &reply)?;
    }
    // The store's own handle would keep it open.
    shared.lock().connections.remove(&number);
    match next {
        Next::Reset => socket::reset(stream),
        Next::Drop => {}
        _ => linger(&mut reader, &stream)?,
    }
    Ok(())
}

/// Closes our side, and waits until the client has seen that.
fn linger(reader: &mut BufReader<TcpStream>, stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    io::copy(reader, &mut io::sink()).map(|_| ())
}

/// Waits until a client has surely seen the answer to a request whose body it is
/// still sending, and asks for the same key again; or for a while. What is taken
/// before it looks would seem to have come before the answer.
fn await_another(shared: &Shared, request: &Request) {
    let waits = |state: &mut State| {
        let later = state.requests.iter().skip(request.n + 1);
        !state.closing && !later.into_iter().any(|later| later.key == request.key)
    };
    let state = shared.lock();
    drop(shared.came.wait_timeout_while(state, LINGER, waits));
}

fn answer(
    shared: &Shared,
    reader: &mut BufReader<TcpStream>,
    stream: &TcpStream,
    request: &Request,
    reply: &Reply,
) -> io::Result<Next> {
    let read = match reply.read {
        Part::Whole => request.length,
        Part::Begun => (request.length / 2).min(4096),
        Part::Nothing => 0,
    };
    let mut body = Vec::new();
    reader.by_ref().take(read).read_to_end(&mut body)?;
    let whole = body.len() as u64 == request.length;
    if !whole && reply.read == Part::Whole {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut answer = carry_out(shared, request, body, reply, whole);
    let once = shared.lock().settings.narrow;
    if once {
        answer = answer.header("Connection", "close");
    }
    let steps = match &reply.say {
        None => vec![Say::whole(&answer)],
        Some(say) => say(answer),
    };
    let rest = request.length - read;
    for step in steps {
        match step {
            Say::Close if rest > 0 => return Ok(Next::Drop),
            Say::Close => return Ok(Next::Close),
            Say::Reset => return Ok(Next::Reset),
            step => say(stream, step)?,
        }
    }
    if once && rest > 0 {
        await_another(shared, request);
    }
    let skipped = io::copy(&mut reader.by_ref().take(rest), &mut io::sink())?;
    if skipped == rest && !once {
        Ok(Next::Request)
    } else {
        Ok(Next::Close)
    }
}

/// Does what the reply says should be done, and gives the true answer.
fn carry_out(
    shared: &Shared,
    request: &Request,
    body: Vec<u8>,
    reply: &Reply,
    whole: bool,
) -> crate::proxy::Answer {
    let mut state = shared.lock();
    state.catch_up(request.n);
    let (answer, changes) = truth::answer(&state, request, &body, &reply.view);
    state.requests[request.n].status = Some(answer.code);
    match reply.act {
        Act::Now if whole => state.apply(changes),
        Act::Now | Act::Never => {}
        Act::Late(after) => {
            let at = request.n + after;
            state.late.push((at, request.clone(), body));
        }
    }
    answer
}

fn say(mut stream: &TcpStream, step: Say) -> io::Result<()> {
    match step {
        Say::Bytes(bytes) => stream.write_all(&bytes)?,
        Say::Drip(bytes, pause) => {
            for byte in bytes {
                stream.write_all(&[byte])?;
                thread::sleep(pause);
            }
        }
        Say::Endless(bytes) => loop {
            stream.write_all(&bytes)?;
        },
        Say::Trickle(bytes, pause) => loop {
            stream.write_all(&bytes)?;
            thread::sleep(pause);
        },
        Say::Silence => {
            // Until the client has gone: what it sends is no matter.
            io::copy(&mut stream, &mut io::sink())?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Say::Close | Say::Reset => {}
    }
    Ok(())
}

/// The head of the next request; none at the end of the connection.
fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut lines = reader.by_ref().take(HEAD).lines();
    let Some(start) = lines.next().transpose()? else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_string(), value.trim().to_string())),
            None if line.is_empty() => return request(&start, headers).map(Some),
            None => break,
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn request(start: &str, headers: Vec<(String, String)>) -> io::Result<Request> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut words = start.split(' ');
    let method = words.next().ok_or_else(bad)?.to_string();
    let target = words.next().ok_or_else(bad)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.strip_prefix('/').ok_or_else(bad)?;
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let parameters = query.split('&').filter(|part| !part.is_empty());
    let parameters = parameters.map(|part| part.split_once('=').unwrap_or((part, "")));
    let mut request = Request {
        n: 0,
        method,
        bucket: decode(bucket),
        key: Some(decode(key)).filter(|key| !key.is_empty()),
        query: parameters
            .map(|(name, value)| (decode(name), decode(value)))
            .collect(),
        headers,
        length: 0,
        status: None,
    };
    let length = request.header("content-length").unwrap_or("0");
    request.length = length.parse().map_err(|_| bad())?;
    Ok(request)
}

/// Text without its percent signs.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).expect("a UTF-8 target")
}
