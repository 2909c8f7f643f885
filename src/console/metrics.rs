use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use super::{ApiError, Console};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn text(State(console): State<Arc<Console>>) -> Result<Response, ApiError> {
    let text = console.metrics.text().map_err(|error| {
        tracing::error!(%error, "cannot write the metrics");
        ApiError::Failed
    })?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
