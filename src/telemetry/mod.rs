//! Logs and metrics.

pub mod logs;
mod metrics;
mod throttle;

pub use metrics::{Component, LastError, Metrics};
pub use throttle::Throttle;
