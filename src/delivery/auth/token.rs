use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    AuthError, Credential, OAuth2Settings, TokenTransport,
    grant::{Grant, TokenEndpoint},
};
use crate::{clock::Clock, delivery::AttemptError, telemetry::Component};

/// How long a failed grant answers for all who come without asking the token endpoint again. Not
/// longer than the pause before the gate's first probe, which is to ask.
const FAIL_FAST: Duration = Duration::from_secs(1);

/// The first pause between grants that keep failing or whose tokens keep being rejected.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A token that was rejected at this age was good for a while: its successor may be had at once.
const SEASONED: Duration = Duration::from_mins(1);

/// The OAuth2 token of a sink, shared by all of its requests.
///
/// One task gets tokens, so that any number of callers causes one grant. It renews a token that
/// the endpoint has accepted ahead of its expiry, while callers go on with the one they have; a
/// token that nobody could use is let lapse. The task ends when the last clone is dropped.
#[derive(Clone)]
pub struct TokenSource {
    shared: Arc<Shared>,
    _task: Arc<AbortOnDropHandle<()>>,
}

struct Shared {
    view: watch::Sender<View>,
    /// Wakes the task: someone waits for a token, or a token was accepted for the first time.
    wanted: Notify,
    metrics: Arc<Component>,
}

/// What callers see.
#[derive(Default)]
struct View {
    token: Option<Token>,
    /// The generation of the last token that was granted.
    generation: u64,
    /// How the last grant failed, if it did.
    failure: Option<Failure>,
    /// Tokens in a row that were rejected soon after they were granted.
    rejections: u32,
}

struct Token {
    credential: Credential,
    granted_at: Instant,
    renew_at: Instant,
    expires_at: Instant,
    /// Whether the endpoint has accepted it.
    proven: bool,
    /// Set when it was rejected but is too young to be replaced: it serves until then.
    replace_at: Option<Instant>,
}

struct Failure {
    error: AttemptError,
    until: Instant,
}

impl TokenSource {
    /// A source of tokens. The first is asked for by the first request. The clock tells the time
    /// at which an assertion is signed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(
        settings: OAuth2Settings,
        transport: TokenTransport,
        clock: Clock,
        metrics: Arc<Component>,
    ) -> Result<Self, AuthError> {
        let refresh_before = settings.refresh_before;
        let endpoint = TokenEndpoint::new(settings, transport, clock, metrics.clone())?;
        let view = watch::Sender::default();
        let shared = Arc::new(Shared { view, wanted: Notify::new(), metrics });
        let task = tokio::spawn(keep_token(shared.clone(), endpoint, refresh_before));
        Ok(Self { shared, _task: Arc::new(AbortOnDropHandle::new(task)) })
    }

    /// The token. Waits for a grant only if there is no token that is good.
    pub async fn token(&self) -> Result<Credential, AttemptError> {
        if let Some(found) = self.shared.view.borrow().look(Instant::now(), false) {
            return found;
        }
        let mut view = self.shared.view.subscribe();
        let mut waited = false;
        loop {
            if let Some(found) = view.borrow_and_update().look(Instant::now(), waited) {
                return found;
            }
            self.shared.wanted.notify_one();
            view.changed().await.expect("the sender lives in self");
            waited = true;
        }
    }

    /// The generation of the last token that was granted, 0 before the first.
    pub fn generation(&self) -> u64 {
        self.shared.view.borrow().generation
    }

    /// Notes that the endpoint accepted a token.
    pub fn accept(&self, generation: u64) {
        let news = |view: &View| {
            view.token.as_ref().is_some_and(|token| token.is(generation) && !token.proven)
        };
        if !news(&self.shared.view.borrow()) {
            return;
        }
        // Nobody waits for this, so the change wakes none but the task.
        self.shared.view.send_if_modified(|view| {
            if let Some(token) = view.token.as_mut().filter(|token| token.is(generation)) {
                token.proven = true;
            }
            false
        });
        self.shared.wanted.notify_one();
    }

    /// Notes that the endpoint rejected a token; returns whether another one can be had.
    ///
    /// Only the token that was rejected is given up. One that was rejected soon after it was
    /// granted stays in use for a while, longer each time in a row: if age is not what is wrong
    /// with it, the next would fare no better, and the token endpoint is not to be flooded.
    pub fn reject(&self, generation: u64) -> bool {
        let mut another = true;
        let mut first = false;
        self.shared.view.send_if_modified(|view| {
            let now = Instant::now();
            let Some(token) = &mut view.token else { return false };
            if !token.is(generation) {
                another = token.replace_at.is_none();
                return false;
            }
            first = token.replace_at.is_none();
            let replace_at = *token.replace_at.get_or_insert_with(|| {
                if token.granted_at + SEASONED <= now {
                    view.rejections = 0;
                }
                let pause = if token.proven && view.rejections == 0 {
                    Duration::ZERO
                } else {
                    pause(view.rejections)
                };
                view.rejections += 1;
                token.granted_at + pause
            });
            another = replace_at <= now;
            if another {
                view.token = None;
            }
            another
        });
        if first {
            self.shared.metrics.tokens("rejected").inc();
        }
        another
    }
}

