use std::{sync::Arc, time::Duration};

use tower::Layer;

use super::{RateLimit, RateLimiter, service::Lessons};
use crate::{delivery::Classes, telemetry::Component};

/// Lets attempts go at the pace of a [`RateLimiter`]; see [`RateLimit`].
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limiter: RateLimiter,
    lessons: Arc<Lessons>,
}

impl RateLimitLayer {
    /// A layer whose services take their slots from `limiter`.
    pub fn new(limiter: RateLimiter) -> Self {
        Self { limiter, lessons: Arc::default() }
    }

    /// Learns a pace when the endpoint answers 429, and whether it is *later* is told by these
    /// classes. The log names `component`.
    pub fn learning(self, classes: Classes, component: &Arc<Component>) -> Self {
        let refusals = Some((classes, Arc::clone(component)));
        let lessons = Lessons { refusals, longest: self.lessons.longest };
        Self { lessons: Arc::new(lessons), ..self }
    }

    /// Slows down when answers say that little of a quota is left, and stops where nothing is, but
    /// for no longer than `longest`.
    pub fn heeding_headers(self, longest: Duration) -> Self {
        let lessons = Lessons { refusals: self.lessons.refusals.clone(), longest: Some(longest) };
        Self { lessons: Arc::new(lessons), ..self }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, self.limiter.clone(), Arc::clone(&self.lessons))
    }
}
