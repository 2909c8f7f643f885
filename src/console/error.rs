use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::store::{NoLetterId, StoreError};

/// Why a call is refused, as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What is wrong, and what would be right.
    pub error: String,
}

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("this needs the token of api.token: Authorization: Bearer …")]
    Unauthorized,
    #[error("{0}")]
    Forbidden(String),
    #[error("there is nothing at this path; see /api/v1/sinks, /metrics and /health/ready")]
    NoPath,
    #[error("this path does not take {0}")]
    Method(String),
    #[error("there is no sink named `{name}`; the sinks are: {}", known.join(", "))]
    UnknownSink { name: String, known: Vec<String> },
    #[error("{}", no_profile(*suppressed))]
    NoProfile { suppressed: bool },
    #[error(transparent)]
    Id(#[from] NoLetterId),
    #[error("there is no dead letter {0}; its profile may have moved on")]
    NoLetter(String),
    #[error(
        "{0} is an invalid record, of which nothing can be sent; correct the record and send it \
         to the source again, then drop this one"
    )]
    NotReplayable(String),
    #[error("{0}")]
    Request(String),
    #[error("{0}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a part of the program failed; the log says more")]
    Failed,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NoPath
            | Self::UnknownSink { .. }
            | Self::NoLetter(_)
            | Self::NoProfile { .. } => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Id(_) | Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::NotReplayable(_) => StatusCode::CONFLICT,
            Self::Unavailable(_) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refused = Refused { error: self.to_string() };
        let mut answer = (self.status(), Json(refused)).into_response();
        if matches!(self, Self::Unauthorized) {
            let hint = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, hint);
        }
        answer
    }
}

/// Says that a profile is not known, without its key: that is personal.
pub fn no_profile(suppressed: bool) -> &'static str {
    if suppressed {
        "there is no such profile: it was forgotten, and its records are ignored since (see \
         `profile-http profiles unsuppress`)"
    } else {
        "there is no such profile; write its key as the records do, or PATH=KEY where profile.key \
         names several paths"
    }
}
