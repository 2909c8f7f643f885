//! Where the profiles and letters of a sink are: in a running process, or in a store that nothing
//! uses.

use std::path::{Path, PathBuf};

use http::StatusCode;
use profile_http::{
    clock::Clock,
    config::{Plan, SinkPlan},
    console::SinkStatus,
    store::{StoreError, embedded::EmbeddedStore},
    telemetry::Metrics,
};

use super::{
    Failure,
    api::{Api, CallError},
};

/// Where the profiles and letters of a sink are.
pub(super) enum Place<'a> {
    /// A process answers for them.
    Running(Box<Api>, &'a SinkPlan),
    /// No process does, or none that is known of.
    Stopped(Stopped<'a>),
}

/// A store that nothing should be using.
pub(super) struct Stopped<'a> {
    pub(super) sink: &'a SinkPlan,
    pub(super) dir: PathBuf,
    /// Why no process is asked.
    why: String,
}

impl<'a> Place<'a> {
    /// Asks for the process that runs with this plan.
    pub(super) async fn find(plan: &Plan, sink: &'a SinkPlan) -> Result<Self, Failure> {
        let dir = plan.store_dir(sink);
        let stopped = |why| Ok(Self::Stopped(Stopped { sink, dir: dir.clone(), why }));
        let Some(api) = &plan.api else {
            return stopped("its API is switched off (api.enabled: false)".to_owned());
        };
        let api = Box::new(Api::of_plan(api).await?);
        match api.get::<SinkStatus>(&path(sink, "")).await {
            Ok(status) if is_same(&status.store, &dir) => Ok(Self::Running(api, sink)),
            Ok(status) => {
                stopped(format!("what answers at {} has its store at {}", api.url(), status.store))
            }
            Err(CallError::Refused { status: StatusCode::UNAUTHORIZED, .. }) => {
                stopped(format!("what answers at {} has another api.token", api.url()))
            }
            Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                stopped(format!("what answers at {} has no sink {}", api.url(), sink.name))
            }
            Err(error) => stopped(error.to_string()),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running(..))
    }
}

impl Stopped<'_> {
    /// The store, to be changed.
    pub(super) fn open(&self) -> Result<EmbeddedStore, Failure> {
        if !self.dir.is_dir() {
            let path = self.dir.display().to_string();
            return Err(self.explain(&StoreError::Missing { path }));
        }
        let metrics = Metrics::default().component(&self.sink.name, "sink", "profile_http");
        let mapping = self.sink.mapping.clone();
        EmbeddedStore::open(&self.dir, mapping, self.sink.state, Clock::system(), metrics)
            .map_err(|error| self.explain(&error))
    }

    /// Says why the store cannot be used, and what to do.
    pub(super) fn explain(&self, error: &StoreError) -> Failure {
        let sink = &self.sink.name;
        Failure::Other(match error {
            StoreError::Locked { path } => format!(
                "sink {sink}: a process has the store at {path} open, but cannot be asked: {}; \
                 name the configuration that it was started with, or stop it",
                self.why
            ),
            error => format!("sink {sink}: {error}"),
        })
    }
}

/// Nothing where the process says that there is none.
pub(super) fn found<T>(answer: Result<T, CallError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The path of something of a sink.
pub(super) fn path(sink: &SinkPlan, rest: &str) -> String {
    format!("/api/v1/sinks/{}{rest}", sink.name)
}

/// Whether the process that answers has its store where ours would be.
pub(super) fn is_same(store: &str, dir: &Path) -> bool {
    std::fs::canonicalize(dir).is_ok_and(|dir| dir == Path::new(store))
}
