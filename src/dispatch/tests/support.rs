//! A sink on paused time: the store without its thread, the whole stack, and an endpoint.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::endpoint::{Call, Endpoint, Reply};
use crate::{
    clock::Clock,
    delivery::{
        AuthSettings, BackoffSettings, Classes, ConcurrencySettings, DeliverySettings, Gate, Http2,
        RateLimitSettings, RequestSettings, TlsSettings,
        auth::AuthLayer,
        compose,
        test_support::{millis, secs},
    },
    dispatch::{BatchSettings, Dispatcher, Exporter, Framing, Phase},
    endpoint::template::{HeaderTemplate, Template},
    profile::{Attributes, Mapping, MappingSpec, ProfileId, Removed, Retain, SegmentSpec, When},
    store::{
        Applied, Claims, Counts, DeadLetter, Dismissal, Forgotten, InvalidRecord, SentPart,
        Settled, Store, StoreError, Update, Verdict, embedded::inline::InlineStore,
    },
    telemetry::Component,
};

pub(super) const START: u64 = 1_700_000_000_000_000;

/// The segment that is mapped where one is.
pub(super) const SEGMENT: &str = "s";

/// The store, with its claims counted and, where asked, with calls that take a few turns of the
/// runtime, as those do that go to another thread.
#[derive(Clone)]
pub(super) struct TestStore {
    pub(super) inner: InlineStore,
    claims: Arc<AtomicUsize>,
    slow: bool,
}

impl TestStore {
    async fn take_turns(&self) {
        if self.slow {
            for _ in 0..fastrand::u8(0..4) {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Store for TestStore {
    async fn apply_once(
        &self,
        updates: Vec<Update>,
        invalid: Vec<InvalidRecord>,
        parts: Vec<SentPart>,
    ) -> Result<Applied, StoreError> {
        self.inner.apply_once(updates, invalid, parts).await
    }

    async fn claim_lots(&self, max: usize, lot: usize) -> Result<Claims, StoreError> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        self.take_turns().await;
        let claims = self.inner.claim_lots(max, lot).await;
        self.take_turns().await;
        claims
    }

    async fn settle(&self, outcomes: Vec<Settled>) -> Result<(), StoreError> {
        self.take_turns().await;
        let settled = self.inner.settle(outcomes).await;
        self.take_turns().await;
        settled
    }

    async fn revive(&self, versions: Vec<(ProfileId, u64)>) -> Result<(), StoreError> {
        self.inner.revive(versions).await
    }

    async fn wait_due(&self) {
        self.inner.wait_due().await;
    }

    fn counts(&self) -> Counts {
        self.inner.counts()
    }
}

/// How a rig is set up.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) concurrency: usize,
    /// Attempts in each second.
    pub(super) rate: Option<u32>,
    /// Attempts that may go at once after a pause.
    pub(super) burst: u32,
    /// Repetitions inside the stack.
    pub(super) repetitions: u32,
    /// Whether only members of a segment are followed.
    pub(super) segment: bool,
    /// Whether calls to the store take a few turns.
    pub(super) slow_store: bool,
    /// Whether each profile's name is part of its URL, and a header.
    pub(super) templated: bool,
    /// Profiles in a request, and bytes of its body.
    pub(super) max_profiles: usize,
    pub(super) max_bytes: usize,
    /// Whether each success has a list of results.
    pub(super) results: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            concurrency: 4,
            rate: None,
            burst: 1,
            repetitions: 0,
            segment: false,
            slow_store: false,
            templated: false,
            max_profiles: 1,
            max_bytes: 1 << 20,
            results: false,
        }
    }
}

/// A sink that runs.
pub(super) struct Rig {
    pub(super) endpoint: Endpoint,
    pub(super) gate: Gate,
    pub(super) store: TestStore,
    pub(super) clock: Clock,
    mapping: Arc<Mapping>,
    phase: watch::Sender<Phase>,
    running: JoinHandle<Result<(), StoreError>>,
    directory: TempDir,
    setup: Setup,
}

impl Rig {
    pub(super) fn start(setup: Setup, answer: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        let clock = Clock::anchored(START);
        Self::open(tempfile::tempdir().unwrap(), setup, Endpoint::new(answer), clock)
    }

    /// A sink that sends batches.
    pub(super) fn of_batches(
        setup: Setup,
        answer: impl FnMut(&[Call]) -> Reply + Send + 'static,
    ) -> Self {
        let clock = Clock::anchored(START);
        Self::open(tempfile::tempdir().unwrap(), setup, Endpoint::of_batches(answer), clock)
    }

