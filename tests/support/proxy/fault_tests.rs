//! Each fault as a plain socket sees it.

use super::*;

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

#[test]
fn status_is_answered_without_forwarding() {
    let (server, proxy, mut client) = start();
    for (answer, code, word) in [
        (Answer::slow_down(), 503, "<Code>SlowDown</Code>"),
        (Answer::access_denied(), 403, "<Code>AccessDenied</Code>"),
        (Answer::internal_error(), 500, "<Code>InternalError</Code>"),
        (Answer::too_many_requests(7), 429, "TooManyRequests"),
        (Answer::unavailable(7), 503, "ServiceUnavailable"),
        (Answer::expired_token(), 400, "ExpiredToken"),
        (Answer::not_found("NoSuchBucket"), 404, "NoSuchBucket"),
    ] {
        proxy.once(Match::any(), Fault::Status(answer));
        let reply = client.ask("PUT", "/b/s", &noise(300_000));
        assert_eq!(reply.status, code);
        assert!(text(&reply).contains(word));
        let retry = (code == 429 || word == "ServiceUnavailable").then_some("7");
        assert_eq!(field(&reply.head, "Retry-After"), retry);
    }
    assert_eq!(server.heads().len(), 0);
    let seen = proxy.seen();
    assert!(seen.iter().all(|s| s.body_len == 300_000 && s.faulted));
    assert!(seen.iter().all(|s| s.connection == 0));

    proxy.once(Match::any(), Fault::Status(Answer::slow_down()));
    let head = "PUT /b/s HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    client.write(head.as_bytes()).unwrap();
    assert_eq!(client.head().unwrap().status, 100);
    client.write(b"x").unwrap();
    assert_eq!(client.reply().unwrap().status, 503);

    let last = Answer::slow_down().header("Connection", "close");
    proxy.once(Match::any(), Fault::Status(last));
    client.send("HEAD", "/b/s", b"").unwrap();
    assert_eq!(client.head().unwrap().status, 503);
    assert!(client.closed());
}

#[test]
fn early_status_resets_in_the_middle_of_the_body() {
    let (server, proxy, mut client) = broken(Fault::EarlyStatus(Answer::slow_down()));
    let sent = client.send("PUT", "/b/e", &vec![1; 64 << 20]).unwrap_err();
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kinds.contains(&sent.kind()), "{sent}");
    // Linux keeps what arrived before the reset.
    assert_eq!(client.reply().unwrap().status, 503);

    proxy.once(Match::any(), Fault::EarlyStatus(Answer::slow_down()));
    let mut client = Client::new(proxy.addr());
    let head = "PUT /b/e HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
    client.write(head.as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 503);
    assert!(client.quiet());
    client.write(b"b").unwrap();
    assert!(client.reset());
    assert_eq!(server.heads().len(), 0);
    assert_eq!(proxy.seen()[1].body_len, 0);
}

#[test]
fn early_status_drained_lets_the_body_be_sent() {
    let (server, _proxy, mut client) = broken(Fault::EarlyStatusDrain(Answer::slow_down()));
    let head = "PUT /b/e HTTP/1.1\r\nContent-Length: 67108864\r\n\r\n";
    client.write(head.as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 503);
    assert!(client.closed());
    client.write(&vec![1; 64 << 20]).unwrap();
    assert_eq!(server.heads().len(), 0);
}

#[test]
fn refused_connections_are_reset() {
    let (server, proxy, mut client) = broken(Fault::RefuseFor(2));
    client.send("GET", "/b/k", b"").unwrap();
    assert!(client.reset());
    proxy.refuse_for(1);
    for _ in 0..3 {
        let mut refused = Client::new(proxy.addr());
        refused.send("GET", "/b/k", b"").unwrap();
        assert!(refused.reset());
    }
    assert_eq!(server.heads().len(), 0);
    let mut client = Client::new(proxy.addr());
    assert_eq!(client.ask("GET", "/b/k", b"").status, 200);
    assert_eq!(proxy.seen().len(), 2);
    assert_eq!(proxy.connections(), 5);
}

#[test]
fn a_dropped_request_is_reset_and_not_forwarded() {
    let (server, proxy, mut client) = start();
    for (body, after, read) in [(0, 0, 0), (9, 0, 0), (9, 9, 8), (1 << 20, 700_000, 700_000)] {
        proxy.once(Match::any(), Fault::DropRequest { after });
        // The reset may come before the last byte is out.
        let _ = client.send("PUT", "/b/d", &noise(body));
        assert!(client.reset());
        assert_eq!(proxy.seen().last().unwrap().body_len, read);
        assert_eq!(proxy.seen().last().unwrap().status, None);
        client = Client::new(proxy.addr());
    }
    assert_eq!(server.heads().len(), 0);
}

