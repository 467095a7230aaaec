//! The proxy without faults, its rules, and its end.

use super::*;

#[test]
fn passes_bytes_unchanged_and_keeps_alive() {
    let (server, proxy, mut client) = start();
    let body = noise(3 << 20);
    let head = "PUT /b/%2F..//x?y HTTP/1.1\r\nhost: B.s3:9\r\nX-Odd:   a  \r\ncontent-length: ";
    let head = format!("{head}{}\r\n\r\n", body.len());
    client.write(head.as_bytes()).unwrap();
    client.write(&body).unwrap();
    assert_eq!(client.reply().unwrap().status, 200);
    assert_eq!(server.heads(), [head]);
    assert_eq!(server.object("x?y").unwrap(), body);

    let reply = client.ask("GET", "/b/x?y", b"");
    assert_eq!(reply.body, body);
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nDate: {DATE}\r\nX-Bytes: \t~\r\nContent-Length: ");
    assert_eq!(reply.head, format!("{head}{length}\r\n\r\n"));

    assert_eq!(client.ask("GET", "/b/none", b"").status, 404);
    assert_eq!(client.ask("DELETE", "/b/x?y", b"").status, 204);
    client.send("HEAD", "/b/k", b"").unwrap();
    let reply = client.head().unwrap();
    assert_eq!(field(&reply.head, "Content-Length"), Some("5000"));
    assert_eq!(client.ask("GET", "/b/k", b"").body, noise(5000));

    let seen = proxy.seen();
    let statuses: Vec<_> = seen.iter().map(|s| s.status.unwrap()).collect();
    assert_eq!(statuses, [200, 200, 404, 204, 200, 200]);
    assert!(seen.iter().all(|s| s.connection == 0 && !s.faulted));
    assert_eq!((seen[0].method.as_str(), seen[0].n), ("PUT", 0));
    assert_eq!(seen[0].target, "/b/%2F..//x?y");
    assert_eq!(seen[0].header("HOST"), Some("B.s3:9"));
    assert_eq!(seen[0].body_len, body.len() as u64);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn chunks_pass_both_ways() {
    let (server, proxy, mut client) = start();
    let head = "PUT /b/c HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = noise(2500);
    client.write(head.as_bytes()).unwrap();
    client.write(&chunked(&body)).unwrap();
    assert_eq!(client.reply().unwrap().status, 200);
    assert_eq!(server.object("c").unwrap(), body);
    assert_eq!(proxy.seen()[0].body_len, 2500);
    client.send("GET", "/chunked/c", b"").unwrap();
    client.head().unwrap();
    let mut raw = vec![0; chunked(&body).len()];
    client.0.read_exact(&mut raw).unwrap();
    assert_eq!(raw, chunked(&body));
    assert_eq!(client.ask("GET", "/b/c", b"").body, body);
}

#[test]
fn closing_is_passed_on() {
    let (_server, proxy, mut client) = start();
    assert_eq!(client.ask("GET", "/untilclose/k", b"").body, noise(5000));
    let mut client = Client::new(proxy.addr());
    assert_eq!(client.ask("GET", "/close/k", b"").body, noise(5000));
    assert!(client.closed());
    let mut client = Client::new(proxy.addr());
    client.send("GET", "/break/k", b"").unwrap();
    assert_eq!(client.head().unwrap().status, 200);
    assert_eq!(client.rest().unwrap(), noise(5000)[..2500]);
}

#[test]
fn continue_is_passed_on() {
    let (server, _proxy, mut client) = start();
    let head = "PUT /b/e HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    client.write(head.as_bytes()).unwrap();
    assert_eq!(client.head().unwrap().status, 100);
    client.write(b"abc").unwrap();
    assert_eq!(client.reply().unwrap().status, 200);
    assert_eq!(server.object("e").unwrap(), b"abc");
}

#[test]
fn an_early_answer_of_the_upstream_arrives() {
    let (_server, proxy, mut client) = start();
    let sent = client.send("PUT", "/early/e", &vec![1; 64 << 20]);
    assert!(sent.is_err(), "a body that nobody read was sent");
    // Linux keeps what arrived before the reset.
    assert_eq!(client.head().unwrap().status, 403);
    assert!(proxy.seen()[0].body_len < 64 << 20);

    // The connection ends also under a client that waits.
    let mut client = Client::new(proxy.addr());
    let head = "PUT /early/e HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
    client.write(head.as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 403);
    assert!(client.closed());
}

#[test]
fn the_upstream_connection_is_kept_and_replaced() {
    let (server, proxy, mut client) = start();
    for _ in 0..3 {
        assert_eq!(client.ask("GET", "/b/k", b"").status, 200);
    }
    assert!(server.ended.try_recv().is_err(), "not kept");
    assert_eq!(client.ask("GET", "/silent/k", b"").status, 200);
    server.ended.recv().unwrap();
    assert_eq!(client.ask("GET", "/b/k", b"").status, 200);
    assert_eq!(proxy.connections(), 1);
    drop(proxy);
    server.ended.recv().unwrap();
    assert!(
        server.ended.try_recv().is_err(),
        "more than two connections"
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_server, proxy, mut client) = start();
    let two = "PUT /b/p HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /b/p HTTP/1.1\r\n\r\n";
    client.write(two.as_bytes()).unwrap();
    client.write(b"GET /b/k HTTP/1.1\r\n").unwrap();
    assert_eq!(client.reply().unwrap().body, b"");
    assert_eq!(client.reply().unwrap().body, b"hi");
    client.write(b"Host: b\r\n\r").unwrap();
    client.write(b"\n").unwrap();
    assert_eq!(client.reply().unwrap().body, noise(5000));
    assert_eq!(proxy.seen().len(), 3);
}

#[test]
fn connections_are_served_at_once() {
    let (server, proxy, mut idle) = start();
    idle.write(b"PUT /b/slow HTTP/1.1\r\nContent-Length: 4\r\n\r\nha")
        .unwrap();
    let addr = proxy.addr();
    thread::scope(|scope| {
        for i in 0..8 {
            scope.spawn(move || {
                let (mut client, body) = (Client::new(addr), noise(100_000 + i));
                for round in 0..20 {
                    let target = format!("/b/{i}-{round}");
                    assert_eq!(client.ask("PUT", &target, &body).status, 200);
                    assert_eq!(client.ask("GET", &target, b"").body, body);
                }
            });
        }
    });
    idle.write(b"lf").unwrap();
    assert_eq!(idle.reply().unwrap().status, 200);
    assert_eq!(server.object("slow").unwrap(), b"half");
    assert_eq!(proxy.seen().len(), 321);
    assert_eq!(proxy.connections(), 9);
}

#[test]
fn connect_tunnels_plain_http_with_faults() {
    let (server, proxy, mut client) = start();
    proxy.once(Match::any(), Fault::Status(Answer::slow_down()));
    client
        .write(b"CONNECT b.s3.test:80 HTTP/1.1\r\nHost: b.s3.test:80\r\n\r\n")
        .unwrap();
    assert_eq!(client.head().unwrap().status, 200);
    assert_eq!(client.ask("PUT", "/b/t", b"x").status, 503);
    assert_eq!(client.ask("PUT", "/b/t", b"x").status, 200);
    assert_eq!(server.object("t").unwrap(), b"x");
    let seen = proxy.seen();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].status),
        ("CONNECT", Some(200))
    );
    assert_eq!(seen[0].target, "b.s3.test:80");
    assert!(seen.iter().all(|s| s.connection == 0));

    proxy.once(
        Match::method("CONNECT"),
        Fault::Status(Answer::new(407, "Proxy Authentication Required")),
    );
    let mut client = Client::new(proxy.addr());
    client.send("CONNECT", "x:1", b"").unwrap();
    assert_eq!(client.reply().unwrap().status, 407);
}

