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
    HttpRequest, HttpResponse, RequestTokenError, Scope, StandardRevocableToken, TokenResponse,
    TokenUrl,
    basic::{
        BasicErrorResponse, BasicRequestTokenError, BasicRevocationErrorResponse,
        BasicTokenIntrospectionResponse,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout};
use tower::{ServiceExt, util::BoxCloneSyncService};

use super::{AuthError, answer::TokenAnswer, secret};
use crate::{
    delivery::{AttemptError, ClientAuth, OAuth2Settings, TokenError},
    telemetry::Component,
};

/// What carries token requests. It has a connection and TLS of its own.
pub type TokenTransport = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, AttemptError>;

/// Token requests of one grant, when they fail in a way that may pass at once.
const ATTEMPTS: u32 = 3;

/// The upper bound of the first delay between them; each next bound is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// The lifetime of a token whose answer names none.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

/// The longest lifetime that is believed, which also keeps the arithmetic of times in range.
const MAX_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// The longest part of `error_description` that is shown.
const DESCRIPTION_CHARS: usize = 300;

/// Asks a token endpoint for tokens.
pub(super) struct TokenEndpoint {
    settings: OAuth2Settings,
    url: TokenUrl,
    /// The URL as it is shown: without user information and query, which may hold secrets.
    shown: String,
    transport: TokenTransport,
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
struct Failure {
    error: AttemptError,
    /// Whether it may pass at once.
    again: bool,
}

/// One token request and its answer.
struct Exchange<'a> {
    endpoint: &'a TokenEndpoint,
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
        metrics: Arc<Component>,
    ) -> Result<Self, AuthError> {
        let url = TokenUrl::new(settings.auth_endpoint.to_string())?;
        let shown = shown(&settings.auth_endpoint);
        Ok(Self { settings, url, shown, transport, metrics })
    }

    /// One grant: a token request, repeated a few times if the endpoint cannot be reached or has
    /// trouble of its own.
    pub(super) async fn grant(&self) -> Result<Grant, AttemptError> {
        // Read anew each time, so that a secret may be replaced while the process runs.
        let secret = secret::read(&self.settings.client_secret)
            .await
            .map_err(|error| AttemptError::Secret(error.to_string()))?;
        let mut attempt = 1;
        loop {
            let asked_at = Instant::now();
            let result = self.request(&secret).await;
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
        let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME);
        Ok(Grant { authorization, asked_at, lifetime })
    }

    async fn request(&self, secret: &SecretString) -> Result<TokenAnswer, Failure> {
        let settings = &self.settings;
        let client: OAuth2Client = Client::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            .set_auth_type(match settings.client_auth {
                ClientAuth::Body => AuthType::RequestBody,
                ClientAuth::Basic => AuthType::BasicAuth,
            })
            .set_token_uri(self.url.clone());
        let mut request = client
            .exchange_client_credentials()
            .add_scopes(settings.scopes.iter().cloned().map(Scope::new));
        for (name, value) in &settings.extra_params {
            request = request.add_extra_param(name, value);
        }
        let exchange = Exchange { endpoint: self, status: OnceLock::new() };
        let result = request.request_async(&exchange).await;
        result.map_err(|error| self.explain(error, exchange.status.get().copied(), secret))
    }

    fn not_sent(&self, error: AttemptError) -> Failure {
        let again = matches!(
            error,
            AttemptError::Connect(_) | AttemptError::Unprocessed(_) | AttemptError::Interrupted(_)
        );
        let error = match error {
            // A certificate does not mend itself.
            AttemptError::Tls(why) => {
                AttemptError::Tls(format!("token endpoint {}: {why}", self.shown))
            }
            AttemptError::Proxy(why) => {
                AttemptError::Proxy(format!("token endpoint {}: {why}", self.shown))
            }
            error => self.unavailable(&error.to_string()),
        };
        Failure { error, again }
    }

    /// What an answer without a token means and what to do about it.
    fn explain(
        &self,
        error: BasicRequestTokenError<Failure>,
        status: Option<StatusCode>,
        secret: &SecretString,
    ) -> Failure {
        let error = match (error, status) {
            (RequestTokenError::Request(failure), _) => return failure,
            (RequestTokenError::ServerResponse(answer), _) => {
                let code = answer.error().as_ref();
                let said = match answer.error_description() {
                    Some(text) => format!("{code} ({})", presentable(text, secret)),
                    None => presentable(code, secret),
                };
                match remedy(code) {
                    Some(remedy) => self.refused(&format!("it says {said}; {remedy}")),
                    None => self.unavailable(&format!("it says {said}")),
                }
            }
            // The details of the other errors may quote the token.
            (_, Some(code)) => {
                let remedy = match code.as_u16() {
                    401 | 403 => CHECK_CLIENT,
                    _ => "check auth_endpoint",
                };
                self.refused(&format!("it answered {code} without a token; {remedy}"))
            }
            (error, None) => self.refused(&error.to_string()),
        };
        Failure { error, again: false }
    }

    fn refused(&self, why: &str) -> AttemptError {
        TokenError::Refused(format!("{}: {why}", self.shown)).into()
    }

    fn unavailable(&self, why: &str) -> AttemptError {
        TokenError::Unavailable(format!("{}: {why}", self.shown)).into()
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
        if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        let endpoint = self.endpoint;
        let limit = endpoint.settings.timeout;
        let answer = timeout(limit, endpoint.transport.clone().oneshot(request))
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

const CHECK_CLIENT: &str = "check client_id, client_secret and client_auth";

/// What the operator does about an error code (RFC 6749 section 5.2, RFC 8707 section 2); none if
/// the endpoint says that it is its own trouble.
fn remedy(code: &str) -> Option<&'static str> {
    match code {
        "invalid_client" => Some(CHECK_CLIENT),
        "unauthorized_client" | "unsupported_grant_type" => {
            Some("allow this client the grant client_credentials")
        }
        "invalid_scope" => Some("check scopes"),
        "invalid_target" => Some("check audience or resource in extra_params"),
        "temporarily_unavailable" | "server_error" | "slow_down" => None,
        _ => Some("check client_id, scopes and extra_params"),
    }
}

/// Text of the endpoint that is fit for one line: short, without control characters, and without
/// the secret, should the endpoint echo it.
fn presentable(text: &str, secret: &SecretString) -> String {
    let text = secret::hide(text, secret);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(DESCRIPTION_CHARS).collect()
}

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
