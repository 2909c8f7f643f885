//! A profile in a running process, or in a store that nothing uses.

use profile_http::{
    clock::Clock,
    config::SinkPlan,
    console::{
        ProfileView, ResentView, Unsuppressed, no_profile, say_forgotten, say_resent,
        say_unsuppressed,
    },
    endpoint::template::percent_encoded,
    profile::ProfileId,
    store::{
        Dismissal, Forgotten, Resent,
        embedded::{EmbeddedStore, Profiles},
    },
};

use crate::cli::{
    Failure,
    api::Api,
    place::{Place, path},
};

/// How the log says that it was this command.
const COMMAND: &str = "command";

/// Profiles that are sent again in one step.
const STEP: u64 = 20_000;

/// All that is known of a profile.
pub(super) async fn look(
    place: &Place<'_>,
    sink: &SinkPlan,
    key: &str,
) -> Result<ProfileView, Failure> {
    match place {
        Place::Running(api, sink) => Ok(api.get(&of_profile(sink, key, "")).await?),
        Place::Stopped(stopped) => {
            let profiles = Profiles::open(&stopped.dir).map_err(|error| stopped.explain(&error))?;
            let keys = sink.mapping.keys_named(key);
            let suppressed = profiles.suppressed(&keys).map_err(Failure::of)?.is_some();
            let state = profiles.find(&keys).map_err(Failure::of)?;
            let state = state.ok_or_else(|| Failure::of(no_profile(suppressed)))?;
            let now = Clock::system().now();
            let mapped_at = profiles.mapped_at(&sink.mapping, now).map_err(Failure::of)?;
            Ok(ProfileView::new(&state, suppressed, &sink.mapping, &mapped_at))
        }
    }
}

/// Changes profiles.
pub(super) enum Keeper<'a> {
    Running(Box<Api>, &'a SinkPlan),
    Stopped(EmbeddedStore, &'a SinkPlan),
}

impl<'a> Keeper<'a> {
    /// What changes profiles there.
    pub(super) fn of(place: Place<'a>) -> Result<Self, Failure> {
        match place {
            Place::Running(api, sink) => Ok(Self::Running(api, sink)),
            Place::Stopped(stopped) => Ok(Self::Stopped(stopped.open()?, stopped.sink)),
        }
    }

    pub(super) async fn resend(&self, key: &str) -> Result<Resent, Failure> {
        match self {
            Self::Running(api, sink) => Ok(api.post(&of_profile(sink, key, "/resend")).await?),
            Self::Stopped(store, sink) => {
                let keys = sink.mapping.keys_named(key);
                let state = store.find(&keys).await.map_err(Failure::of)?;
                let Some(state) = state else { return Err(unknown(store, sink, key)) };
                let resent = store.resend(state.id).await.map_err(Failure::of)?;
                say_resent(&sink.name, Some(state.id), resent, COMMAND);
                Ok(resent)
            }
        }
    }

    /// Some of all profiles, in the order of their ids.
    pub(super) async fn resend_after(&self, after: Option<&str>) -> Result<ResentView, Failure> {
        match self {
            Self::Running(api, sink) => {
                let after = after.map_or(String::new(), |id| format!("&after={id}"));
                Ok(api.post(&path(sink, &format!("/resend?limit={STEP}{after}"))).await?)
            }
            Self::Stopped(store, sink) => {
                let after = after.map(|id| u128::from_str_radix(id, 16)).transpose();
                let after = after.map_err(Failure::of)?.map(|id| ProfileId(id.to_be_bytes()));
                let (resent, next) = store.resend_after(after, STEP).await.map_err(Failure::of)?;
                say_resent(&sink.name, None, resent, COMMAND);
                Ok(ResentView { resent, next: next.map(|id| id.to_string()) })
            }
        }
    }

    pub(super) async fn forget(
        &self,
        key: &str,
        how: Dismissal,
        erase: bool,
    ) -> Result<Forgotten, Failure> {
        match self {
            Self::Running(api, sink) => {
                let Dismissal { exit, suppress } = how;
                let how = format!("?exit={exit}&suppress={suppress}&erase={erase}");
                Ok(api.delete(&of_profile(sink, key, &how)).await?)
            }
            Self::Stopped(store, sink) => {
                let keys = sink.mapping.keys_named(key);
                let (id, mut forgotten) = store.forget(&keys, how).await.map_err(Failure::of)?;
                if forgotten.is_nothing() {
                    return Err(unknown(store, sink, key));
                }
                say_forgotten(&sink.name, id, &forgotten, COMMAND);
                // It will be stopped in a moment, which would do the same but could not say so.
                let erased = store.erase().await.map_err(|error| {
                    Failure::Other(format!(
                        "the profile is forgotten, but the store's files could not be rewritten: \
                         {error}; the next clean stop tries again"
                    ))
                })?;
                forgotten.erased = erased && !forgotten.leaving;
                Ok(forgotten)
            }
        }
    }

    pub(super) async fn unsuppress(&self, key: &str) -> Result<Unsuppressed, Failure> {
        match self {
            Self::Running(api, sink) => {
                Ok(api.delete(&of_profile(sink, key, "/suppression")).await?)
            }
            Self::Stopped(store, sink) => {
                let keys = sink.mapping.keys_named(key);
                let Some(id) = store.suppressed(&keys).map_err(Failure::of)? else {
                    return Ok(Unsuppressed { unsuppressed: false });
                };
                let unsuppressed = store.unsuppress(id).await.map_err(Failure::of)?;
                say_unsuppressed(&sink.name, id, COMMAND);
                Ok(Unsuppressed { unsuppressed })
            }
        }
    }

    /// Makes what was changed durable.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Running(..) => Ok(()),
            Self::Stopped(store, _) => store.stop().await.map_err(Failure::of),
        }
    }
}

fn unknown(store: &EmbeddedStore, sink: &SinkPlan, key: &str) -> Failure {
    match store.suppressed(&sink.mapping.keys_named(key)) {
        Ok(suppressed) => Failure::of(no_profile(suppressed.is_some())),
        Err(error) => Failure::of(error),
    }
}

/// The path of something of a profile. Dots are encoded too: a key of dots alone would be a step
/// up to some.
fn of_profile(sink: &SinkPlan, key: &str, rest: &str) -> String {
    let key = percent_encoded(key).replace('.', "%2E");
    path(sink, &format!("/profiles/{key}{rest}"))
}
