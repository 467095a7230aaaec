//! The one error type: what it happened to, why, and the exit status.
//!
//! An [`Error`] is made where the cause is known and printed once, by `main`,
//! as `s3pipe: what: why`. Nothing below `main` prints an error that it also
//! returns. Neither text may ever hold a secret.

use std::fmt;

/// Exit statuses, after sysexits(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command line is wrong (64).
    Usage,
    /// The data is wrong: a block fails verification, a manifest does not
    /// parse, a stream is too short (65).
    Data,
    /// No such stream or bucket (66).
    Missing,
    /// The service stayed unreachable, kept failing, or refused the request
    /// for a reason that is none of the others (69).
    Unavailable,
    /// A fault in s3pipe itself (70).
    Internal,
    /// The stream or bucket exists already (73).
    Exists,
    /// Reading stdin or writing stdout failed (74).
    Io,
    /// A stream changed under us (75).
    Changed,
    /// Credentials are missing or were refused (77).
    Denied,
    /// The configuration cannot be used (78).
    Config,
    /// Ended by this signal (128 + its number).
    Signal(i32),
}

impl Exit {
    /// The number to leave with.
    pub fn code(self) -> i32 {
        match self {
            Exit::Usage => 64,
            Exit::Data => 65,
            Exit::Missing => 66,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
            Exit::Exists => 73,
            Exit::Io => 74,
            Exit::Changed => 75,
            Exit::Denied => 77,
            Exit::Config => 78,
            Exit::Signal(n) => 128 + n,
        }
    }

    /// What leaves with this number.
    pub fn from_code(code: i32) -> Option<Exit> {
        let all = [
            Exit::Usage,
            Exit::Data,
            Exit::Missing,
            Exit::Unavailable,
            Exit::Internal,
            Exit::Exists,
            Exit::Io,
            Exit::Changed,
            Exit::Denied,
            Exit::Config,
        ];
        let signal = (129..=255)
            .contains(&code)
            .then(|| Exit::Signal(code - 128));
        all.into_iter().find(|exit| exit.code() == code).or(signal)
    }
}

/// A failure, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    exit: Exit,
    what: String,
    why: String,
}

/// The result of anything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of `what` (the object's name: a file, a key, an option),
    /// because of `why`; neither ends in a full stop.
    pub fn new(exit: Exit, what: impl fmt::Display, why: impl fmt::Display) -> Error {
        Error {
            exit,
            what: one_line(&what.to_string()),
            why: one_line(&why.to_string()),
        }
    }

    /// The same failure with a remark behind it.
    pub fn also(mut self, remark: &str) -> Error {
        self.why = format!("{} ({})", self.why, one_line(remark));
        self
    }

    /// The exit status that this failure asks for.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What it happened to.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The reason alone.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for Error {}

/// A system error in its own words, without the number that std appends.
pub fn os_reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// Servers and file names must not be able to forge a second line or to drive
/// the terminal: a control character becomes a blank, and a line has an end.
pub fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim_end().chars().take(2000).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_on_one_line() {
        let e = Error::new(Exit::Data, "a\nb", "evil\r\x1b[2J\n");
        assert_eq!(e.to_string(), "a b: evil  [2J");
        assert_eq!(e.exit().code(), 65);
        assert_eq!(Exit::Signal(2).code(), 130);
        for code in [64, 65, 66, 69, 70, 73, 74, 75, 77, 78, 129, 143] {
            assert_eq!(Exit::from_code(code).map(Exit::code), Some(code));
        }
        assert_eq!(Exit::from_code(1), None);
    }
}
