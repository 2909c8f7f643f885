use http::{Response, StatusCode};

use super::{AttemptError, TokenError};

/// The class of an answer: what it says about the version that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The endpoint took it.
    Delivered,
    /// It may succeed later.
    Later,
    /// The endpoint will not take this profile.
    Refused,
    /// The endpoint as a whole cannot take anything; not this profile's fault.
    Endpoint,
}

/// Which statuses fall into which class, where the operator says otherwise than the defaults
/// (`request.classes`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// Statuses of class [`Class::Later`].
    pub later: Vec<u16>,
    /// Statuses of class [`Class::Refused`].
    pub refused: Vec<u16>,
    /// Statuses of class [`Class::Endpoint`].
    pub endpoint: Vec<u16>,
}

impl Classes {
    /// The class of an answer's status.
    pub fn of_status(&self, status: StatusCode) -> Class {
        let code = status.as_u16();
        if self.later.contains(&code) {
            return Class::Later;
        }
        if self.refused.contains(&code) {
            return Class::Refused;
        }
        if self.endpoint.contains(&code) {
            return Class::Endpoint;
        }
        match code {
            200..=299 => Class::Delivered,
            408 | 425 | 429 => Class::Later,
            300..=399 | 401..=405 | 407 | 410 | 501 => Class::Endpoint,
            400..=499 => Class::Refused,
            _ => Class::Later,
        }
    }

    /// The class of an attempt or a delivery. A delivery that the gate held back has none.
    pub fn of<B>(&self, result: &Result<Response<B>, AttemptError>) -> Option<Class> {
        match result {
            Ok(answer) => Some(self.of_status(answer.status())),
            Err(AttemptError::GateClosed) => None,
            Err(
                AttemptError::Tls(_)
                | AttemptError::Secret(_)
                | AttemptError::Token(TokenError::Refused(_)),
            ) => Some(Class::Endpoint),
            Err(_) => Some(Class::Later),
        }
    }
}