#[test]
fn connect_copies_tls_blindly() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap());
    proxy.storm(1, 100, vec![Fault::StallRequest]);
    let mut client = Client::new(proxy.addr());
    client
        .write(b"CONNECT b:443 HTTP/1.1\r\n\r\n\x16\x03\x01")
        .unwrap();
    assert_eq!(client.head().unwrap().status, 200);
    let (mut upstream, _) = listener.accept().unwrap();
    let mut hello = [0; 3];
    upstream.read_exact(&mut hello).unwrap();
    assert_eq!(hello, *b"\x16\x03\x01");
    upstream.write_all(b"\x16\x02\r\n\r\n").unwrap();
    drop(upstream);
    assert_eq!(client.rest().unwrap(), b"\x16\x02\r\n\r\n");
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
fn an_absolute_target_reaches_the_upstream_in_origin_form() {
    let (server, proxy, mut client) = start();
    assert_eq!(
        client.ask("GET", "http://b.s3.test/b/k", b"").body,
        noise(5000)
    );
    assert!(server.heads()[0].starts_with("GET /b/k HTTP/1.1\r\nHost: b.s3\r\n"));
    assert_eq!(proxy.seen()[0].target, "http://b.s3.test/b/k");
}

#[test]
fn rules_apply_in_order_to_what_they_match() {
    let (_server, proxy, mut client) = start();
    let fault = |code| Fault::Status(Answer::new(code, "No"));
    let when = Match::method("GET").target("/b/").target("?a").nth(2);
    proxy.rule(Rule {
        when,
        fault: fault(511),
        times: 2,
    });
    let when = Match::any().when(|seen| seen.header("Host") == Some("b.s3"));
    proxy.rule(Rule {
        when: when.target("last"),
        fault: fault(512),
        times: 1,
    });
    proxy.always(Match::method("DELETE"), fault(513));
    let mut codes = Vec::new();
    for (method, target) in [
        ("GET", "/b/k?a"),
        ("PUT", "/b/k?a"),
        ("GET", "/b/k?a"),
        ("GET", "/b/last?a"),
        ("GET", "/b/last?a"),
        ("GET", "/b/last?a"),
        ("DELETE", "/b/z"),
        ("DELETE", "/b/z"),
    ] {
        codes.push(client.ask(method, target, b"").status);
    }
    assert_eq!(codes, [404, 200, 511, 511, 512, 404, 513, 513]);
    proxy.clear();
    assert_eq!(client.ask("DELETE", "/b/z", b"").status, 204);
    let faulted = proxy.seen().iter().filter(|s| s.faulted).count();
    assert_eq!(faulted, 5);
}

