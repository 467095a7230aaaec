//! Which faults are tried again, mended or final, and what is said of them.

use super::*;

fn refused(status: u16, code: &str) -> ErrorResponse {
    ErrorResponse {
        status,
        code: code.into(),
        ..ErrorResponse::default()
    }
}

fn verdict(refusal: ErrorResponse) -> Verdict {
    judge(
        &Fault::Refused(Box::new(refusal)),
        "us-east-1",
        Utc(1_000_000),
    )
}

#[test]
fn what_may_pass_is_tried_again() {
    for (status, code) in [
        (503, "SlowDown"),
        (500, "InternalError"),
        (429, ""),
        (400, "RequestTimeout"),
        (400, "BadDigest"),
        (409, "ConditionalRequestConflict"),
        (200, "InternalError"),
        (599, ""),
    ] {
        assert_eq!(
            verdict(refused(status, code)),
            Verdict::Again,
            "{status} {code}"
        );
    }
}

#[test]
fn what_will_not_pass_is_final() {
    for (status, code, exit) in [
        (403, "AccessDenied", Exit::Denied),
        (403, "SignatureDoesNotMatch", Exit::Denied),
        (404, "NoSuchBucket", Exit::Missing),
        (404, "", Exit::Missing),
        (403, "InvalidObjectState", Exit::Unavailable),
        (501, "NotImplemented", Exit::Unavailable),
        (400, "InvalidArgument", Exit::Unavailable),
        (301, "PermanentRedirect", Exit::Config),
        (409, "BucketAlreadyExists", Exit::Exists),
        (412, "PreconditionFailed", Exit::Unavailable),
    ] {
        assert_eq!(
            verdict(refused(status, code)),
            Verdict::Final(exit),
            "{status} {code}"
        );
    }
}

#[test]
fn what_can_be_mended_is_mended_once() {
    let elsewhere = ErrorResponse {
        region: Some("eu-west-1".into()),
        ..refused(400, "AuthorizationHeaderMalformed")
    };
    assert_eq!(verdict(elsewhere), Verdict::Region("eu-west-1".into()));
    let here = ErrorResponse {
        region: Some("us-east-1".into()),
        ..refused(400, "AuthorizationHeaderMalformed")
    };
    assert_eq!(verdict(here), Verdict::Final(Exit::Denied));
    let late = ErrorResponse {
        date: Some(Utc(1_003_600)),
        ..refused(403, "RequestTimeTooSkewed")
    };
    assert_eq!(verdict(late.clone()), Verdict::Clock(Utc(1_003_600)));
    let in_time = judge(&Fault::Refused(Box::new(late)), "us-east-1", Utc(1_003_600));
    assert_eq!(in_time, Verdict::Final(Exit::Denied));
    assert_eq!(verdict(refused(400, "ExpiredToken")), Verdict::Credentials);
    let unlocked = ErrorResponse {
        message: "Content-MD5 OR x-amz-checksum- HTTP header is required".into(),
        ..refused(400, "InvalidRequest")
    };
    assert_eq!(verdict(unlocked), Verdict::Checksum);
}

#[test]
fn backoff_is_bounded() {
    for attempt in 0..100 {
        let bound = Duration::from_millis((200u64 << attempt.min(8)).min(30_000));
        assert!(backoff(attempt, u64::MAX, None) <= bound);
        assert!(backoff(attempt, u64::from(attempt) * 7919, None) <= bound);
    }
    let wish = Some(Duration::from_secs(86400));
    assert!(backoff(0, 0, wish) <= Duration::from_secs(301));
    assert_eq!(
        backoff(3, 0, Some(Duration::from_secs(7))),
        Duration::from_secs(7)
    );
}

#[test]
fn messages_name_status_code_and_reason() {
    let refusal = ErrorResponse {
        message: "Access Denied.".into(),
        ..refused(403, "AccessDenied")
    };
    assert_eq!(refusal.why(), "403 AccessDenied: Access Denied");
    assert_eq!(refused(502, "").why(), "502");
    let archived = ErrorResponse {
        message: "The operation is not valid for the object's storage class".into(),
        ..refused(403, "InvalidObjectState")
    };
    let why = archived.why();
    assert!(why.starts_with("403 InvalidObjectState: the object is archived: "));
}
