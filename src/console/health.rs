use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{ApiError, Console};

/// The process answers.
pub(super) async fn live() -> Response {
    Json(json!({ "status": "live" })).into_response()
}

/// The sources listen, which they do before this answers, and the stores commit. A closed gate is
/// the endpoint's trouble, not that of senders: records are taken.
pub(super) async fn ready(State(console): State<Arc<Console>>) -> Response {
    if console.stopping.is_cancelled() {
        return ApiError::Unavailable("the process is stopping".to_owned()).into_response();
    }
    let failed = console.sinks.iter().find_map(|sink| Some((sink, sink.store.failure()?)));
    match failed {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some((sink, error)) => {
            ApiError::Unavailable(format!("sink {}: {error}", sink.name)).into_response()
        }
    }
}
