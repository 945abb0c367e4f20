//! How a request ended, in the words of its protocol.

use modelway_decision::config::Protocol;
use modelway_decision::header::Headers;

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Ok,
    /// The client's fault, or a server that should not take it just now.
    ClientError,
    ServerError,
    /// One side went away before the end.
    Aborted,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Aborted => "aborted",
        }
    }

    /// By HTTP's status.
    pub(crate) fn of_http(status: &[u8]) -> Self {
        match status {
            [b'1'..=b'3', _, _] => Self::Ok,
            [b'4', _, _] => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// By gRPC's status code, in decimal. Codes that no one has defined are the server's fault.
    pub(crate) fn of_grpc(status: &[u8]) -> Self {
        match status {
            b"0" => Self::Ok,
            b"1" => Self::Aborted,
            // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED,
            // FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNAUTHENTICATED
            b"3" | b"5" | b"6" | b"7" | b"8" | b"9" | b"10" | b"11" | b"16" => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// What the answer's headers tell; `None` if its trailers tell it.
    pub(crate) fn of_answer(protocol: Protocol, answer: &impl Headers) -> Option<Self> {
        let of_http = Self::of_http(answer.first(b":status").unwrap_or_default());
        if protocol != Protocol::Grpc {
            return Some(of_http);
        }
        match answer.first(b"grpc-status") {
            Some(status) => Some(Self::of_grpc(status)),
            None if of_http == Self::Ok => None,
            None => Some(of_http),
        }
    }
}

/// A protocol as labels have it.
pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Rest => "rest",
        Protocol::Grpc => "grpc",
        Protocol::OpenAi => "openai",
        Protocol::V1 => "v1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_grpc_ends_by_its_status_and_not_by_http() {
        let of = |headers: &[(&'static str, &'static str)]| Outcome::of_answer(Protocol::Grpc, &headers.to_vec());
        assert_eq!(of(&[(":status", "200")]), None);
        assert_eq!(of(&[(":status", "200"), ("grpc-status", "0")]), Some(Outcome::Ok));
        assert_eq!(of(&[(":status", "200"), ("grpc-status", "14")]), Some(Outcome::ServerError));
        assert_eq!(of(&[(":status", "200"), ("grpc-status", "5")]), Some(Outcome::ClientError));
        assert_eq!(of(&[(":status", "503")]), Some(Outcome::ServerError));
        assert_eq!(Outcome::of_grpc(b"not a code"), Outcome::ServerError);
    }

    #[test]
    fn an_answer_of_http_ends_by_the_first_digit_of_its_status() {
        for (status, outcome) in [
            ("200", Outcome::Ok),
            ("304", Outcome::Ok),
            ("404", Outcome::ClientError),
            ("429", Outcome::ClientError),
            ("503", Outcome::ServerError),
            ("", Outcome::ServerError),
        ] {
            assert_eq!(Outcome::of_answer(Protocol::Rest, &vec![(":status", status)]), Some(outcome), "{status}");
        }
    }
}
