use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, header::AUTHORIZATION};

use super::{TokenSource, fixed::Fixed};
use crate::delivery::AttemptError;

/// What a request is authenticated with.
#[derive(Clone, Debug)]
pub struct Credential {
    authorization: HeaderValue,
    generation: u64,
}

/// Where credentials come from.
#[derive(Clone)]
pub(super) enum Credentials {
    Fixed(Arc<Fixed>),
    Tokens(TokenSource),
}

impl Credential {
    /// A credential; `authorization` is never shown.
    pub(super) fn new(mut authorization: HeaderValue, generation: u64) -> Self {
        authorization.set_sensitive(true);
        Self { authorization, generation }
    }

    /// The value of `Authorization`.
    pub fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// The number of this credential among those of its source, from 1. A newer one is larger, so
    /// that a rejection is laid at the door of the credential that was sent.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The request with this credential, in place of any other.
    pub(super) fn authorize(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request
    }
}

impl Credentials {
    /// The generation of the newest credential, 0 before there is one.
    pub(super) fn generation(&self) -> u64 {
        match self {
            Self::Fixed(fixed) => fixed.generation(),
            Self::Tokens(tokens) => tokens.generation(),
        }
    }

    /// Whether a rejected credential may be followed by another one.
    pub(super) fn can_change(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.can_change(),
            Self::Tokens(_) => true,
        }
    }

    /// The credential to send. Waits for one if there is none.
    pub(super) async fn current(&self) -> Result<Credential, AttemptError> {
        match self {
            Self::Fixed(fixed) => Ok(fixed.current().await),
            Self::Tokens(tokens) => tokens.token().await,
        }
    }

    /// Notes that the endpoint took a credential.
    pub(super) fn accept(&self, generation: u64) {
        match self {
            Self::Fixed(_) => {}
            Self::Tokens(tokens) => tokens.accept(generation),
        }
    }

    /// Notes that the endpoint rejected a credential; returns whether another can be had.
    pub(super) async fn reject(&self, generation: u64) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.reject(generation).await,
            Self::Tokens(tokens) => tokens.reject(generation),
        }
    }
}