#[test]
fn a_storm_repeats_itself() {
    let run = |seed| {
        let (_server, proxy, mut client) = start();
        let faults = [503, 500].map(|code| Fault::Status(Answer::new(code, "No")));
        proxy.storm(seed, 30, faults.to_vec());
        let mut ask = || client.ask("GET", "/b/k", b"").status;
        (0..200).map(|_| ask()).collect::<Vec<u16>>()
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    let count = |code| first.iter().filter(|&&c| c == code).count();
    assert!((30..90).contains(&(count(503) + count(500))), "{first:?}");
    assert!(count(503) > 0 && count(500) > 0 && count(200) > 0);
}

#[test]
fn the_upstream_can_move_and_fail() {
    let (_server, proxy, mut client) = start();
    assert_eq!(client.ask("GET", "/b/k", b"").status, 200);
    let other = Server::start();
    proxy.set_upstream(other.addr);
    assert_eq!(client.ask("GET", "/b/k", b"").status, 404);
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_upstream(nowhere.local_addr().unwrap());
    drop(nowhere);
    client.send("GET", "/b/k", b"").unwrap();
    assert!(client.closed());
    let seen = proxy.seen();
    assert_eq!((seen[2].status, seen[2].faulted), (None, false));
}

#[test]
fn waiting_sees_a_request_under_way() {
    let (_server, proxy, mut client) = start();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| proxy.wait_for(|seen| seen.iter().any(|s| s.body_len == 2)));
        client
            .write(b"PUT /b/w HTTP/1.1\r\nContent-Length: 3\r\n\r\nab")
            .unwrap();
        let seen = waiter.join().unwrap();
        assert_eq!((seen[0].body_len, seen[0].status), (2, None));
    });
}

#[test]
fn down_refuses_and_up_serves_again() {
    let (_server, proxy, mut client) = start();
    assert_eq!(client.ask("GET", "/b/k", b"").status, 200);
    for _ in 0..3 {
        proxy.down();
        assert!(client.closed());
        let refused = TcpStream::connect(proxy.addr()).map(|_| ());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.up();
        client = Client::new(proxy.addr());
        assert_eq!(client.ask("GET", "/b/k", b"").status, 200);
    }
}

#[test]
fn hanging_up_ends_what_is_under_way() {
    let (_server, proxy, mut client) = start();
    proxy.once(Match::any(), Fault::Delay(Duration::from_secs(3600)));
    client.send("GET", "/b/k", b"").unwrap();
    proxy.wait_for(|seen| seen.len() == 1);
    proxy.hang_up();
    assert!(client.closed());
    let mut client = Client::new(proxy.addr());
    assert_eq!(client.ask("GET", "/b/k", b"").status, 200);
}

#[test]
fn dropping_the_proxy_ends_everything() {
    let (_server, proxy, _) = start();
    let addr = proxy.addr();
    proxy.once(Match::any().target("/1"), Fault::StallRequest);
    proxy.once(Match::any().target("/2"), Fault::StallBody { after: 0 });
    proxy.once(Match::any().target("/k"), Fault::Stall { after: 0 });
    let mut clients = ["/1", "/2", "/k"].map(|target| {
        let mut client = Client::new(addr);
        client.send("PUT", target, b"").unwrap();
        client
    });
    let mut half = Client::new(addr);
    half.write(b"PUT /b/half HTTP/1.1\r\nContent-Length: 3\r\n\r\nab")
        .unwrap();
    proxy.wait_for(|seen| seen.len() == 4 && seen.iter().any(|s| s.body_len == 2));
    assert_eq!(clients[2].head().unwrap().status, 200);
    drop(proxy);
    assert!(clients.iter_mut().all(Client::closed));
    assert!(half.closed());
    let refused = TcpStream::connect(addr).map(|_| ());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
