use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderValue, Request, Response, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use oauth2::{
    AsyncHttpClient, AuthType, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, ResourceOwnerPassword, ResourceOwnerUsername, Scope,
    StandardRevocableToken, TokenResponse, TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep, timeout_at};
use tower::{ServiceExt, util::BoxCloneSyncService};

use super::{
    AuthError, ClientAuth, OAuth2Settings,
    answer::TokenAnswer,
    proof::{self, Proof},
};
use crate::{
    clock::Clock,
    delivery::{AttemptError, TokenError},
    telemetry::Component,
};

/// What carries token requests. It has a connection and TLS of its own.
pub type TokenTransport = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, AttemptError>;

/// Token requests of one grant, when they fail in a way that may pass at once.
const ATTEMPTS: u32 = 3;

/// The upper bound of the first delay between them; each next bound is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// The longest lifetime that is believed, which also keeps the arithmetic of times in range.
const MAX_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// Asks a token endpoint for tokens.
pub(super) struct TokenEndpoint {
    pub(super) settings: OAuth2Settings,
    url: TokenUrl,
    /// The URL as it is shown: without user information and query, which may hold secrets.
    pub(super) shown: String,
    transport: TokenTransport,
    clock: Clock,
    metrics: Arc<Component>,
}

/// A token that was granted.
pub(super) struct Grant {
    pub(super) authorization: HeaderValue,
    /// When it was asked for, from which its lifetime is counted.
    pub(super) asked_at: Instant,
    pub(super) lifetime: Duration,
}

/// Why one token request did not lead to a token.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(super) struct Failure {
    pub(super) error: AttemptError,
    /// Whether it may pass at once.
    pub(super) again: bool,
}

/// One token request and its answer.
struct Exchange<'a> {
    endpoint: &'a TokenEndpoint,
    /// What takes the place of the header that the crate makes.
    authorization: Option<HeaderValue>,
    /// When it is given up.
    end: Instant,
    /// The status of the answer, which the errors of the crate do not tell.
    status: OnceLock<StatusCode>,
}

