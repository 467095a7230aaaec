//! What a server says of an error, in headers and body, whatever it is that
//! answered. Never fails: a body that cannot be read leaves the status.

use std::time::Duration;

use super::fault::ErrorResponse;
use super::xml;
use crate::net::Answer;
use crate::text::time::Utc;

/// Read what the server says of an error. A body that is cut off or is no XML
/// leaves the status, which is enough to go on with. The answer to a HEAD has
/// no body, so that its status must do.
pub fn refusal(method: &str, answer: &mut Answer) -> ErrorResponse {
    let status = answer.status;
    let date = answer.header("date").and_then(Utc::parse_http);
    let retry_after = answer.header("retry-after").and_then(|v| wish(v, date));
    let region = answer.header("x-amz-bucket-region").map(str::to_string);
    let body = answer.read_bounded(xml::ERROR_LIMIT).unwrap_or_default();
    let said = xml::error(&body).unwrap_or_else(|| ErrorResponse {
        code: if method == "HEAD" {
            code_of(status)
        } else {
            ""
        }
        .to_string(),
        message: plain_text(&body),
        ..ErrorResponse::default()
    });
    ErrorResponse {
        status,
        region: region.filter(|r| xml::is_region(r)).or(said.region),
        date,
        retry_after,
        code: said.code,
        message: said.message,
    }
}

/// What an answer without a body means.
fn code_of(status: u16) -> &'static str {
    match status {
        403 => "AccessDenied",
        404 => "NoSuchKey",
        405 => "MethodNotAllowed",
        501 => "NotImplemented",
        _ => "",
    }
}

/// Retry-After (RFC 9110, 10.2.3): seconds, or a time by the server's clock.
fn wish(value: &str, now: Option<Utc>) -> Option<Duration> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(Utc::parse_http(value.trim())?.0 - now?.0).ok()?,
    };
    Some(Duration::from_secs(seconds))
}

/// The first words of an answer that is text but no S3 error.
fn plain_text(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if !text.trim_start().starts_with('<') => text.trim().chars().take(100).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_wish_for_time_in_two_ways() {
        let now = Utc::parse_http("Sun, 06 Nov 1994 08:49:37 GMT");
        let later = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(wish(" 7 ", None), Some(Duration::from_secs(7)));
        assert_eq!(wish(later, now), Some(Duration::from_secs(60)));
        assert_eq!(wish(later, None), None);
        let earlier = "Sun, 06 Nov 1994 08:48:37 GMT";
        assert_eq!(wish(earlier, now), None);
        assert_eq!(wish("soon", now), None);
    }
}
