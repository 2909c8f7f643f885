use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{ApiError, Console, shown_time};
use crate::store::{
    DeadLetter, InvalidRecord, Letter, LetterId, Replayed, StoreError,
    embedded::{EmbeddedStore, Letters, Page},
};

/// Letters of a page where the caller does not say.
const PAGE: usize = 100;

/// Letters of a page at most.
pub const MAX_PAGE: usize = 1000;

/// A dead letter or an invalid record. Answer, headers and record stand only where one letter is
/// asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LetterView {
    /// Its name.
    pub id: String,
    /// `refused`, `unrenderable` or `invalid_record`.
    pub kind: String,
    /// The key of its profile, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The path that the key was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    /// The source of an invalid record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where in its batch the record stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The version that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The request id of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What happened.
    pub reason: String,
    /// Attempts that were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Since when the profile had been due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_since: Option<String>,
    /// When it was refused, or when the record arrived.
    pub at: String,
    /// Headers of the answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The first 4 KiB of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The first 4 KiB of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// Some of the letters of a sink, latest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterList {
    /// The letters.
    pub letters: Vec<LetterView>,
    /// What to ask for with `before` to get the next ones, if there are more.
    pub next: Option<String>,
    /// How many dead letters there are in all.
    pub dead_letters: u64,
    /// How many invalid records there are in all.
    pub invalid_records: u64,
}

/// How many letters were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many.
    pub dropped: u64,
}

impl LetterView {
    /// A letter but for what may be long.
    fn brief(letter: &Letter) -> Self {
        let id = letter.id().to_string();
        let at = shown_time(letter.at());
        match letter {
            Letter::Dead { key, letter, .. } => {
                let DeadLetter { kind, version, status, request_id, reason, .. } = letter;
                Self {
                    id,
                    kind: kind.name().to_owned(),
                    key: key.as_ref().map(|key| key.text.clone()),
                    key_path: key.as_ref().map(|key| key.path.clone()),
                    version: Some(*version),
                    status: Some(*status).filter(|status| *status > 0),
                    request_id: request_id.clone(),
                    reason: reason.clone(),
                    attempts: Some(letter.attempts),
                    due_since: Some(shown_time(letter.due_since)),
                    at,
                    ..Self::default()
                }
            }
            Letter::Invalid { record, .. } => {
                let InvalidRecord { source, place, reason, .. } = record;
                Self {
                    id,
                    kind: "invalid_record".to_owned(),
                    source: Some(source.clone()),
                    place: Some(place.clone()),
                    reason: reason.clone(),
                    at,
                    ..Self::default()
                }
            }
        }
    }
}

/// A letter with all that is kept of it.
impl From<&Letter> for LetterView {
    fn from(letter: &Letter) -> Self {
        let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
        let brief = Self::brief(letter);
        match letter {
            Letter::Dead { letter, .. } => Self {
                headers: letter.headers.iter().cloned().collect(),
                // Without a status there was no answer.
                answer: brief.status.and_then(|_| text(&letter.answer)),
                ..brief
            },
            Letter::Invalid { record, .. } => Self { record: text(&record.excerpt), ..brief },
        }
    }
}

impl From<&Page> for LetterList {
    fn from(page: &Page) -> Self {
        Self {
            letters: page.letters.iter().map(LetterView::brief).collect(),
            next: page.next.map(|next| next.to_string()),
            dead_letters: page.dead_letters,
            invalid_records: page.invalid_records,
        }
    }
}

/// Which letters to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    limit: Option<usize>,
    before: Option<String>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<LetterList>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let limit = which.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::Request(format!("`limit` lies between 1 and {MAX_PAGE}")));
    }
    let before = which.before.map(|before| before.parse()).transpose()?;
    let page = read(&sink.store, move |letters| letters.page(before, limit)).await?;
    Ok(Json(LetterList::from(&page)))
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<LetterView>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let letter_id = id.parse()?;
    let letter = read(&sink.store, move |letters| letters.get(letter_id)).await?;
    letter.map(|letter| Json(LetterView::from(&letter))).ok_or(ApiError::NoLetter(id))
}

pub(super) async fn replay(
    State(console): State<Arc<Console>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Replayed>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let LetterId::Profile(profile) = id.parse()? else { return Err(ApiError::NotReplayable(id)) };
    let replayed = sink.store.replay(vec![profile]).await?;
    if replayed.missing > 0 {
        return Err(ApiError::NoLetter(id));
    }
    say_replayed(&name, replayed);
    Ok(Json(replayed))
}

pub(super) async fn replay_all(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
) -> Result<Json<Replayed>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let replayed = sink.store.replay_all().await?;
    say_replayed(&name, replayed);
    Ok(Json(replayed))
}

pub(super) async fn discard(
    State(console): State<Arc<Console>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Dropped>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let dropped = sink.store.discard(vec![id.parse()?]).await?;
    if dropped == 0 {
        return Err(ApiError::NoLetter(id));
    }
    say_dropped(&name, dropped);
    Ok(Json(Dropped { dropped }))
}

pub(super) async fn discard_all(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
) -> Result<Json<Dropped>, ApiError> {
    let (_, sink) = console.sink(&name)?;
    let dropped = sink.store.discard_all().await?;
    say_dropped(&name, dropped);
    Ok(Json(Dropped { dropped }))
}

fn say_replayed(sink: &str, replayed: Replayed) {
    let Replayed { replayed, not_followed, .. } = replayed;
    tracing::info!(sink, replayed, not_followed, "dead letters are sent again, by hand");
}

fn say_dropped(sink: &str, dropped: u64) {
    tracing::info!(sink, dropped, "dead letters were dropped by hand");
}

/// Reads from the disk without holding up the runtime.
async fn read<T: Send + 'static>(
    store: &EmbeddedStore,
    read: impl FnOnce(&Letters) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    let letters = store.letters();
    match spawn_blocking(move || read(&letters)).await {
        Ok(read) => Ok(read?),
        Err(error) => {
            tracing::error!(%error, "reading dead letters failed");
            Err(ApiError::Failed)
        }
    }
}