#[test]
fn a_dropped_response_breaks_off() {
    let (_server, proxy, mut client) = start();
    for (target, after) in [
        ("/b/k", 0),
        ("/b/k", 1234),
        ("/b/k", 5000),
        ("/untilclose/k", 9),
    ] {
        proxy.once(Match::any(), Fault::DropResponse { after });
        client.send("GET", target, b"").unwrap();
        assert_eq!(client.head().unwrap().status, 200);
        assert_eq!(client.rest().unwrap(), noise(5000)[..after as usize]);
        client = Client::new(proxy.addr());
    }
    proxy.once(Match::any(), Fault::DropResponse { after: 1500 });
    client.send("GET", "/chunked/k", b"").unwrap();
    client.head().unwrap();
    let whole = chunked(&noise(5000));
    let rest = client.rest().unwrap();
    assert!(whole.starts_with(&rest));
    assert_eq!(rest.len(), 1500 + "3E8;x=y\r\n".len() * 2 + 2);
}

#[test]
fn a_lost_answer_was_carried_out() {
    let (server, proxy, mut client) = broken(Fault::LoseAnswer);
    client.send("PUT", "/b/l", b"body").unwrap();
    assert!(client.closed());
    assert_eq!(server.object("l").unwrap(), b"body");
    assert_eq!(proxy.seen()[0].status, None);
}

#[test]
fn a_stalled_response_stays_open() {
    let (_server, proxy, mut client) = broken(Fault::Stall { after: 777 });
    client.send("GET", "/b/k", b"").unwrap();
    client.head().unwrap();
    let mut body = [0; 777];
    client.0.read_exact(&mut body).unwrap();
    assert_eq!(body[..], noise(777));
    assert!(client.quiet());
    client.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(client.closed());
    assert_eq!(proxy.seen()[0].status, Some(200));
}

#[test]
fn a_stalled_request_is_read_and_not_answered() {
    let (server, proxy, mut client) = broken(Fault::StallRequest);
    client.send("PUT", "/b/s", &noise(1 << 20)).unwrap();
    proxy.wait_for(|seen| seen.len() == 1 && seen[0].body_len == 1 << 20);
    assert!(client.quiet());
    client.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(client.closed());
    assert_eq!(server.heads().len(), 0);
}

#[test]
fn a_stalled_body_is_not_read() {
    let (_server, proxy, mut client) = broken(Fault::StallBody { after: 1000 });
    let stream = client.0.get_ref();
    let moment = Some(Duration::from_millis(300));
    stream.set_write_timeout(moment).unwrap();
    let sent = client.send("PUT", "/b/s", &vec![1; 64 << 20]).unwrap_err();
    assert_eq!(sent.kind(), ErrorKind::WouldBlock);
    assert_eq!(proxy.seen()[0].body_len, 1000);
}

#[test]
fn one_bit_is_flipped() {
    let (server, proxy, mut client) = start();
    let mut wrong = noise(5000);
    wrong[4321] ^= 1;
    for target in ["/b/k", "/chunked/k"] {
        proxy.once(Match::any(), Fault::Flip { at: 4321 });
        assert_eq!(client.ask("GET", target, b"").body, wrong);
    }
    proxy.once(Match::any(), Fault::FlipRequest { at: 4321 });
    assert_eq!(client.ask("PUT", "/b/w", &noise(5000)).status, 200);
    assert_eq!(server.object("w").unwrap(), wrong);
    assert_eq!(client.ask("GET", "/b/k", b"").body, noise(5000));
}

#[test]
fn lengths_lie() {
    let (_server, proxy, mut client) = start();
    for (target, delta, claim) in [("/b/k", 10, "5010"), ("/chunked/k", -10, "4990")] {
        proxy.once(Match::any(), Fault::WrongLength { delta });
        client.send("GET", target, b"").unwrap();
        let reply = client.head().unwrap();
        assert_eq!(field(&reply.head, "Content-Length"), Some(claim));
        assert_eq!(field(&reply.head, "Transfer-Encoding"), None);
        assert_eq!(client.rest().unwrap(), noise(5000));
        client = Client::new(proxy.addr());
    }
    proxy.once(Match::any(), Fault::WrongLength { delta: 1 });
    client.send("HEAD", "/b/k", b"").unwrap();
    let reply = client.head().unwrap();
    assert_eq!(field(&reply.head, "Content-Length"), Some("5001"));
    assert!(client.closed());
}

#[test]
fn a_truncated_answer_leaves_bytes_on_the_connection() {
    let (_server, _proxy, mut client) = broken(Fault::Truncate { by: 100 });
    assert_eq!(client.ask("GET", "/b/k", b"").body, noise(5000)[..4900]);
    client.send("GET", "/b/none", b"").unwrap();
    let mut left = [0; 100];
    client.0.read_exact(&mut left).unwrap();
    assert_eq!(left[..], noise(5000)[4900..]);
    assert_eq!(client.reply().unwrap().status, 404);
}

