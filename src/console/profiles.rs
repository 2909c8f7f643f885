use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ApiError, Console, LetterView, shown_time};
use crate::{
    clock::Micros,
    profile::{MappedAt, Mapping, Membership, ProfileId, SourceVersion, Status},
    store::{Dismissal, Forgotten, Letter, ProfileState, Resent},
};

/// All that is known of a profile.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProfileView {
    /// The hash under which it is stored, which the log names.
    pub id: String,
    /// Its key.
    pub key: String,
    /// The path that the key was read from.
    pub key_path: String,
    /// Whether changes are exported.
    pub followed: bool,
    /// `given`, `refused` or `unknown` (until its next record says so), where `export.consent` asks.
    pub consent: Option<String>,
    /// Whether a version waits for delivery or is in flight.
    pub due: bool,
    /// Whether it is in flight.
    pub in_flight: bool,
    /// Whether it is forgotten once its last export has been answered.
    pub leaving: bool,
    /// Whether later records of it are ignored.
    pub suppressed: bool,
    /// Why it is due.
    pub triggers: Vec<String>,
    /// Since when it is due.
    pub due_since: Option<String>,
    /// Before when it is not delivered, because deliveries failed.
    pub not_before: Option<String>,
    /// Deliveries that failed since the last one that succeeded.
    pub failures: u32,
    /// The version that was made last.
    pub version: Option<u64>,
    /// The version that the endpoint confirmed last.
    pub confirmed: Option<u64>,
    /// The sender's version.
    pub source_version: Option<String>,
    /// Why its last version could not be delivered for good.
    pub dead_letter: Option<LetterView>,
    /// Every membership that is known.
    pub memberships: Vec<MembershipView>,
    /// What is kept of its last record: attributes and identities.
    pub kept: Box<RawValue>,
    /// What would be exported now.
    pub export: Option<Box<RawValue>>,
    /// Why nothing could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_error: Option<String>,
}

/// A membership that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipView {
    /// The segment namespace.
    pub namespace: String,
    /// The segment id.
    pub id: String,
    /// `realized`, `existing` or `exited`.
    pub status: String,
    /// Whether the segment is mapped.
    pub mapped: bool,
    /// When the profile qualified last.
    pub last_qualification_time: Option<String>,
    /// When the membership was first seen.
    pub created: String,
    /// When it was last seen to begin or to end.
    pub updated: String,
}

impl ProfileView {
    /// A profile under a mapping whose segments were mapped at these times.
    pub fn new(
        state: &ProfileState,
        suppressed: bool,
        mapping: &Mapping,
        mapped_at: &MappedAt,
    ) -> Self {
        let ProfileState { id, known, confirmed, version, .. } = state;
        let mut export = Vec::new();
        let exported = mapping.export(known, *confirmed, mapped_at, &mut export);
        let exported = exported.map_err(|error| error.to_string());
        let (export, export_error) = match exported.and_then(|()| raw(&export)) {
            Ok(export) => (Some(export), None),
            Err(error) => (None, Some(error)),
        };
        let letter = state.dead_letter.clone().map(|letter| {
            let key = Some(known.key.clone());
            LetterView::from(&Letter::Dead { id: *id, key, letter })
        });
        let time = |at: Micros| (at > 0).then(|| shown_time(at));
        Self {
            id: id.to_string(),
            key: known.key.text.clone(),
            key_path: known.key.path.clone(),
            followed: state.followed,
            consent: mapping.consent_of(known).ok().flatten().map(|consent| consent.name().into()),
            due: state.due,
            in_flight: state.in_flight,
            leaving: state.leaving,
            suppressed,
            triggers: if state.due {
                state.triggers.names().map(str::to_owned).collect()
            } else {
                Vec::new()
            },
            due_since: time(state.due_since).filter(|_| state.due),
            not_before: time(state.not_before).filter(|_| state.due),
            failures: state.failures,
            version: Some(*version).filter(|version| *version > 0),
            confirmed: Some(*confirmed).filter(|version| *version > 0),
            source_version: state.source_version.map(shown_version),
            dead_letter: letter,
            memberships: known
                .memberships
                .iter()
                .map(|membership| MembershipView::new(membership, mapping))
                .collect(),
            kept: raw(&known.document).unwrap_or_default(),
            export,
            export_error,
        }
    }
}

impl MembershipView {
    fn new(membership: &Membership, mapping: &Mapping) -> Self {
        let Membership { namespace, id, status, at, created, updated } = membership;
        let status = match status {
            Status::Realized => "realized",
            Status::Existing => "existing",
            Status::Exited => "exited",
        };
        Self {
            namespace: namespace.clone(),
            id: id.clone(),
            status: status.to_owned(),
            mapped: mapping.segment(namespace, id).is_some(),
            last_qualification_time: at
                .and_then(|at| jiff::Timestamp::from_microsecond(at).ok())
                .map(|at| at.to_string()),
            created: shown_time(*created),
            updated: shown_time(*updated),
        }
    }
}

/// How to forget a profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    #[serde(default)]
    exit: bool,
    #[serde(default)]
    suppress: bool,
    #[serde(default)]
    erase: bool,
}

/// Which profiles to send again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    after: Option<String>,
    limit: Option<u64>,
}

