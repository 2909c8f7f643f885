//! Letters in a running process, or in a store that nothing uses.

use profile_http::{
    config::SinkPlan,
    console::{Dropped, LetterList, LetterView},
    store::{
        LetterId, Replayed,
        embedded::{EmbeddedStore, Letters},
    },
};

use crate::cli::{
    Failure,
    api::Api,
    place::{Place, found, path},
};

/// Reads letters.
pub(super) enum Reader<'a> {
    Running(&'a Api, &'a SinkPlan),
    Stopped(Letters),
}

impl<'a> Reader<'a> {
    /// What reads letters there.
    pub(super) fn of(place: &'a Place<'_>) -> Result<Self, Failure> {
        match place {
            Place::Running(api, sink) => Ok(Self::Running(api, sink)),
            Place::Stopped(stopped) => {
                let letters = Letters::open(&stopped.dir);
                Ok(Self::Stopped(letters.map_err(|error| stopped.explain(&error))?))
            }
        }
    }

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

impl<'a> Keeper<'a> {
    /// What changes letters there.
    pub(super) fn of(place: Place<'a>) -> Result<Self, Failure> {
        match place {
            Place::Running(api, sink) => Ok(Self::Running(api, sink)),
            Place::Stopped(stopped) => stopped.open().map(Self::Stopped),
        }
    }

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
