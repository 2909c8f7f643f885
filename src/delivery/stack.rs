use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tower::{
    Service, ServiceBuilder,
    util::{BoxCloneSyncService, MapErr, option_layer},
};

use super::{
    AttemptError, AuthSettings, ConcurrencyLimit, DeliverySettings, Gate, OAuth2Settings,
    RateLimiter,
    attempt::AttemptLayer,
    auth::{AuthError, AuthLayer, TokenSource},
    compress::CompressLayer,
    concurrency::ConcurrencyLayer,
    deadline::DeadlineLayer,
    gate::GateLayer,
    headers::HeadersLayer,
    observe::ObserveLayer,
    rate_limit::RateLimitLayer,
    results::ResultsLayer,
    retry::{Pauses, RetryLayer},
    sign::{SignLayer, SigningError},
    timeout::TimeoutLayer,
};
use crate::{
    clock::Clock,
    endpoint::{EndpointError, ProxySettings, SendError, Transport},
    telemetry::Component,
};

#[cfg(test)]
pub(super) mod tests;

/// A stack, or a part of one, whose type does not matter any more.
pub type Deliver = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, AttemptError>;

/// The transport with the errors of a stack.
type Wire = MapErr<Transport, fn(SendError) -> AttemptError>;

/// What carries the exports of one sink to its endpoint.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Delivers one export. Each delivery needs a clone of its own, which must be called soon after
    /// it has become ready.
    pub service: Deliver,
    /// How many attempts may be under way at once.
    pub limit: ConcurrencyLimit,
    /// The pace that is kept.
    pub rate: RateLimiter,
    /// The deliveries that pause before another attempt.
    pub pauses: Pauses,
}

/// Why a stack cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The files of the TLS settings cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The credentials cannot be used.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The keys of signatures cannot be used.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// The stack of one sink, from its settings down to the wire.
///
/// # Panics
///
/// With OAuth2, outside of a tokio runtime.
pub fn stack(
    settings: &DeliverySettings,
    gate: &Gate,
    clock: &Clock,
    component: &Arc<Component>,
) -> Result<Stack, StackError> {
    let request = &settings.request;
    let transport = Transport::new(settings.transport())?;
    let tokens = match &settings.auth {
        AuthSettings::OAuth2(oauth2) => {
            let transport = token_transport(oauth2, request.proxy.as_ref())?;
            Some(TokenSource::new(
                (**oauth2).clone(),
                transport,
                clock.clone(),
                Arc::clone(component),
            )?)
        }
        _ => None,
    };
    let auth = AuthLayer::new(&settings.auth, tokens)?;
    if let Some(signing) = &settings.signing {
        signing.check()?;
    }
    Ok(compose(settings, gate, component, auth, wire(transport)))
}

/// The layers of a stack above the wire.
///
/// Waiting happens in `poll_ready`, from the concurrency limit down: a call begins with permit and
/// slot in hand.
pub fn compose<S>(
    settings: &DeliverySettings,
    gate: &Gate,
    component: &Arc<Component>,
    auth: AuthLayer,
    wire: S,
) -> Stack
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let request = &settings.request;
    let classes = &request.classes;
    let limit = ConcurrencyLimit::new(request.concurrency, component);
    // After a closure the endpoint is met by a few attempts first.
    gate.restarts(limit.clone());
    let rate = request.rate_limit.map_or_else(RateLimiter::unlimited, RateLimiter::new);
    let mut pace = RateLimitLayer::new(rate.clone()).learning(classes.clone(), component);
    if request.honour_rate_limit_headers {
        pace = pace.heeding_headers(request.retry_after_max);
    }
    // Judged by the endpoint's clock, so by the system's here.
    let signing = settings.signing.clone().map(|keys| SignLayer::new(keys, Clock::system()));
    let retry = RetryLayer::new(request.retry, classes.clone(), Arc::clone(component));
    let pauses = retry.pauses();
    let attempt = AttemptLayer::new(Arc::clone(component));
    let attempt = attempt.reporting_to(limit.clone(), classes.clone());
    let service = ServiceBuilder::new()
        // One box for each call, at the very top, so that the type of the stack ends here.
        .layer(BoxCloneSyncService::layer())
        // Outermost, to see what became of the delivery as a whole.
        .layer(ObserveLayer::new(Arc::clone(component)))
        // Outside the retries, so that a body is compressed once, and outside the deadline: this is
        // not the endpoint's time.
        .layer(option_layer(request.compression.map(CompressLayer::new)))
        // Outside the retries, whose pauses count; the wait for the first permit comes before the
        // call and does not.
        .layer(DeadlineLayer::new(request.deadline))
        // Outside the limits, so that a pause holds no permit and each repetition pays its slot.
        .layer(retry)
        // Bounds the sockets too: the pool below has no limit of its own.
        .layer(ConcurrencyLayer::new(limit.clone()))
        // After the permit: slots that were taken by waiters would all be used at once when the
        // endpoint frees its permits. Without a promised pace too, for one may be learned.
        .layer(pace)
        // Last before anything is done about sending, so that what waited for permit and slot is
        // not sent when the gate has closed meanwhile.
        .layer(GateLayer::new(gate, classes.clone()))
        // Inside the gate, which closes where an answer does not tell what became of each profile.
        .layer(ResultsLayer::new(classes.clone()))
        // Outside authentication, so that whatever signs a request sees it whole.
        .layer(HeadersLayer::new(settings.headers.clone()))
        // Inside the retries, so that each attempt goes with the token of its time.
        .layer(auth.paced_by(Some(rate.clone())))
        // Below authentication, whose replays are signed too, and last to touch the request: it
        // signs the bytes that are sent, at the time of the attempt.
        .layer(option_layer(signing))
        // Inside all waits, that for a token included, which are not the endpoint's time: an
        // attempt that was not sent must not look like one whose outcome is unknown. A replay has
        // the same time once more.
        .layer(TimeoutLayer::new(request.timeout))
        // Below authentication, whose replays are requests like any other. From here the limit on
        // concurrency learns: neither slot nor token is waited for any more.
        .layer(attempt)
        .service(wire);
    Stack { service, limit, rate, pauses }
}

/// What token requests go through: apart from the sink's stack, whose permits may all be held by
/// requests that wait for a token. Their time is that of the grant, which bounds them itself.
pub fn token_transport(
    settings: &OAuth2Settings,
    proxy: Option<&ProxySettings>,
) -> Result<Deliver, EndpointError> {
    let transport = Transport::new(settings.transport(proxy))?;
    Ok(BoxCloneSyncService::new(wire(transport)))
}

fn wire(transport: Transport) -> Wire {
    MapErr::new(transport, AttemptError::from)
}
