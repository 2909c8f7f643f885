//! Where the letters are: in a running process, or in a store that nothing uses.

use std::path::{Path, PathBuf};

use http::StatusCode;
use profile_http::{
    clock::Clock,
    config::{Plan, SinkPlan},
    console::{Dropped, LetterList, LetterView, SinkStatus},
    store::{
        LetterId, Replayed, StoreError,
        embedded::{EmbeddedStore, Letters},
    },
    telemetry::Metrics,
};

use crate::cli::{
    Failure,
    api::{Api, CallError},
};

/// Where the letters of a sink are.
pub(super) enum Place<'a> {
    /// A process answers for them.
    Running(Box<Api>, &'a SinkPlan),
    /// No process does, or none that is known of.
    Stopped(Stopped<'a>),
}

/// A store that nothing should be using.
pub(super) struct Stopped<'a> {
    sink: &'a SinkPlan,
    dir: PathBuf,
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

    /// What reads letters.
    pub(super) fn reader(&self) -> Result<Reader<'_>, Failure> {
        match self {
            Self::Running(api, sink) => Ok(Reader::Running(api, sink)),
            Self::Stopped(stopped) => {
                let letters = Letters::open(&stopped.dir);
                Ok(Reader::Stopped(letters.map_err(|error| stopped.explain(&error))?))
            }
        }
    }

    /// What changes letters.
    pub(super) fn keeper(self) -> Result<Keeper<'a>, Failure> {
        match self {
            Self::Running(api, sink) => Ok(Keeper::Running(api, sink)),
            Self::Stopped(stopped) => stopped.open().map(Keeper::Stopped),
        }
    }
}

impl Stopped<'_> {
    fn open(&self) -> Result<EmbeddedStore, Failure> {
        if !self.dir.is_dir() {
            let path = self.dir.display().to_string();
            return Err(self.explain(&StoreError::Missing { path }));
        }
        let metrics = Metrics::default().component(&self.sink.name, "sink", "profile_http");
        let mapping = self.sink.mapping.clone();
        EmbeddedStore::open(&self.dir, mapping, self.sink.state, Clock::system(), metrics)
            .map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &StoreError) -> Failure {
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

/// Reads letters.
pub(super) enum Reader<'a> {
    Running(&'a Api, &'a SinkPlan),
    Stopped(Letters),
}

impl Reader<'_> {
    /// At most `limit` letters before what a former page said, latest first.
    pub(super) async fn page(
        &self,
        before: Option<&str>,
        limit: usize,
    ) -> Result<LetterList, Failure> {
        match self {
            Self::Running(api, sink) => {
                let before = before.map_or(String::new(), |place| format!("&before={place}"));
                let path = path(sink, &format!("/dead-letters?limit={limit}{before}"));
                Ok(api.get(&path).await?)
            }
            Self::Stopped(letters) => {
                let before = before.map(str::parse).transpose().map_err(Failure::of)?;
                let page = letters.page(before, limit).map_err(Failure::of)?;
                Ok(LetterList::from(&page))
            }
        }
    }

    pub(super) async fn letter(&self, id: LetterId) -> Result<Option<LetterView>, Failure> {
        match self {
            Self::Running(api, sink) => {
                found(api.get(&path(sink, &format!("/dead-letters/{id}"))).await)
            }
            Self::Stopped(letters) => {
                let letter = letters.get(id).map_err(Failure::of)?;
                Ok(letter.as_ref().map(LetterView::from))
            }
        }
    }
}

/// Changes letters.
pub(super) enum Keeper<'a> {
    Running(Box<Api>, &'a SinkPlan),
    Stopped(EmbeddedStore),
}

impl Keeper<'_> {
    /// Nothing where there is no such letter.
    pub(super) async fn replay(&self, id: LetterId) -> Result<Option<Replayed>, Failure> {
        match self {
            Self::Running(api, sink) => {
                found(api.post(&path(sink, &format!("/dead-letters/{id}/replay"))).await)
            }
            Self::Stopped(store) => {
                let LetterId::Profile(profile) = id else { return Ok(None) };
                let replayed = store.replay(vec![profile]).await.map_err(Failure::of)?;
                Ok((replayed.missing == 0).then_some(replayed))
            }
        }
    }

    pub(super) async fn replay_all(&self) -> Result<Replayed, Failure> {
        match self {
            Self::Running(api, sink) => Ok(api.post(&path(sink, "/dead-letters/replay")).await?),
            Self::Stopped(store) => store.replay_all().await.map_err(Failure::of),
        }
    }

    /// How many were dropped; nothing where there is no such letter.
    pub(super) async fn discard(&self, id: LetterId) -> Result<Option<u64>, Failure> {
        match self {
            Self::Running(api, sink) => {
                let path = path(sink, &format!("/dead-letters/{id}"));
                let dropped = found(api.delete::<Dropped>(&path).await)?;
                Ok(dropped.map(|dropped| dropped.dropped))
            }
            Self::Stopped(store) => {
                let dropped = store.discard(vec![id]).await.map_err(Failure::of)?;
                Ok(Some(dropped).filter(|dropped| *dropped > 0))
            }
        }
    }

    pub(super) async fn discard_all(&self) -> Result<u64, Failure> {
        match self {
            Self::Running(api, sink) => {
                Ok(api.delete::<Dropped>(&path(sink, "/dead-letters")).await?.dropped)
            }
            Self::Stopped(store) => store.discard_all().await.map_err(Failure::of),
        }
    }

    /// Makes what was changed durable.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Running(..) => Ok(()),
            Self::Stopped(store) => store.stop().await.map_err(Failure::of),
        }
    }
}

fn found<T>(answer: Result<T, CallError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn path(sink: &SinkPlan, rest: &str) -> String {
    format!("/api/v1/sinks/{}{rest}", sink.name)
}

/// Whether the process that answers has its store where ours would be.
pub(in crate::cli) fn is_same(store: &str, dir: &Path) -> bool {
    std::fs::canonicalize(dir).is_ok_and(|dir| dir == Path::new(store))
}