type OAuth2Client = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl TokenEndpoint {
    pub(super) fn new(
        settings: OAuth2Settings,
        transport: TokenTransport,
        clock: Clock,
        metrics: Arc<Component>,
    ) -> Result<Self, AuthError> {
        let url = TokenUrl::new(settings.auth_endpoint.to_string())?;
        let shown = shown(&settings.auth_endpoint);
        Ok(Self { settings, url, shown, transport, clock, metrics })
    }

    /// One grant: a token request, repeated a few times if the endpoint cannot be reached or has
    /// trouble of its own, as long as there is time.
    pub(super) async fn grant(&self) -> Result<Grant, AttemptError> {
        // One end for all of them, since requests wait.
        let end = Instant::now() + self.settings.timeout;
        let mut attempt = 1;
        loop {
            // Anew for each: an assertion is good once.
            let proof = Proof::new(&self.settings, &self.clock).await;
            let proof = proof.map_err(|error| AttemptError::Secret(error.to_string()))?;
            let asked_at = Instant::now();
            let result = self.request(&proof, end).await;
            self.metrics.tokens(outcome(&result)).inc();
            match result {
                Ok(answer) => return self.accept(&answer, asked_at),
                Err(failure) if failure.again && attempt < ATTEMPTS => {
                    tracing::debug!("{}; asking again", failure.error);
                    let bound = FIRST_DELAY * 2u32.pow(attempt - 1);
                    sleep(bound.mul_f64(fastrand::f64())).await;
                    attempt += 1;
                }
                Err(failure) => return Err(failure.error),
            }
        }
    }

    fn accept(&self, answer: &TokenAnswer, asked_at: Instant) -> Result<Grant, AttemptError> {
        if !answer.token_type().as_ref().eq_ignore_ascii_case("bearer") {
            return Err(self.refused("it issues tokens of another type than bearer"));
        }
        let authorization = format!("Bearer {}", answer.access_token().secret());
        let mut authorization = HeaderValue::from_str(&authorization)
            .map_err(|_| self.refused("it issues a token that no header can carry"))?;
        authorization.set_sensitive(true);
        // A token that ends at once makes no sense; some servers say so of one that never ends.
        let lifetime = answer.expires_in().filter(|lifetime| !lifetime.is_zero());
        let lifetime = lifetime.unwrap_or(self.settings.token_lifetime).min(MAX_LIFETIME);
        Ok(Grant { authorization, asked_at, lifetime })
    }

    async fn request(&self, proof: &Proof, end: Instant) -> Result<TokenAnswer, Failure> {
        let settings = &self.settings;
        let mut client: OAuth2Client = Client::new(ClientId::new(settings.client_id.clone()))
            .set_auth_type(match settings.client_auth {
                ClientAuth::Basic { .. } => AuthType::BasicAuth,
                ClientAuth::Body { .. } | ClientAuth::PrivateKeyJwt(_) => AuthType::RequestBody,
            })
            .set_token_uri(self.url.clone());
        if let proof::Client::Secret(secret) = &proof.client {
            let secret = secret.expose_secret().to_owned();
            client = client.set_client_secret(ClientSecret::new(secret));
        }
        let scopes = settings.scopes.iter().cloned().map(Scope::new);
        let own = settings.extra_params.iter().map(|(name, value)| (&**name, &**value));
        let params = own.chain(proof.params());
        let authorization = proof.authorization(settings);
        let exchange = Exchange { endpoint: self, authorization, end, status: OnceLock::new() };
        let result = if let Some((username, password)) = &proof.user {
            let username = ResourceOwnerUsername::new(username.clone());
            let password = ResourceOwnerPassword::new(password.expose_secret().to_owned());
            let request = client.exchange_password(&username, &password).add_scopes(scopes);
            let request = params.fold(request, |r, (name, value)| r.add_extra_param(name, value));
            request.request_async(&exchange).await
        } else {
            let request = client.exchange_client_credentials().add_scopes(scopes);
            let request = params.fold(request, |r, (name, value)| r.add_extra_param(name, value));
            request.request_async(&exchange).await
        };
        result.map_err(|error| self.explain(error, exchange.status.get().copied(), proof))
    }
}

impl<'a> AsyncHttpClient<'a> for Exchange<'_> {
    type Error = Failure;
    type Future = BoxFuture<'a, Result<HttpResponse, Failure>>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl Exchange<'_> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Failure> {
        let mut request = request.map(Bytes::from);
        request.headers_mut().insert(USER_AGENT, USER_AGENT_VALUE);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        let endpoint = self.endpoint;
        let limit = endpoint.settings.timeout;
        let answer = timeout_at(self.end, endpoint.transport.clone().oneshot(request))
            .await
            .unwrap_or(Err(AttemptError::Timeout(limit)))
            .map_err(|error| endpoint.not_sent(error))?;
        let code = answer.status();
        self.status.get_or_init(|| code);
        if matches!(code.as_u16(), 408 | 425 | 429 | 500..=599) {
            let error = endpoint.unavailable(&format!("it answered {code}"));
            return Err(Failure { error, again: code.is_server_error() });
        }
        let mut answer = answer.map(|body| body.to_vec());
        if code.is_success() {
            // The crate takes nothing but 200 and JSON that is declared as such; whether a token
            // is in the answer is what counts.
            *answer.status_mut() = StatusCode::OK;
            answer.headers_mut().remove(CONTENT_TYPE);
        }
        Ok(answer)
    }
}

const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("profile-http/", env!("CARGO_PKG_VERSION")));

fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("https");
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", uri.path())
}

fn outcome(result: &Result<TokenAnswer, Failure>) -> &'static str {
    match result.as_ref().map_err(|failure| &failure.error) {
        Ok(_) => "granted",
        Err(AttemptError::Token(TokenError::Refused(_))) => "refused",
        Err(_) => "unavailable",
    }
}