    /// A sink whose store lies there, at a time of day.
    pub(super) fn at(
        directory: TempDir,
        now: u64,
        setup: Setup,
        answer: impl FnMut(&[Call]) -> Reply + Send + 'static,
    ) -> Self {
        Self::open(directory, setup, Endpoint::of_batches(answer), Clock::anchored(now))
    }

    /// Starts anew on the store of a rig that has ended, without opening it again.
    pub(super) fn start_again(
        self,
        setup: Setup,
        answer: impl FnMut(&[Call]) -> Reply + Send + 'static,
    ) -> Self {
        assert_eq!(self.setup.segment, setup.segment, "a store keeps its mapping");
        let Self { store, mapping, clock, directory, .. } = self;
        Self::run(directory, store.inner, mapping, setup, Endpoint::of_batches(answer), clock)
    }

    fn open(directory: TempDir, setup: Setup, endpoint: Endpoint, clock: Clock) -> Self {
        let mapping = Arc::new(Mapping::compile(spec(setup.segment)).unwrap());
        let inner = InlineStore::open(directory.path(), mapping.clone(), clock.clone());
        Self::run(directory, inner, mapping, setup, endpoint, clock)
    }

    fn run(
        directory: TempDir,
        inner: InlineStore,
        mapping: Arc<Mapping>,
        setup: Setup,
        endpoint: Endpoint,
        clock: Clock,
    ) -> Self {
        let store = TestStore { inner, claims: Arc::default(), slow: setup.slow_store };
        let component = Component::detached();
        let settings = settings(setup);
        let gate = Gate::new(settings.request.retry_after_max, Arc::clone(&component));
        let auth = AuthLayer::new(&settings.auth, None).unwrap();
        let stack = compose(&settings, &gate, &component, auth, endpoint.clone());
        let mapped_at = Arc::new(store.inner.mapped_at().clone());
        let store_id = store.inner.store_id();
        let batch = batch(setup);
        let exporter = Exporter::new(mapping.clone(), mapped_at, store_id, &settings)
            .batching(&batch, &settings);
        let dispatcher = Dispatcher {
            store: store.clone(),
            exporter,
            batch,
            gate: gate.clone(),
            stack,
            classes: settings.request.classes,
            clock: clock.clone(),
            metrics: component,
        };
        let (phase, orders) = watch::channel(Phase::Run);
        let running = tokio::spawn(dispatcher.run(orders));
        Self { endpoint, gate, store, clock, mapping, phase, running, directory, setup }
    }

    pub(super) fn order(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.running.is_finished()
    }

    /// Waits until the dispatcher has ended, but no longer than `limit`.
    pub(super) async fn ended(&mut self, limit: Duration) {
        timeout(limit, &mut self.running).await.expect("it does not end").unwrap().unwrap();
    }

    /// Delivers all that is due and ends, within `limit`.
    pub(super) async fn drain(&mut self, limit: Duration) {
        self.order(Phase::Drain);
        self.ended(limit).await;
    }

    /// Lets what is in flight end, then opens store, gate and stack anew.
    pub(super) async fn restart(mut self) -> Self {
        self.order(Phase::Stop);
        self.ended(secs(60)).await;
        let Self { endpoint, store, clock, directory, setup, .. } = self;
        drop(store);
        Self::open(directory, setup, endpoint, clock)
    }

    /// Ends at once, as in a crash, and opens all of it anew at a time of day.
    pub(super) async fn crash(self, now: u64) -> Self {
        let (endpoint, setup) = (self.endpoint.clone(), self.setup);
        Self::open(self.killed().await, setup, endpoint, Clock::anchored(now))
    }

    /// Ends at once, and leaves the store behind.
    pub(super) async fn killed(self) -> TempDir {
        let Self { store, running, directory, .. } = self;
        if !running.is_finished() {
            running.abort();
            let _ = running.await;
        }
        drop(store);
        directory
    }

    /// Takes an update of a profile that is a member.
    pub(super) async fn update(&self, id: u32, name: &str) -> Verdict {
        self.take(id, name, true).await
    }

    /// Takes an update that says that the profile is no member any more.
    pub(super) async fn leave(&self, id: u32, name: &str) -> Verdict {
        self.take(id, name, false).await
    }

    async fn take(&self, id: u32, name: &str, member: bool) -> Verdict {
        let update = self.projected(id, name, member);
        self.store.apply(vec![update], Vec::new()).await.unwrap().remove(0)
    }

