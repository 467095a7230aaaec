//! Servers and proxies behind TLS: whom it trusts, and what it bears.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::proxy::Proxy;
use crate::proxy::front::{self, Manner};
use crate::servers::{exchange, tunnelled};
use crate::support::relay::relay;
use crate::support::{Scratch, Server, assert_same, random, s3pipe};

#[test]
fn a_server_behind_tls() {
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    exchange(|| s3pipe(&server));
    let localhost = server.endpoint.replace("127.0.0.1", "localhost");
    exchange(|| s3pipe(&server).option("--endpoint", &localhost));
    let ca = server.ca.as_ref().expect("an authority");
    exchange(|| {
        s3pipe(&server)
            .without("--ca-file")
            .env("AWS_CA_BUNDLE", ca)
    });
}

#[test]
fn a_certificate_that_nobody_vouches_for() {
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    let others = Scratch::new();
    let other = Server::embedded_tls(&others);
    let ca = other
        .ca
        .as_ref()
        .and_then(|ca| ca.to_str())
        .expect("a path");
    let proxy = Proxy::start(server.addr());
    for run in [
        s3pipe(&server).without("--ca-file"),
        s3pipe(&server).option("--ca-file", ca),
        // Its certificate is for other names.
        s3pipe(&server)
            .option("--endpoint", "https://elsewhere.test")
            .env("HTTPS_PROXY", proxy.url()),
    ] {
        let out = run.args(["upload", "-s", "x"]).stdin("1").run();
        let out = out.fails(69, "certificate");
        // At once: waiting mends no certificate.
        assert!(!out.stderr.contains("gave up"), "{out}");
    }
    assert_eq!(server.objects(), Vec::<String>::new());
    assert_eq!(proxy.seen().len(), 1, "{:?}", proxy.seen());
}

#[test]
fn authorities_that_are_no_such_thing() {
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    let text = scratch.file("text", "no certificate\n");
    let missing = scratch.path().join("missing");
    for file in [text, missing] {
        let file = file.to_str().expect("a path");
        let run = s3pipe(&server).option("--ca-file", file).arg("list");
        run.run().fails(78, file);
    }
}

#[test]
fn tls_through_a_proxy() {
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    let proxy = Proxy::start(server.addr());
    for addressing in ["path", "virtual"] {
        exchange(|| {
            let run = s3pipe(&server).option("--endpoint", "https://s3.localhost");
            let run = run.option("--addressing", addressing);
            run.env("HTTPS_PROXY", proxy.url())
        });
    }
    let (requests, connects) = tunnelled(&proxy);
    assert_eq!(requests, []);
    let host = |host| connects.iter().any(|seen| seen.target == host);
    assert!(host("s3.localhost:443") && host("test.s3.localhost:443"));
}

/// A proxy that does not do what it is asked; what it says to that is its own.
#[test]
fn proxies_that_refuse() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let cases: [(&[u8], &str); 5] = [
        (
            b"HTTP/1.1 407 hush\r\nA: hush\r\n\r\n",
            "the proxy answered 407",
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\nhush",
            "the proxy said more than it was asked",
        ),
        (
            b"HTTP/1.1 200 OK\r\nA: hush",
            "the proxy closed the connection",
        ),
        (b"SSH-2.0-hush\r\n\r\n", "the proxy does not speak HTTP"),
        (&[b'h'; 20_000], "the proxy's answer has no end"),
    ];
    let answers = cases.map(|(answer, _)| answer);
    let served = thread::spawn(move || {
        for answer in answers {
            let mut stream = BufReader::new(listener.accept().expect("a client").0);
            let head = (&mut stream).lines().map_while(Result::ok);
            let head: Vec<_> = head.take_while(|line| !line.is_empty()).collect();
            assert!(
                head.iter()
                    .any(|line| line == "Proxy-Authorization: Basic dTpodXNo")
            );
            let _ = stream.get_mut().write_all(answer);
        }
    });
    for (_, text) in cases {
        let run = s3pipe(&server).option("--retry", "0").arg("list");
        let run = run.env("HTTP_PROXY", format!("http://u:hush@{addr}")).run();
        let run = run.fails(69, text);
        assert!(!run.stderr.contains("hush"), "{run}");
    }
    served.join().expect("the proxy");
}

/// A handshake through a tunnel at whose other end nobody speaks.
#[test]
fn a_tunnel_that_leads_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let held = thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().expect("a client").0);
        let head = (&mut stream).lines().map_while(Result::ok);
        head.take_while(|line| !line.is_empty()).for_each(drop);
        let answer = b"HTTP/1.1 200 OK\r\n\r\n";
        stream.get_mut().write_all(answer).expect("a client");
        // Until the client has had enough.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    let run = s3pipe(&server).option("--endpoint", "https://s3.localhost");
    let run = run.option("--timeout", "1").option("--retry", "0");
    let out = run.env("HTTPS_PROXY", &proxy).arg("list").run();
    out.fails(69, "no connection: timed out");
    held.join().expect("the proxy");
}

