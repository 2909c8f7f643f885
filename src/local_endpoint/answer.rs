use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::{sync::mpsc, time::sleep};

use super::{
    Settings, TOKEN_PATH, batch,
    behaviour::{Behaviour, Fate, luck},
    ledger::{Arrival, Ledger, key_of},
    report::Counters,
    tokens::{Denied, Tokens},
};
use crate::{
    clock::Clock,
    encoding::{Encoding, EncodingError},
    listen::{Reset, json_answer},
};

/// The longest body that is read.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A `Profile-Version` that lies further back is not taken for a time.
const MAX_LATENCY_MICROS: u64 = 24 * 3600 * 1_000_000;

/// A profile with its key and version.
type Profile = (Bytes, Option<u128>, Option<u64>);

type Answer = Response<Full<Bytes>>;

/// What the connections of an endpoint share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) behaviour: RwLock<Behaviour>,
    pub(super) tokens: Option<Tokens>,
    pub(super) ledger: Ledger,
    pub(super) counters: Counters,
    namespace: Option<String>,
    arrivals: Option<mpsc::Sender<Bytes>>,
    seed: u64,
    drawn: AtomicU64,
    clock: Clock,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            behaviour: RwLock::new(settings.behaviour),
            tokens: settings.client.map(Tokens::new),
            ledger: Ledger::new(settings.keep_bodies),
            counters: Counters::default(),
            namespace: settings.namespace,
            arrivals: settings.arrivals,
            seed: settings.seed,
            drawn: AtomicU64::new(0),
            clock: Clock::system(),
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Reset> {
        let path = request.uri().path();
        match *request.method() {
            Method::POST if path == TOKEN_PATH => self.token(request).await,
            Method::GET if path == "/_stats" => {
                Ok(json_answer(StatusCode::OK, &self.counters.report()))
            }
            Method::GET if path == "/_control" => {
                Ok(json_answer(StatusCode::OK, &self.behaviour()))
            }
            Method::PUT if path == "/_control" => self.control(request).await,
            Method::POST | Method::PUT | Method::PATCH => self.profile(request).await,
            _ => Ok(error(StatusCode::METHOD_NOT_ALLOWED, "send a profile by POST, PUT or PATCH")),
        }
    }

    async fn profile(&self, request: Request<Incoming>) -> Result<Answer, Reset> {
        let _under_way = self.counters.begin();
        let number = self.drawn.fetch_add(2, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        if !self.is_authorized(&head.headers) {
            self.counters.unauthorized.add(1);
            // A connection whose request was not read to its end carries no other.
            let _ = read(body).await;
            let mut answer = error(StatusCode::UNAUTHORIZED, "no access token that holds");
            let hint = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, hint);
            return Ok(answer);
        }
        let behaviour = self.behaviour();
        let fate = behaviour.fate(luck(self.seed, number));
        if fate == Fate::ResetBefore {
            self.counters.reset_before.add(1);
            return Err(Reset);
        }
        let body = read(body).await?;
        let taken = match fate {
            Fate::Refuse(status, after) => {
                self.counters.refused.add(1);
                Ok(refuse(status, after, number))
            }
            _ => match decoded(&head.headers, body) {
                Ok(body) => self.take(&head.headers, body, fate).await,
                Err(reason) => {
                    self.counters.unreadable.add(1);
                    Ok(undecodable(&reason))
                }
            },
        };
        // The profile is taken when it arrives; late is what the client hears of it.
        if let Some(delay) = behaviour.delay(luck(self.seed, number + 1)) {
            sleep(delay).await;
        }
        taken
    }

    /// Takes the profiles of a request, or none of them where one is no profile.
    async fn take(&self, headers: &HeaderMap, body: Bytes, fate: Fate) -> Result<Answer, Reset> {
        let profiles = match self.profiles(headers, &body) {
            Ok(profiles) => profiles,
            Err(reason) => {
                self.counters.unreadable.add(1);
                return Ok(error(StatusCode::BAD_REQUEST, &format!("not a profile: {reason}")));
            }
        };
        self.counters.see(headers);
        self.counters.bytes.add(body.len() as u64);
        for (profile, key, version) in profiles {
            self.take_one(&profile, key, version);
            if let Some(arrivals) = &self.arrivals {
                // Nobody listens any more.
                let _ = arrivals.send(profile).await;
            }
        }
        let Fate::Take(status) = fate else {
            self.counters.reset_after.add(1);
            return Err(Reset);
        };
        let mut answer = Answer::default();
        *answer.status_mut() = status;
        Ok(answer)
    }

    /// The profiles of a request, each with its key and version.
    fn profiles(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Vec<Profile>, serde_json::Error> {
        let profiles = batch::profiles(body)?;
        let with_key = |(profile, of_batch): (Bytes, Option<u64>)| {
            let key = key_of(&profile, self.namespace.as_deref())?;
            Ok((profile, key, of_batch.or_else(|| version(headers))))
        };
        profiles.into_iter().map(with_key).collect()
    }

    fn take_one(&self, profile: &Bytes, key: Option<u128>, version: Option<u64>) {
        self.counters.taken.add(1);
        // A profile without identities cannot be told from another.
        let Some(key) = key else { return };
        let arrival = self.ledger.take(key, version, profile);
        match arrival {
            Arrival::First => self.counters.profiles.add(1),
            Arrival::Newer => {}
            Arrival::Repeat => self.counters.duplicates.add(1),
            Arrival::Older => self.counters.order_violations.add(1),
        }
        if let (Arrival::First | Arrival::Newer, Some(version)) = (arrival, version) {
            let micros = self.clock.now().checked_sub(version);
            if let Some(micros) = micros.filter(|micros| *micros < MAX_LATENCY_MICROS) {
                self.counters.latency.observe(micros);
            }
        }
    }

    async fn token(&self, request: Request<Incoming>) -> Result<Answer, Reset> {
        let (head, body) = request.into_parts();
        let form = read(body).await?;
        let Some(tokens) = &self.tokens else {
            return Ok(error(
                StatusCode::NOT_FOUND,
                "started without a client: no token is needed",
            ));
        };
        if let Some(status) = self.behaviour().token_status {
            self.counters.tokens_refused.add(1);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return Ok(json_answer(status, &json!({ "error": "temporarily_unavailable" })));
        }
        let authorization = head.headers.get(header::AUTHORIZATION);
        let granted = tokens.grant(&form, authorization.map(HeaderValue::as_bytes));
        let (status, code) = match granted {
            Ok((token, lifetime)) => {
                self.counters.tokens.add(1);
                let body = json!({
                    "access_token": token,
                    "token_type": "Bearer",
                    "expires_in": lifetime.as_secs(),
                });
                let mut answer = json_answer(StatusCode::OK, &body);
                set(&mut answer, header::CACHE_CONTROL, "no-store");
                return Ok(answer);
            }
            Err(Denied::InvalidClient) => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Err(Denied::UnsupportedGrantType) => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type")
            }
        };
        self.counters.tokens_refused.add(1);
        let mut answer = json_answer(status, &json!({ "error": code }));
        if status == StatusCode::UNAUTHORIZED {
            set(&mut answer, header::WWW_AUTHENTICATE, "Basic");
        }
        Ok(answer)
    }

    async fn control(&self, request: Request<Incoming>) -> Result<Answer, Reset> {
        let body = read(request.into_body()).await?;
        let behaviour: Behaviour = match serde_json::from_slice(&body) {
            Ok(behaviour) => behaviour,
            Err(reason) => return Ok(error(StatusCode::BAD_REQUEST, &reason.to_string())),
        };
        if let Err(reason) = behaviour.check() {
            return Ok(error(StatusCode::BAD_REQUEST, &reason));
        }
        *self.behaviour.write().unwrap_or_else(PoisonError::into_inner) = behaviour;
        Ok(json_answer(StatusCode::OK, &behaviour))
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' '));
        token.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && tokens.holds(token)
        })
    }

    fn behaviour(&self) -> Behaviour {
        *self.behaviour.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole body. One that is too long or breaks off has no answer.
async fn read(body: Incoming) -> Result<Bytes, Reset> {
    Ok(Limited::new(body, MAX_BODY).collect().await.map_err(|_| Reset)?.to_bytes())
}

/// The body as it was before it was compressed.
fn decoded(headers: &HeaderMap, body: Bytes) -> Result<Bytes, EncodingError> {
    Encoding::of(headers)?.decode(body, MAX_BODY)
}

fn undecodable(reason: &EncodingError) -> Answer {
    let status = match reason {
        EncodingError::Unknown(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        EncodingError::Damaged { .. } => StatusCode::BAD_REQUEST,
        EncodingError::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    error(status, &reason.to_string())
}

fn version(headers: &HeaderMap) -> Option<u64> {
    headers.get("profile-version")?.to_str().ok()?.parse().ok()
}

fn refuse(status: StatusCode, retry_after: Option<u64>, number: u64) -> Answer {
    let reason = status.canonical_reason().unwrap_or("told to refuse");
    let mut answer = error(status, reason);
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer.headers_mut().insert(HeaderName::from_static("x-request-id"), number.into());
    answer
}

fn error(status: StatusCode, reason: &str) -> Answer {
    json_answer(status, &json!({ "error": reason }))
}

fn set(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
}