    /// Takes one update of each of these profiles, in this order, before anything else happens.
    pub(super) async fn update_all(&self, ids: impl IntoIterator<Item = u32>, name: &str) {
        for id in ids {
            self.update(id, name).await;
        }
    }

    /// The same in one go, after which they are due in any order.
    pub(super) async fn update_together(&self, ids: impl IntoIterator<Item = u32>, name: &str) {
        let updates = ids.into_iter().map(|id| self.projected(id, name, true)).collect();
        self.store.apply(updates, Vec::new()).await.unwrap();
    }

    fn projected(&self, id: u32, name: &str, member: bool) -> Update {
        let status = if member { "realized" } else { "exited" };
        let record = format!(
            r#"{{"id":{id},"name":"{name}","segmentMembership":{{"ups":{{"{SEGMENT}":{{"status":"{status}"}}}}}}}}"#
        );
        let record = Bytes::from(record);
        let projected = self.mapping.project(self.store.inner.seed(), &record).unwrap();
        Update {
            id: projected.id,
            prints: projected.prints,
            followed: projected.followed,
            source_version: projected.source_version,
            received: self.clock.now(),
            kept: Some(projected.keep()),
            record: record.clone(),
        }
    }

    pub(super) fn forget(&self, id: u32, how: Dismissal) -> Forgotten {
        self.store.inner.forget(self.projected(id, "", true).id, how)
    }

    pub(super) fn dead_letter(&self, id: u32) -> Option<DeadLetter> {
        self.store.inner.dead_letter(&self.projected(id, "", true).id)
    }

    pub(super) fn counts(&self) -> Counts {
        self.store.counts()
    }

    pub(super) fn due(&self) -> u64 {
        self.counts().due
    }

    /// How often the dispatcher has asked for something to deliver.
    pub(super) fn claims(&self) -> usize {
        self.store.claims.load(Ordering::Relaxed)
    }
}

fn spec(segment: bool) -> MappingSpec {
    let segments =
        segment.then(|| SegmentSpec { id: SEGMENT.to_owned(), name: None, namespace: None });
    MappingSpec {
        key: vec!["id".parse().unwrap()],
        at: None,
        version: None,
        strip_prefix: None,
        attributes: Attributes::Listed(vec!["id".parse().unwrap(), "name".parse().unwrap()]),
        segments: segments.into_iter().collect(),
        identities: None,
        unmapped_segments: false,
        segment_names: false,
        segment_timestamps: false,
        legacy_status: false,
        consent: Vec::new(),
        removed: Removed::default(),
        when: When::default(),
        retain: Retain::default(),
    }
}

fn batch(setup: Setup) -> BatchSettings {
    BatchSettings {
        max_profiles: setup.max_profiles,
        max_bytes: setup.max_bytes,
        framing: Framing::Envelope("profiles".to_owned()),
        results: setup.results.then(|| "/results".parse().unwrap()),
        ..BatchSettings::default()
    }
}

fn settings(setup: Setup) -> DeliverySettings {
    let rate_limit = setup.rate.map(|num| RateLimitSettings {
        num: num.try_into().unwrap(),
        per: secs(1),
        burst: setup.burst.try_into().unwrap(),
    });
    let endpoint = "http://endpoint.example/profiles";
    let (endpoint, header, classes) = if setup.templated {
        let name = HeaderName::from_static("x-name");
        let value = Template::parse("name {name}").unwrap();
        let header = HeaderTemplate { name, value, sensitive: false };
        let classes = Classes::default().for_templated_url();
        (format!("{endpoint}/{{name}}"), Some(header), classes)
    } else {
        (endpoint.to_owned(), None, Classes::default())
    };
    DeliverySettings {
        endpoint: endpoint.parse().unwrap(),
        method: Method::POST,
        headers: HeaderMap::new(),
        header_templates: header.into_iter().collect(),
        auth: AuthSettings::None,
        signing: None,
        request: RequestSettings {
            timeout: secs(10),
            connect_timeout: secs(5),
            http2: Http2::default(),
            proxy: None,
            deadline: secs(30),
            concurrency: ConcurrencySettings::Fixed(setup.concurrency),
            rate_limit,
            honour_rate_limit_headers: true,
            retry: BackoffSettings {
                attempts: setup.repetitions,
                initial: millis(200),
                max_duration: secs(10),
            },
            retry_after_max: secs(300),
            classes,
            compression: None,
        },
        tls: TlsSettings::default(),
    }
}
