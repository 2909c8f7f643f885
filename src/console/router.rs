//! What there is: every path with its resource.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{ApiError, Console, Refused, access, dead_letters, health, metrics, profiles, sinks};
use crate::listen::{self, Listener};

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_mins(2);

/// What requests are answered from, in the place of which another may come while they are.
#[derive(Clone)]
pub struct Answers {
    console: Arc<Console>,
    router: Router,
}

impl Answers {
    /// Answers about the process as this console sees it.
    pub fn of(console: Console) -> Self {
        let console = Arc::new(console);
        Self { router: router(console.clone()), console }
    }
}

/// Answers requests until `stop`.
pub async fn serve(
    listener: Listener,
    mut answers: watch::Receiver<Answers>,
    stop: CancellationToken,
) {
    let current = answers.clone();
    let answering = listen::serve(listener, Some(IDLE), stop, move |request| {
        let Answers { console, router } = current.borrow().clone();
        async move { Ok(whole(answer(&console, router, request).await).await) }
    });
    let rates = async {
        loop {
            let Answers { console, .. } = answers.borrow_and_update().clone();
            tokio::select! {
                () = console.rates.keep() => {}
                Ok(()) = answers.changed() => {}
            }
        }
    };
    tokio::select! {
        () = answering => {}
        () = rates => {}
    }
}

fn router(console: Arc<Console>) -> Router {
    let letters = get(dead_letters::list).delete(dead_letters::discard_all);
    let letter = get(dead_letters::show).delete(dead_letters::discard);
    let sink = Router::new()
        .route("/", get(sinks::show))
        .route("/pause", post(sinks::pause))
        .route("/resume", post(sinks::resume))
        .route("/dead-letters", letters)
        .route("/dead-letters/replay", post(dead_letters::replay_all))
        .route("/dead-letters/{id}", letter)
        .route("/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/resend", post(profiles::resend_all))
        .route("/profiles/{key}", get(profiles::show).delete(profiles::forget))
        .route("/profiles/{key}/resend", post(profiles::resend))
        .route("/profiles/{key}/suppression", delete(profiles::unsuppress));
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::text))
        .route("/api/v1/sinks", get(sinks::list))
        .nest("/api/v1/sinks/{sink}", sink)
        .fallback(async || ApiError::NoPath)
        .method_not_allowed_fallback(async |method: Method| ApiError::Method(method.to_string()))
        .with_state(console)
}

async fn answer(console: &Console, router: Router, request: Request<Incoming>) -> Response {
    let (head, body) = request.into_parts();
    if let Err(refused) = access::check(console, &head).await {
        return refused.into_response();
    }
    let answered: Result<Response, Infallible> =
        router.oneshot(Request::from_parts(head, body)).await;
    let Ok(answer) = answered;
    in_json(answer).await
}

/// What the router itself says of a bad query or path is text; everybody else gets JSON.
async fn in_json(answer: Response) -> Response {
    let json = HeaderValue::from_static("application/json");
    let is_error = answer.status().is_client_error() || answer.status().is_server_error();
    if !is_error || answer.headers().get(header::CONTENT_TYPE) == Some(&json) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let text = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let error = String::from_utf8_lossy(&text).into_owned();
    (head.status, Json(Refused { error })).into_response()
}

/// The answer with its whole body. What it shows is nobody's to keep.
async fn whole(answer: Response<Body>) -> http::Response<Full<Bytes>> {
    let (mut head, body) = answer.into_parts();
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    http::Response::from_parts(head, Full::new(body))
}
