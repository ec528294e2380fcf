//! What an error of the crate means for a call, and what the log may read of it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// The longest code of a server's error that is passed on, in bytes; the longest known has 14.
const CODE_BYTES_MAX: usize = 24;

/// What is to be done after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server has never seen the script, or has forgotten it: send its text.
    UnknownScript,
    /// The connection is of no use any more: dial again; the call may be sent once more over another.
    Gone,
    /// The server is not, or not now, the one to ask: dial again, perhaps another is found.
    Misplaced,
    /// The server said no.
    Refused,
}

impl Fault {
    /// Judges an error.
    pub(super) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::UnknownScript,
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask,
            ) => Self::Misplaced,
            _ if error.is_unrecoverable_error() => Self::Gone,
            _ => Self::Refused,
        }
    }
}

/// Tells what happened, for the log.
///
/// A server repeats what it was sent when it complains, be that a password: of its words only the first, the code, is
/// passed on.
pub(super) fn cause(error: &RedisError) -> String {
    match (error.kind(), error.code()) {
        // These texts are ours, the crate's, or the system's; only a detail may be a server's.
        (ErrorKind::Io | ErrorKind::InvalidClientConfig, _) => without_detail(error),
        (ErrorKind::AuthenticationFailed, _) => "the server does not take user and password".to_owned(),
        (_, Some(code)) if is_code(code) => format!("the server answers {code}"),
        (_, Some(_)) => "the server answers an error".to_owned(),
        (_, None) => error.category().to_owned(),
    }
}

fn without_detail(error: &RedisError) -> String {
    let text = error.to_string();
    let kind = format!(" - {:?}", error.kind());
    text.split_once(&kind).map_or_else(|| text.clone(), |(text, _detail)| text.to_owned())
}

fn is_code(code: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !code.is_empty() && code.len() <= CODE_BYTES_MAX && code.bytes().all(good)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::io;

    use redis::{Value, parse_redis_value};

    use super::*;

    fn said(line: &str) -> RedisError {
        let value: Value = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn a_server_that_repeats_the_password_is_not_quoted() {
        for line in [
            "ERR unknown command `AUTH`, with args beginning with: `hunter2`",
            "hunter2",
            "Hunter2 is wrong",
            "WRONGPASS invalid username-password pair hunter2",
            "NOPERM hunter2",
        ] {
            let text = cause(&said(line));
            assert!(!text.to_lowercase().contains("hunter2"), "{text}");
        }
        assert_eq!(cause(&said("OOM command not allowed when used memory > 'maxmemory'.")), "the server answers OOM");
        let long = "A".repeat(CODE_BYTES_MAX);
        assert_eq!(cause(&said(&format!("{long} x"))), format!("the server answers {long}"));
        assert_eq!(cause(&said(&format!("{long}A x"))), "the server answers an error");
    }

    #[test]
    fn every_error_says_what_to_do() {
        let broken = RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        let late = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        for (error, fault) in [
            (said("NOSCRIPT No matching script. Please use EVAL."), Fault::UnknownScript),
            (said("READONLY You can't write against a read only replica."), Fault::Misplaced),
            (said("MASTERDOWN Link with MASTER is down"), Fault::Misplaced),
            (said("CLUSTERDOWN The cluster is down"), Fault::Misplaced),
            (said("MOVED 3999 127.0.0.1:6381"), Fault::Misplaced),
            (said("LOADING Redis is loading the dataset in memory"), Fault::Refused),
            (said("OOM command not allowed"), Fault::Refused),
            (said("MISCONF Redis is configured to save RDB snapshots"), Fault::Refused),
            (said("NOAUTH Authentication required."), Fault::Refused),
            (broken, Fault::Gone),
            (late, Fault::Refused),
        ] {
            assert_eq!(Fault::of(&error), fault, "{error}");
        }
    }

    #[test]
    fn our_own_words_are_passed_on() {
        let error = RedisError::from((ErrorKind::InvalidClientConfig, "this thread trusts nobody"));
        assert_eq!(cause(&error), "this thread trusts nobody");
        let error = RedisError::from(io::Error::other("invalid peer certificate: UnknownIssuer"));
        assert_eq!(cause(&error), "invalid peer certificate: UnknownIssuer");
        let error = RedisError::from((ErrorKind::Io, "Failed to create initial connections", "hunter2".to_owned()));
        assert_eq!(cause(&error), "Failed to create initial connections");
    }
}
