//! The fault-injecting proxy itself: what a plain socket sees of each fault,
//! with a small server behind the proxy that keeps PUT bodies in a map.

#[path = "support/proxy.rs"]
mod proxy;

use proxy::{Answer, Fault, Match, Proxy, Rule};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// The upstream. `GET /chunked/KEY` is answered in chunks, `/untilclose/KEY`
/// without a length, `/close/KEY` with `Connection: close`, `/early/KEY`
/// refused before the body is read, `/break/KEY` broken off in the body; after
/// `/silent/KEY` the connection is closed without a word.
struct Server {
    addr: SocketAddr,
    /// Gives a unit for each connection that has ended.
    ended: Receiver<()>,
    heads: Arc<Mutex<Vec<String>>>,
    objects: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (heads, objects) = (Arc::default(), Arc::default());
        let (end, ended) = mpsc::channel();
        let server = Server {
            addr,
            ended,
            heads,
            objects,
        };
        let (heads, objects) = (server.heads.clone(), server.objects.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heads, objects, end) = (heads.clone(), objects.clone(), end.clone());
                thread::spawn(move || {
                    // Both fail only where the other side has gone already.
                    let _ = Self::serve(stream, &heads, &objects);
                    let _ = end.send(());
                });
            }
        });
        server
    }

    fn serve(
        stream: TcpStream,
        heads: &Mutex<Vec<String>>,
        objects: &Mutex<HashMap<String, Vec<u8>>>,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = stream.try_clone()?;
        let mut stream = BufReader::new(stream);
        loop {
            let head = read_head(&mut stream)?;
            heads.lock().unwrap().push(head.clone());
            let mut words = head.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            if target.starts_with("/early/") {
                let answer = format!("HTTP/1.1 403 No\r\nDate: {DATE}\r\nContent-Length: 2\r\n");
                return out.write_all((answer + "Connection: close\r\n\r\nno").as_bytes());
            }
            if field(&head, "Expect").is_some() {
                out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = read_body(&mut stream, &head, true)?;
            let (place, key) = target.rsplit_once('/').unwrap();
            let mut objects = objects.lock().unwrap();
            let (status, body) = match method {
                "PUT" => {
                    objects.insert(key.to_owned(), body);
                    ("200 OK", Vec::new())
                }
                "DELETE" => {
                    objects.remove(key);
                    ("204 No Content", Vec::new())
                }
                _ => match objects.get(key) {
                    Some(body) => ("200 OK", body.clone()),
                    None => ("404 Not Found", b"gone".to_vec()),
                },
            };
            drop(objects);
            let head = format!("HTTP/1.1 {status}\r\nDate: {DATE}\r\nX-Bytes: \t~\r\n");
            let length = format!("Content-Length: {}\r\n", body.len());
            let (fields, body) = match place {
                "/chunked" => ("Transfer-Encoding: chunked\r\n".to_owned(), chunked(&body)),
                "/untilclose" => (String::new(), body),
                "/close" => (length + "Connection: close\r\n", body),
                "/break" => (length, body[..body.len() / 2].to_vec()),
                _ => (length, body),
            };
            out.write_all((head + &fields + "\r\n").as_bytes())?;
            if method != "HEAD" {
                out.write_all(&body)?;
            }
            if ["/untilclose", "/close", "/break", "/silent"].contains(&place) {
                return Ok(());
            }
        }
    }

    fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(1000) {
        out.extend_from_slice(format!("{:X};x=y\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
    out
}

fn read_head(from: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut all = head.lines().filter_map(|line| line.split_once(": "));
    all.find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn read_body(from: &mut impl BufRead, head: &str, request: bool) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if field(head, "Transfer-Encoding").is_some() {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let size = line.split(';').next().unwrap().trim();
            let size = usize::from_str_radix(size, 16).expect("chunk size");
            if size == 0 {
                while from.read_line(&mut line)? > 2 {}
                return Ok(body);
            }
            let start = body.len();
            body.resize(start + size + 2, 0);
            from.read_exact(&mut body[start..])?;
            assert_eq!(body.split_off(start + size), b"\r\n");
        }
    } else if let Some(length) = field(head, "Content-Length") {
        body.resize(length.parse().unwrap(), 0);
        from.read_exact(&mut body)?;
    } else if !request {
        from.read_to_end(&mut body)?;
    }
    Ok(body)
}

/// A client on one connection.
struct Client(BufReader<TcpStream>);

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Client {
    fn new(to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        // Only so that a proxy that hangs fails the test.
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        stream.set_write_timeout(limit).unwrap();
        Client(BufReader::new(stream))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    fn send(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<()> {
        let n = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: b.s3\r\nContent-Length: {n}\r\n");
        self.write((head + "\r\n").as_bytes())?;
        self.write(body)
    }

    fn head(&mut self) -> io::Result<Reply> {
        let head = read_head(&mut self.0)?;
        let status = head[9..12].parse().unwrap();
        let body = Vec::new();
        Ok(Reply { status, head, body })
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.head()?;
        if reply.status != 204 {
            reply.body = read_body(&mut self.0, &reply.head, false)?;
        }
        Ok(reply)
    }

    fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> Reply {
        self.send(method, target, body).unwrap();
        self.reply().unwrap()
    }

    /// Everything up to the end of the connection.
    fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).map(|_| rest)
    }

    /// The connection was closed and nothing (more) came on it.
    fn closed(&mut self) -> bool {
        self.rest().is_ok_and(|rest| rest.is_empty())
    }

    /// The connection was reset and nothing (more) came on it.
    fn reset(&mut self) -> bool {
        let ended = self.0.read(&mut [0]);
        ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
    }

    /// Nothing comes, and the connection stays open.
    fn quiet(&mut self) -> bool {
        let stream = self.0.get_ref();
        let limit = stream.read_timeout().unwrap();
        let moment = Some(Duration::from_millis(100));
        stream.set_read_timeout(moment).unwrap();
        let ended = stream.peek(&mut [0]);
        stream.set_read_timeout(limit).unwrap();
        let empty = self.0.buffer().is_empty();
        empty && ended.is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock))
    }
}

/// Bytes without a short period.
fn noise(len: usize) -> Vec<u8> {
    let mut x = 1u32;
    let mut next = || {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        (x >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A server that holds `k` (5000 bytes), a proxy before it, a client.
fn start() -> (Server, Proxy, Client) {
    let server = Server::start();
    let mut objects = server.objects.lock().unwrap();
    objects.insert("k".to_owned(), noise(5000));
    drop(objects);
    let proxy = Proxy::start(server.addr);
    let client = Client::new(proxy.addr());
    (server, proxy, client)
}

/// The same, with a fault for the first request.
fn broken(fault: Fault) -> (Server, Proxy, Client) {
    let all = start();
    all.1.once(Match::any(), fault);
    all
}

#[path = "support/proxy/plain_tests.rs"]
mod plain;

#[path = "support/proxy/fault_tests.rs"]
mod faults;
