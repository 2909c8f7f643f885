mod assertions;
mod fixed;
mod grants;
mod layer;
mod tokens;
mod under_load;

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::time::{Instant, sleep};
use tower::{Service, service_fn};

use super::{ClientAuth, GrantType, OAuth2Settings, TokenSource, TokenTransport};
use crate::{
    clock::{Clock, Micros},
    delivery::{AttemptError, Secret, TlsSettings, test_support::request},
    telemetry::Component,
};

/// When the tests' clock starts: 2024-02-01T00:00:00.9Z.
const START: Micros = 1_706_745_600_900_000;

const SECRET: &str = "hunter2+/=";

fn settings() -> OAuth2Settings {
    OAuth2Settings {
        auth_endpoint: "https://user:pass@login.example/oauth/token?key=abc".parse().unwrap(),
        client_id: "cdp".into(),
        grant: GrantType::ClientCredentials,
        client_auth: ClientAuth::Body { secret: Secret::Text(SECRET.into()) },
        scopes: Vec::new(),
        extra_params: Vec::new(),
        token_lifetime: Duration::from_mins(5),
        refresh_before: Duration::from_mins(1),
        timeout: Duration::from_secs(10),
        tls: TlsSettings::default(),
    }
}

/// A token endpoint that issues `token-1`, `token-2` and so on, or does as it is told.
#[derive(Clone, Default)]
struct TokenServer(Arc<Mutex<TokenServerState>>);

#[derive(Default)]
struct TokenServerState {
    requests: Vec<(Instant, Request<Bytes>)>,
    issued: usize,
    answer: Answer,
    /// The only secret that is accepted, where it matters.
    secret: Option<&'static str>,
}

#[derive(Clone)]
enum Answer {
    /// A token, with this after `token_type`.
    Token(&'static str),
    Status(u16, &'static str),
    Error(AttemptError),
    Silence,
}

const INVALID_CLIENT: Answer = Answer::Status(401, r#"{"error":"invalid_client"}"#);

impl Default for Answer {
    fn default() -> Self {
        Self::Token(r#","expires_in":3600"#)
    }
}

impl TokenServer {
    fn answering(answer: Answer) -> Self {
        let server = Self::default();
        server.answer(answer);
        server
    }

    fn answer(&self, answer: Answer) {
        self.0.lock().unwrap().answer = answer;
    }

    fn accept_only(&self, secret: &'static str) {
        self.0.lock().unwrap().secret = Some(secret);
    }

    /// Token requests so far.
    fn asked(&self) -> usize {
        self.0.lock().unwrap().requests.len()
    }

    /// When the token requests came.
    fn times(&self) -> Vec<Instant> {
        self.0.lock().unwrap().requests.iter().map(|(at, _)| *at).collect()
    }

    fn last_request(&self) -> Request<Bytes> {
        self.0.lock().unwrap().requests.last().unwrap().1.clone()
    }

    fn transport(&self) -> TokenTransport {
        let server = self.clone();
        TokenTransport::new(service_fn(move |request| {
            let server = server.clone();
            async move { server.serve(request).await }
        }))
    }

    /// A token request takes 50 ms.
    async fn serve(&self, request: Request<Bytes>) -> Result<Response<Bytes>, AttemptError> {
        let answer = {
            let mut state = self.0.lock().unwrap();
            let body = request.body().clone();
            state.requests.push((Instant::now(), request));
            let proven = state.secret.is_none_or(|secret| {
                oauth2::url::form_urlencoded::parse(&body).any(|(_, value)| value == secret)
            });
            if proven { state.answer.clone() } else { INVALID_CLIENT }
        };
        sleep(Duration::from_millis(50)).await;
        let (status, content_type, body) = match answer {
            Answer::Token(rest) => {
                let mut state = self.0.lock().unwrap();
                state.issued += 1;
                let number = state.issued;
                let token = format!(r#""access_token":"token-{number}","token_type":"Bearer""#);
                (200, "application/json", format!("{{{token}{rest}}}"))
            }
            Answer::Status(status, body) => (status, "text/plain", body.to_owned()),
            Answer::Error(error) => return Err(error),
            Answer::Silence => std::future::pending().await,
        };
        let answer = Response::builder().status(status).header("content-type", content_type);
        Ok(answer.body(body.into()).unwrap())
    }

    fn source_with(&self, settings: OAuth2Settings) -> TokenSource {
        let clock = Clock::anchored(START);
        TokenSource::new(settings, self.transport(), clock, Component::detached()).unwrap()
    }

    fn source(&self) -> TokenSource {
        self.source_with(settings())
    }
}

/// A data endpoint that answers after 100 ms with 200 if it accepts the credential, else with 401.
///
/// It holds its callers to the contract of `Service`: a clone is not ready, and `call` takes what
/// `poll_ready` gave.
struct Endpoint {
    state: Arc<EndpointState>,
    ready: bool,
}

struct EndpointState {
    accepts: Box<dyn Fn(&str) -> bool + Send + Sync>,
    seen: Mutex<Vec<String>>,
}

impl Endpoint {
    fn accepting(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let state = EndpointState { accepts: Box::new(accepts), seen: Mutex::default() };
        Self { state: Arc::new(state), ready: false }
    }

    /// What came in `Authorization`, in order.
    fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Clone for Endpoint {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), ready: false }
    }
}

impl Service<Request<Bytes>> for Endpoint {
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = BoxFuture<'static, Result<Response<Bytes>, AttemptError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        assert_eq!(request.body(), "{}");
        let authorization = request.headers().get(AUTHORIZATION);
        assert!(authorization.is_none_or(http::HeaderValue::is_sensitive));
        let authorization = authorization.map_or("", |value| value.to_str().unwrap()).to_owned();
        let state = self.state.clone();
        async move {
            state.seen.lock().unwrap().push(authorization.clone());
            sleep(Duration::from_millis(100)).await;
            let accepted = (state.accepts)(&authorization);
            let status = if accepted { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
        }
        .boxed()
    }
}