/// The proxy itself is behind TLS, and in its tunnel there is TLS again, or not.
#[test]
fn a_proxy_behind_tls() {
    let scratch = Scratch::new();
    let fronts = std::fs::read(front::certificate()).expect("a certificate");
    for (tls, variable) in [(true, "HTTPS_PROXY"), (false, "HTTP_PROXY")] {
        let server = match tls {
            true => Server::embedded_tls(&scratch),
            false => Server::embedded(&scratch),
        };
        let proxy = Proxy::start(server.addr());
        let front = format!("https://{}", front::start(proxy.addr()));
        let mut trusted = fronts.clone();
        if let Some(ca) = &server.ca {
            trusted.extend(std::fs::read(ca).expect("an authority"));
        }
        let file = scratch.file("trusted.pem", trusted);
        let file = file.to_str().expect("a path");
        exchange(|| {
            let run = s3pipe(&server).option("--ca-file", file);
            run.env(variable, &front)
        });
        let (requests, connects) = tunnelled(&proxy);
        assert_eq!(requests.is_empty(), tls);
        assert!(!connects.is_empty());
    }
}

/// What a session says to itself between two answers neither ends a connection
/// nor gets into the data.
#[test]
fn keys_that_change_after_each_answer() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let data = random(2, 9 * (64 << 10) + 99);
    for command in ["upload", "download"] {
        let proxy = Proxy::start(server.addr());
        let front = front::start_as(proxy.addr(), Manner::Keys);
        let run = s3pipe(&server).option("-s", "keys").alone();
        let run = run.option("--endpoint", &format!("https://{front}"));
        let certificate = front::certificate();
        let run = run.option("--ca-file", certificate.to_str().expect("a path"));
        let run = match command {
            "upload" => run.option("--blocksize", "64K").stdin(data.clone()),
            _ => run,
        };
        let out = run.arg(command).run().ok();
        if command == "download" {
            assert_same(&out.stdout, &data);
        }
        assert!(proxy.seen().len() > 10);
        assert_eq!(proxy.connections(), 1);
    }
}

/// A bit that flips between the two ends breaks a session. It is opened anew,
/// and nothing that came over it is believed.
#[test]
fn bits_that_flip_on_the_way() {
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    let data = random(1, 5 * (64 << 10) + 99);
    // Past the handshake, on each of the first connections once.
    let places: [usize; 4] = [6_000, 20_000, 66_000, 100_000];
    for (back, command) in [(false, "upload"), (true, "download")] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        relay(listener, server.addr(), move |passing| {
            let place = places.get(passing.connection).copied().unwrap_or(0);
            let at = place.wrapping_sub(passing.offset);
            if place > 0 && passing.back == back && at < passing.bytes.len() {
                passing.bytes[at] ^= 1;
            }
        });
        let run = s3pipe(&server).option("-s", "flipped").alone().arg("-v");
        let run = run.option("--endpoint", &format!("https://127.0.0.1:{port}"));
        let run = match command {
            "upload" => run.option("--blocksize", "64K").stdin(data.clone()),
            _ => run,
        };
        let out = run.arg(command).run().ok_saying("on the way");
        let tries = out.stderr.matches("on the way").count();
        assert!(tries >= places.len() - 1, "{tries}: {out}");
        if command == "download" {
            assert_same(&out.stdout, &data);
        }
    }
    let run = s3pipe(&server).args(["download", "-s", "flipped"]);
    assert_same(&run.run().ok().stdout, &data);
}

/// A run through TLS of this kind, of whose first connection one bit is changed
/// on the way, in what comes first from the server; `place` says where, given
/// the bytes that come. True if it was.
fn survives(manner: Manner, place: impl Fn(&[u8]) -> Option<usize> + Send + Sync + 'static) {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let front = front::start_as(server.addr(), manner);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = mpsc::channel();
    relay(listener, front, move |passing| {
        let first = passing.connection == 0 && passing.back && passing.offset == 0;
        if let Some(at) = place(passing.bytes).filter(|_| first) {
            passing.bytes[at] ^= 1;
            let _ = tell.send(());
        }
    });
    let certificate = front::certificate();
    let run = s3pipe(&server).option("--endpoint", &format!("https://127.0.0.1:{port}"));
    let run = run.option("--ca-file", certificate.to_str().expect("a path"));
    // What has lost its length is waited for.
    run.option("--timeout", "1s").arg("list").run().ok();
    told.try_recv().expect("a change");
}

/// One record of a first handshake that was changed on the way is no reason to
/// give up.
#[test]
fn a_first_handshake_that_is_damaged() {
    for manner in [Manner::Quiet, Manner::Old] {
        for at in (0..75).step_by(2) {
            println!("byte {at}");
            survives(manner, move |_| Some(at));
        }
    }
    // In TLS 1.2 its damage does not show before the certificate is looked at.
    let pem = std::fs::read(front::certificate()).expect("a certificate");
    let der = CertificateDer::from_pem_slice(&pem).expect("a certificate");
    for back in [1, 20, der.len() - 2] {
        let der = der.to_vec();
        survives(Manner::Old, move |bytes| {
            let found = bytes.windows(der.len()).position(|part| part == der);
            found.map(|start| start + der.len() - back)
        });
    }
}

/// Three in a row are one: there is no TLS.
#[test]
fn handshakes_that_are_none() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = (tell.send(()), stream.read_to_end(&mut Vec::new()));
        }
    });
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    let run = s3pipe(&server).option("--endpoint", &format!("https://127.0.0.1:{port}"));
    let out = run.arg("list").run().fails(69, "no TLS is spoken there");
    assert!(!out.stderr.contains("gave up"), "{out}");
    assert_eq!(told.try_iter().count(), 3);
}