#[test]
fn redirects_name_the_place() {
    let (server, proxy, mut client) = start();
    for (code, word) in [(301, "PermanentRedirect"), (307, "TemporaryRedirect")] {
        let (region, endpoint) = ("eu-north-1".to_owned(), "b.s3.eu:81".to_owned());
        proxy.once(
            Match::any(),
            Fault::Redirect {
                code,
                region,
                endpoint,
            },
        );
        let reply = client.ask("GET", "/b/k?x", b"");
        assert_eq!(reply.status, code);
        assert_eq!(
            field(&reply.head, "x-amz-bucket-region"),
            Some("eu-north-1")
        );
        let location = (code == 307).then_some("http://b.s3.eu:81/b/k?x");
        assert_eq!(field(&reply.head, "Location"), location);
        let body = text(&reply);
        assert!(body.contains(&format!("<Code>{word}</Code>")));
        assert!(body.contains("<Endpoint>b.s3.eu:81</Endpoint>"));
    }
    let region = "eu-north-1".to_owned();
    proxy.once(Match::any(), Fault::WrongRegion { region });
    let reply = client.ask("GET", "/b/k?x", b"");
    assert_eq!(reply.status, 400);
    assert!(text(&reply).contains("<Code>AuthorizationHeaderMalformed</Code>"));
    assert!(text(&reply).contains("<Region>eu-north-1</Region>"));
    assert_eq!(server.heads().len(), 0);
}

#[test]
fn clocks_lie() {
    let (server, proxy, mut client) = start();
    for (seconds, date) in [(86400, "Mon, 07"), (-2 * 86400, "Fri, 04")] {
        proxy.once(Match::any(), Fault::Date { seconds });
        let reply = client.ask("GET", "/b/k", b"");
        let date = format!("{date} Nov 1994 08:49:37 GMT");
        assert_eq!(field(&reply.head, "Date"), Some(date.as_str()));
        assert_eq!(reply.body, noise(5000));
    }
    assert_eq!(server.heads().len(), 2);
    let server_date = SystemTime::UNIX_EPOCH + Duration::from_secs(784111777);
    proxy.once(Match::any(), Fault::Skewed { server_date });
    let reply = client.ask("GET", "/b/k", b"");
    assert_eq!(reply.status, 403);
    assert_eq!(field(&reply.head, "Date"), Some(DATE));
    assert!(text(&reply).contains("<Code>RequestTimeTooSkewed</Code>"));
    assert!(text(&reply).contains("<ServerTime>1994-11-06T08:49:37Z</ServerTime>"));
    assert_eq!(server.heads().len(), 2);
}

#[test]
fn success_that_is_none() {
    let (server, proxy, mut client) = start();
    for (key, forward) in [("no", false), ("yes", true)] {
        let code = "InternalError".to_owned();
        proxy.once(Match::any(), Fault::ErrorIn200 { code, forward });
        let reply = client.ask("PUT", &format!("/b/{key}"), b"x");
        assert_eq!(reply.status, 200);
        assert!(text(&reply).contains("<Error><Code>InternalError</Code>"));
        assert_eq!(server.object(key).is_some(), forward);
    }
    assert_eq!(proxy.seen()[1].connection, 0);
}

#[test]
fn a_replaced_answer_was_carried_out() {
    let answer = Answer::new(412, "Precondition Failed").header("X-A", "b");
    let (server, proxy, mut client) = broken(Fault::Replace(answer.body("not so")));
    let reply = client.ask("PUT", "/b/r", b"x");
    assert_eq!((reply.status, reply.body), (412, b"not so".to_vec()));
    assert_eq!(field(&reply.head, "X-A"), Some("b"));
    assert_eq!(server.object("r").unwrap(), b"x");
    assert_eq!(proxy.seen()[0].status, Some(412));
    assert_eq!(client.ask("GET", "/b/r", b"").body, b"x");
}

#[test]
fn a_delay_only_delays() {
    let delay = Duration::from_millis(50);
    let (_server, proxy, mut client) = broken(Fault::Delay(delay));
    let before = std::time::Instant::now();
    assert_eq!(client.ask("GET", "/b/k", b"").body, noise(5000));
    assert!(before.elapsed() >= delay);
    assert!(proxy.seen()[0].faulted);
}

#[test]
fn idle_connections_end() {
    let (_server, proxy, mut client) = broken(Fault::CloseIdle);
    assert_eq!(client.ask("GET", "/b/k", b"").body, noise(5000));
    assert!(client.closed());

    let mut client = Client::new(proxy.addr());
    proxy.once(Match::any(), Fault::CloseNext);
    let reply = client.ask("GET", "/b/k", b"");
    assert_eq!(field(&reply.head, "Connection"), None);
    assert_eq!(reply.body, noise(5000));
    assert!(client.quiet());
    client.send("GET", "/b/k", b"").unwrap();
    assert!(client.reset());
    assert_eq!(proxy.seen().len(), 2);
}

#[test]
fn a_response_is_chunked_anew() {
    let (_server, proxy, mut client) = start();
    for target in ["/b/k", "/chunked/k", "/untilclose/k"] {
        proxy.once(Match::any(), Fault::Chunked);
        let reply = client.ask("GET", target, b"");
        assert_eq!(field(&reply.head, "Transfer-Encoding"), Some("chunked"));
        assert_eq!(field(&reply.head, "Content-Length"), None);
        assert_eq!(reply.body, noise(5000));
    }
    assert!(client.closed());
}
