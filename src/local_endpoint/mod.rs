//! A third-party endpoint on this machine, with an OAuth2 token endpoint, to try, test and measure
//! things against.
//!
//! | request | answer |
//! |---|---|
//! | `POST`, `PUT` or `PATCH` of a profile, or a batch of them, to any path | 200, or whatever [`Behaviour`] says |
//! | `POST /oauth/token` | a token for client credentials (RFC 6749 section 4.4) |
//! | `GET /_stats` | the [`Report`] as JSON |
//! | `GET` or `PUT /_control` | the [`Behaviour`] as JSON |
//!
//! Bodies may come with `Content-Encoding` gzip, zstd or deflate. It checks what it receives: of one
//! profile the versions never go back.

mod answer;
mod batch;
mod behaviour;
mod latency;
mod ledger;
mod report;
mod tokens;

#[cfg(test)]
mod tests;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, PoisonError},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::answer::State;
pub use self::{
    behaviour::Behaviour,
    ledger::Received,
    report::{Quantiles, Report},
    tokens::Client,
};
use crate::listen::{self, ListenError, Listener};

/// The path of the token endpoint.
pub const TOKEN_PATH: &str = "/oauth/token";

/// What a local endpoint is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; with port 0 the system chooses the port.
    pub address: SocketAddr,
    /// The client that may get tokens. With one, profiles need a token that holds.
    pub client: Option<Client>,
    /// The identity namespace that tells profiles apart; the first of each profile when absent.
    pub namespace: Option<String>,
    /// Whether the last body of each profile is kept.
    pub keep_bodies: bool,
    /// Gets the body of each profile that is taken. Answers wait while it is full.
    pub arrivals: Option<mpsc::Sender<Bytes>>,
    /// How it answers.
    pub behaviour: Behaviour,
    /// Decides which requests fail.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            client: None,
            namespace: None,
            keep_bodies: true,
            arrivals: None,
            behaviour: Behaviour::default(),
            seed: 0,
        }
    }
}

/// A running endpoint, which ends when it is dropped.
#[derive(Debug)]
pub struct LocalEndpoint {
    address: SocketAddr,
    state: Arc<State>,
    server: Option<AbortOnDropHandle<()>>,
}

impl LocalEndpoint {
    /// Starts an endpoint.
    pub async fn start(settings: Settings) -> Result<Self, ListenError> {
        let listener = listen::bind(settings.address).await?;
        let address = listener
            .local_addr()
            .map_err(|reason| ListenError::Address { address: settings.address, reason })?;
        let state = Arc::new(State::new(settings));
        let server = Some(serve(listener, state.clone()));
        Ok(Self { address, state, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL for profiles.
    pub fn url(&self) -> String {
        format!("http://{}/profiles", self.address)
    }

    /// The URL of the token endpoint.
    pub fn token_url(&self) -> String {
        format!("http://{}{TOKEN_PATH}", self.address)
    }

    /// Changes how it answers from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.write().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// From now on no token holds that was granted before.
    pub fn revoke_tokens(&self) {
        if let Some(tokens) = &self.state.tokens {
            tokens.revoke();
        }
    }

    /// Changes the client's secret. Tokens that were granted hold on.
    pub fn set_client_secret(&self, secret: impl Into<String>) {
        if let Some(tokens) = &self.state.tokens {
            tokens.set_secret(secret.into());
        }
    }

    /// What it saw until now.
    pub fn report(&self) -> Report {
        self.state.counters.report()
    }

    /// What it has of the profile with this identity.
    pub fn received(&self, namespace: &str, id: &str) -> Option<Received> {
        self.state.ledger.get(ledger::key(namespace, id))
    }

    /// Goes down: connections break and new ones are refused, until [`reopen`](Self::reopen).
    pub async fn close(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // Only says that it was aborted.
            let _ = server.await;
        }
    }

    /// Comes back at the same address, with all that it had seen.
    pub async fn reopen(&mut self) -> Result<(), ListenError> {
        let listener = listen::bind(self.address).await?;
        self.server = Some(serve(listener, self.state.clone()));
        Ok(())
    }
}

fn serve(listener: Listener, state: Arc<State>) -> AbortOnDropHandle<()> {
    let answer = move |request| {
        let state = state.clone();
        async move { state.answer(request).await }
    };
    // It ends by being aborted.
    let never = CancellationToken::new();
    AbortOnDropHandle::new(tokio::spawn(listen::serve(listener, None, never, answer)))
}
