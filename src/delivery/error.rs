use std::time::Duration;

use http::StatusCode;

use crate::endpoint::SendError;

/// Why an attempt, or the whole delivery, ended without an answer of the endpoint.
///
/// One concrete type for every layer, so that classification is a `match`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AttemptError {
    /// No connection could be made; nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The TLS handshake failed or the endpoint's certificate is not accepted; nothing was sent.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The proxy on the way does not let us through; nothing was sent.
    #[error("the proxy refuses: {0}")]
    Proxy(String),
    /// The endpoint did not process the request, and says so.
    #[error("not processed: {0}")]
    Unprocessed(String),
    /// The connection broke after the request was begun; the endpoint may have taken it.
    #[error("connection lost: {0}")]
    Interrupted(String),
    /// The attempt took longer than `request.timeout_secs`; the endpoint may have taken it.
    #[error("no answer within {}s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The delivery took longer than `request.deadline_secs`.
    #[error("not delivered within {}s", .0.as_secs_f64())]
    Deadline(Duration),
    /// The gate was closed before the attempt was sent.
    #[error("the gate is closed")]
    GateClosed,
    /// The file of a secret cannot be read; nothing was sent.
    #[error("{0}")]
    Secret(String),
    /// No access token could be had; nothing was sent.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The answer is not HTTP; the endpoint may have taken the request.
    #[error("unusable answer: {0}")]
    Answer(String),
    /// The answer does not tell what became of the single profiles of a request; the endpoint may
    /// have taken them.
    #[error(
        "the endpoint answers {status} without results that can be told apart: {reason}; check \
         batch.results_pointer, or send one profile a request (batch.max_profiles: 1)"
    )]
    Results {
        /// The status of the answer.
        status: StatusCode,
        /// What was expected and what was found.
        reason: String,
    },
}

impl AttemptError {
    /// Whether the endpoint may have taken the request although no answer came.
    pub fn outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::Interrupted(_)
                | Self::Timeout(_)
                | Self::Deadline(_)
                | Self::Answer(_)
                | Self::Results { .. }
        )
    }

    /// What kind of error it is, as metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect_failed",
            Self::Tls(_) => "tls_failed",
            Self::Proxy(_) => "proxy_refused",
            Self::Unprocessed(_) => "unprocessed",
            Self::Interrupted(_) => "interrupted",
            Self::Timeout(_) => "timed_out",
            Self::Deadline(_) => "deadline_exceeded",
            Self::GateClosed => "gate_closed",
            Self::Secret(_) => "secret_unreadable",
            Self::Token(TokenError::Refused(_)) => "token_refused",
            Self::Token(TokenError::Unavailable(_)) => "token_unavailable",
            Self::Answer(_) => "unusable_answer",
            Self::Results { .. } => "unusable_results",
        }
    }
}

impl From<SendError> for AttemptError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Connect(what) => Self::Connect(what),
            SendError::Tls(what) => Self::Tls(what),
            SendError::Proxy(what) => Self::Proxy(what),
            SendError::Unprocessed(what) => Self::Unprocessed(what),
            SendError::Interrupted(what) => Self::Interrupted(what),
            SendError::Answer(what) => Self::Answer(what),
        }
    }
}

/// Why no access token could be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The token endpoint refuses the client; a person has to mend it.
    #[error("the token endpoint refuses the client: {0}")]
    Refused(String),
    /// The token endpoint cannot be reached or does not answer properly now.
    #[error("cannot get a token: {0}")]
    Unavailable(String),
}