impl View {
    /// What a caller gets at once, if anything; whoever has waited takes a failure of any age.
    fn look(&self, now: Instant, waited: bool) -> Option<Result<Credential, AttemptError>> {
        if let Some(token) = self.token.as_ref().filter(|token| token.is_good(now)) {
            return Some(Ok(token.credential.clone()));
        }
        let failure = self.failure.as_ref()?;
        (waited || now < failure.until).then(|| Err(failure.error.clone()))
    }

    /// When the token is to be renewed; none while it is of no use to anyone.
    fn renew_at(&self) -> Option<Instant> {
        let token = self.token.as_ref()?;
        (token.proven && token.replace_at.is_none()).then_some(token.renew_at)
    }

    /// For how long the token is good.
    fn rest(&self, now: Instant) -> Option<Duration> {
        let token = self.token.as_ref().filter(|token| token.is_good(now))?;
        Some(token.expires_at.duration_since(now))
    }

    fn take(&mut self, grant: Grant, refresh_before: Duration) {
        // A short-lived token is used for half of its life at least.
        let ahead = refresh_before.min(grant.lifetime / 2);
        self.generation += 1;
        self.failure = None;
        self.token = Some(Token {
            credential: Credential::new(grant.authorization, self.generation),
            granted_at: grant.asked_at,
            renew_at: grant.asked_at + grant.lifetime.saturating_sub(ahead),
            expires_at: grant.asked_at + grant.lifetime,
            proven: false,
            replace_at: None,
        });
    }
}

impl Token {
    fn is(&self, generation: u64) -> bool {
        self.credential.generation() == generation
    }

    fn is_good(&self, now: Instant) -> bool {
        now < self.expires_at && self.replace_at.is_none_or(|at| now < at)
    }
}

/// Gets a token when one is wanted and renews it ahead of its expiry.
async fn keep_token(shared: Arc<Shared>, endpoint: TokenEndpoint, refresh_before: Duration) {
    let mut failures = 0;
    let mut earliest_renewal = Instant::now();
    loop {
        let renew_at = shared.view.borrow().renew_at().map(|at| at.max(earliest_renewal));
        tokio::select! {
            () = shared.wanted.notified() => {
                // A wish may be older than what fulfilled it.
                if shared.view.borrow().look(Instant::now(), false).is_some() {
                    continue;
                }
            }
            () = sleep_until(renew_at.unwrap_or_else(Instant::now)), if renew_at.is_some() => {}
        }
        match endpoint.grant().await {
            Ok(grant) => {
                tracing::debug!("access token granted for {}s", grant.lifetime.as_secs());
                failures = 0;
                shared.view.send_modify(|view| view.take(grant, refresh_before));
            }
            Err(error) => {
                let now = Instant::now();
                earliest_renewal = now + pause(failures);
                failures = failures.saturating_add(1);
                if let Some(rest) = shared.view.borrow().rest(now) {
                    let rest = rest.as_secs();
                    tracing::warn!("{error}; the access token in use is good for another {rest}s");
                }
                let failure = Failure { error, until: now + FAIL_FAST };
                shared.view.send_modify(|view| view.failure = Some(failure));
            }
        }
    }
}

/// The pause after `count` others.
fn pause(count: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1u32.checked_shl(count).unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