/// What became of the profiles that were to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResentView {
    /// How many are due, and how many are not followed.
    #[serde(flatten)]
    pub resent: Resent,
    /// What to go on with as `after`, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Whether the records of a profile had been ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsuppressed {
    /// Whether they are taken again, and were not before.
    pub unsuppressed: bool,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path((name, key)): Path<(String, String)>,
) -> Result<Json<ProfileView>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let mapping = sink.store.mapping();
    let keys = mapping.keys_named(&key);
    let suppressed = sink.store.suppressed(&keys)?.is_some();
    let Some(state) = sink.store.find(&keys).await? else {
        return Err(ApiError::NoProfile { suppressed });
    };
    Ok(Json(ProfileView::new(&state, suppressed, mapping, sink.store.mapped_at())))
}

pub(super) async fn forget(
    State(console): State<Arc<Console>>,
    Path((name, key)): Path<(String, String)>,
    Query(How { exit, suppress, erase }): Query<How>,
) -> Result<Json<Forgotten>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let keys = sink.store.mapping().keys_named(&key);
    let (id, mut forgotten) = sink.store.forget(&keys, Dismissal { exit, suppress }).await?;
    if forgotten.is_nothing() {
        let suppressed = sink.store.suppressed(&keys)?.is_some();
        return Err(ApiError::NoProfile { suppressed });
    }
    say_forgotten(&name, id, &forgotten, "api");
    if erase {
        // A last export still holds the profile's identities.
        let erased = sink.store.erase().await.map_err(|error| {
            ApiError::Unavailable(format!(
                "the profile is forgotten, but the store's files could not be rewritten: {error}; \
                 the next clean stop tries again"
            ))
        })?;
        forgotten.erased = erased && !forgotten.leaving;
    }
    Ok(Json(forgotten))
}

pub(super) async fn unsuppress(
    State(console): State<Arc<Console>>,
    Path((name, key)): Path<(String, String)>,
) -> Result<Json<Unsuppressed>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let keys = sink.store.mapping().keys_named(&key);
    let Some(id) = sink.store.suppressed(&keys)? else {
        return Ok(Json(Unsuppressed { unsuppressed: false }));
    };
    let unsuppressed = sink.store.unsuppress(id).await?;
    say_unsuppressed(&name, id, "api");
    Ok(Json(Unsuppressed { unsuppressed }))
}

pub(super) async fn resend(
    State(console): State<Arc<Console>>,
    Path((name, key)): Path<(String, String)>,
) -> Result<Json<Resent>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let keys = sink.store.mapping().keys_named(&key);
    let Some(state) = sink.store.find(&keys).await? else {
        let suppressed = sink.store.suppressed(&keys)?.is_some();
        return Err(ApiError::NoProfile { suppressed });
    };
    let resent = sink.store.resend(state.id).await?;
    say_resent(&name, Some(state.id), resent, "api");
    Ok(Json(resent))
}

pub(super) async fn resend_all(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    Query(Which { after, limit }): Query<Which>,
) -> Result<Json<ResentView>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let after = after.as_deref().map(read_id).transpose()?;
    let (resent, next) = sink.store.resend_after(after, limit.unwrap_or(u64::MAX)).await?;
    say_resent(&name, None, resent, "api");
    Ok(Json(ResentView { resent, next: next.map(|id| id.to_string()) }))
}

/// Writes into the log that a profile was forgotten, without saying who it was.
pub fn say_forgotten(sink: &str, profile: ProfileId, forgotten: &Forgotten, by: &str) {
    let Forgotten { known, leaving, invalid_records, answers, suppressed, .. } = *forgotten;
    tracing::info!(
        sink, %profile, by, known, leaving, suppressed, invalid_records, answers,
        "a profile was forgotten by hand"
    );
}

/// Writes into the log that records of a profile are taken again.
pub fn say_unsuppressed(sink: &str, profile: ProfileId, by: &str) {
    tracing::info!(sink, %profile, by, "records of a suppressed profile are taken again, by hand");
}

/// Writes into the log that a profile, or all of them, were sent again.
pub fn say_resent(sink: &str, profile: Option<ProfileId>, resent: Resent, by: &str) {
    let Resent { resent, not_followed } = resent;
    let profile = profile.map(|profile| profile.to_string());
    tracing::info!(sink, profile, by, resent, not_followed, "profiles are sent again, by hand");
}

fn read_id(text: &str) -> Result<ProfileId, ApiError> {
    let id = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten();
    let id = id.map(|id| ProfileId(id.to_be_bytes()));
    id.ok_or_else(|| ApiError::Request(format!("`after={text}` is not what an answer had as next")))
}

fn raw(json: &[u8]) -> Result<Box<RawValue>, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// A sender's version as a sender would write it.
fn shown_version(version: SourceVersion) -> String {
    match version {
        SourceVersion::Time(nanos) => match jiff::Timestamp::from_nanosecond(nanos) {
            Ok(at) => at.to_string(),
            Err(_) => nanos.to_string(),
        },
        SourceVersion::Number(billionths) => {
            const UNIT: u128 = 1_000_000_000;
            let sign = if billionths < 0 { "-" } else { "" };
            let (whole, part) =
                (billionths.unsigned_abs() / UNIT, billionths.unsigned_abs() % UNIT);
            let text = format!("{sign}{whole}.{part:09}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_version_is_shown_as_it_would_be_written() {
        let number = |billionths| shown_version(SourceVersion::Number(billionths));
        assert_eq!(number(17_000_000_000), "17");
        assert_eq!(number(-1_500_000_000), "-1.5");
        assert_eq!(number(0), "0");
        assert_eq!(number(100_000_000_000), "100");
        let time = SourceVersion::Time(1_704_164_645_500_000_000);
        assert_eq!(shown_version(time), "2024-01-02T03:04:05.5Z");
    }
}
