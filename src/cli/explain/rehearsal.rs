use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use profile_http::{
    clock::{Clock, Micros},
    config::SinkPlan,
    delivery::{
        AttemptError, AuthSettings, Deliver, Gate, Secret, SigningSettings, Trail, auth::AuthLayer,
        compose,
    },
    dispatch::{BatchSettings, ExportError, Exporter, unrenderable},
    profile::{Mapping, ProfileId, Projected, UpdateMode},
    record::Record,
    store::{
        Claim, Outcome, Settled, Store, StoreError, Triggers, Update, Verdict,
        embedded::{EmbeddedSettings, EmbeddedStore, SyncMode},
    },
    telemetry::Component,
};
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tower::{ServiceExt, service_fn};

use super::{
    changes::{self, Former},
    explanation::{Changes, Explanation, Segment, Sent},
    hide,
};
use crate::cli::Failure;

/// Rows that are kept in memory take no more than this.
const CACHE_BYTES: u64 = 1 << 20;

/// A sink that sends nothing: an empty store of its own, and a stack that ends before the wire.
pub(super) struct Rehearsal {
    mapping: Arc<Mapping>,
    auth: AuthSettings,
    store: EmbeddedStore,
    exporter: Exporter,
    stack: Deliver,
    /// What reached the end of the stack.
    sent: mpsc::UnboundedReceiver<Request<Bytes>>,
    clock: Clock,
    former: HashMap<ProfileId, Former>,
    /// Last, so that the store is let go before its directory.
    _dir: TempDir,
}

/// What was delivered.
struct Delivered {
    /// The profile JSON.
    export: Bytes,
    /// The body that carries it, before the stack may have compressed it.
    body: Bytes,
    /// The request as it came out of the stack.
    request: Request<Bytes>,
}

impl Rehearsal {
    pub(super) fn new(sink: &SinkPlan) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("profile-http-explain-").tempdir();
        let dir =
            dir.map_err(|error| Failure::other("cannot make a temporary directory", &error))?;
        let clock = Clock::system();
        let metrics = Component::detached();
        let mapping = Arc::clone(&sink.mapping);
        let settings = EmbeddedSettings {
            sync: SyncMode::Os,
            cache_bytes: CACHE_BYTES,
            ..EmbeddedSettings::default()
        };
        let store = EmbeddedStore::open(
            dir.path(),
            Arc::clone(&mapping),
            settings,
            clock.clone(),
            Arc::clone(&metrics),
        )
        .map_err(|error| failed(&error))?;
        let delivery = &sink.delivery;
        let mapped_at = Arc::new(store.mapped_at().clone());
        // The wire below answers without results.
        let batch = BatchSettings { results: None, ..sink.batch.clone() };
        let exporter = Exporter::new(Arc::clone(&mapping), mapped_at, store.store_id(), delivery)
            .batching(&batch, delivery);
        let (wire, sent) = mpsc::unbounded_channel();
        let gate = Gate::new(delivery.request.retry_after_max, Arc::clone(&metrics));
        let auth = AuthLayer::new(&stand_in(&delivery.auth), None).map_err(Failure::of)?;
        // At no pace: nobody is spared by waiting.
        let mut delivery = delivery.clone();
        delivery.request.rate_limit = None;
        delivery.signing = delivery.signing.as_ref().map(stand_in_keys);
        let stack = compose(
            &delivery,
            &gate,
            &metrics,
            auth,
            service_fn(move |request| {
                let taken = wire.send(request).map_err(|_| AttemptError::GateClosed);
                std::future::ready(taken.map(|()| Response::new(Bytes::new())))
            }),
        )
        .service;
        let auth = delivery.auth.clone();
        let former = HashMap::new();
        Ok(Self { mapping, auth, store, exporter, stack, sent, clock, former, _dir: dir })
    }

    /// Takes a record like the sink would, and delivers what is due by it.
    pub(super) async fn explain(&mut self, record: &Record) -> Result<Explanation, Failure> {
        let place = record.place.to_string();
        let mapping = Arc::clone(&self.mapping);
        let projected = match mapping.project(self.store.seed(), &record.json) {
            Ok(projected) => projected,
            Err(invalid) => return Ok(Explanation::invalid(place, invalid.reason)),
        };
        let received = self.clock.now();
        let verdict =
            self.apply(&projected, record, received).await.map_err(|error| failed(&error))?;
        let former = self.former.get(&projected.id);
        let known = former.map(|former| &former.known);
        // The store has done the same; it is done again to be shown.
        let merged = match mapping.update_mode() {
            UpdateMode::Snapshot => None,
            UpdateMode::Patch => Some(mapping.merge(known, &record.json, received)),
        };
        let merged = merged.transpose().map_err(Failure::of)?;
        let whole = merged.as_ref().map(|m| mapping.project_merged(self.store.seed(), m));
        let whole = whole.transpose().map_err(Failure::of)?;
        let state = whole.as_ref().unwrap_or(&projected);
        let kept = state.keep();
        let memberships = kept.memberships.clone();
        let mut explanation = Explanation {
            record: place.clone(),
            verdict: name(&verdict),
            reason: None,
            key: Some(projected.key().into()),
            followed: state.followed,
            consent: state.consent_values().into_iter().map(Into::into).collect(),
            segments: memberships.iter().map(|m| Segment::new(&mapping, m)).collect(),
            triggers: Vec::new(),
            changes: Changes::default(),
            compared_with: None,
            version_missing: projected.version_missing,
            unrenderable: None,
            request: None,
        };
        explanation.compared_with = former.map(|former| former.place.clone());
        match verdict {
            Verdict::Stale | Verdict::Suppressed => return Ok(explanation),
            Verdict::Invalid => {
                let reason = "profile.version is of another kind (number, timestamp) than the \
                              version that is known of this profile";
                explanation.reason = Some(reason.to_owned());
                return Ok(explanation);
            }
            Verdict::Changed(triggers) => explanation.triggers = triggers.names().collect(),
            Verdict::Unchanged | Verdict::NotFollowed => {}
        }
        if let Some(former) = former {
            let named = projected.keep().memberships;
            explanation.changes = changes::of_memberships(&mapping, former, &memberships, &named);
        }
        let known = mapping.advance(known, kept, received).known;
        let now = merged.as_ref().map_or(&record.json[..], |merged| &merged.record);
        let mut body = former.and_then(|former| former.body.clone());
        if let Verdict::Changed(triggers) = verdict {
            match self.deliver().await? {
                Ok(Delivered { export, body: framed, request }) => {
                    if let Some(former) = self.former.get(&projected.id) {
                        explanation.changes.name(triggers, &mapping, former, now, &export);
                    }
                    explanation.request = Some(self.shown(&request, &framed)?);
                    body = Some(export);
                }
                Err(unrenderable) => explanation.unrenderable = Some(unrenderable.to_string()),
            }
        }
        let record = Bytes::copy_from_slice(now);
        let former = Former { place, record, known, memberships, body };
        self.former.insert(projected.id, former);
        Ok(explanation)
    }

    /// Closes the store. That its directory goes next makes failures of no concern.
    pub(super) async fn close(self) {
        let _ = self.store.stop().await;
    }

    async fn apply(
        &self,
        projected: &Projected<'_>,
        record: &Record,
        received: Micros,
    ) -> Result<Verdict, StoreError> {
        let update = Update {
            id: projected.id,
            prints: projected.prints,
            followed: projected.followed,
            source_version: projected.source_version,
            received,
            record: record.json.clone(),
            kept: Some(projected.keep()),
        };
        let mut verdicts = self.store.apply(vec![update], Vec::new()).await?;
        Ok(verdicts.pop().expect("each update gets a verdict"))
    }

    /// Sends what is due through the stack.
    async fn deliver(&mut self) -> Result<Result<Delivered, ExportError>, Failure> {
        let claims = self.store.claim(1).await.map_err(|error| failed(&error))?;
        let [claim @ Claim { id, version, confirmed, known, .. }] = &claims.ready[..] else {
            return Err(Failure::of("what has changed is not due; this is a fault of the program"));
        };
        let export = self.exporter.export(known, *version, *confirmed);
        let mut body = Bytes::new();
        let outcome = match &export {
            Ok(export) => {
                let request = self.exporter.request(std::iter::once(export), &Trail::default());
                body = request.body().clone();
                self.stack.clone().oneshot(request).await.map_err(Failure::of)?;
                Outcome::Delivered
            }
            Err(error) => {
                let letter = unrenderable(claim, error.to_string(), self.clock.now());
                Outcome::Refused(Arc::new(letter))
            }
        };
        let settled = Settled { id: *id, version: *version, outcome, unknown: false };
        self.store.settle(vec![settled]).await.map_err(|error| failed(&error))?;
        Ok(export.map(|export| {
            let request = self.sent.try_recv();
            let request = request.expect("what was delivered has come out of the stack");
            Delivered { export: export.body, body, request }
        }))
    }

    fn shown(&self, request: &Request<Bytes>, body: &Bytes) -> Result<Sent, Failure> {
        let body = String::from_utf8_lossy(body).into_owned();
        Ok(Sent {
            method: request.method().to_string(),
            url: self.exporter.endpoint().shown(Some(request.uri()), hide::HIDDEN),
            headers: hide::headers(request.headers(), &self.auth),
            body: RawValue::from_string(body).map_err(Failure::of)?,
        })
    }
}

impl Changes {
    /// Names what the triggers speak of.
    fn name(
        &mut self,
        triggers: Triggers,
        mapping: &Mapping,
        former: &Former,
        record: &[u8],
        body: &[u8],
    ) {
        if triggers.contains(Triggers::ATTRIBUTE) {
            self.attributes = changes::of_attributes(mapping, former, record, body);
        }
        if triggers.contains(Triggers::IDENTITY) {
            (self.identities_added, self.identities_removed) = changes::of_identities(former, body);
        }
    }
}

/// What writes a credential where `auth` does, without its secrets: neither are files read nor is
/// a token fetched. What it writes is never shown.
fn stand_in(auth: &AuthSettings) -> AuthSettings {
    match auth {
        AuthSettings::None => AuthSettings::None,
        _ => AuthSettings::Bearer { token: Secret::Text("-".into()) },
    }
}

/// As many keys that sign, none of which has to be read. What they write is never shown.
fn stand_in_keys(signing: &SigningSettings) -> SigningSettings {
    // 32 zeros.
    let key = Secret::Text(format!("{}=", "A".repeat(43)).into());
    SigningSettings {
        secrets: signing.secrets.iter().map(|_| key.clone()).collect(),
        ed25519_key: signing.ed25519_key.as_ref().map(|_| key.clone()),
    }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Changed(_) => "changed",
        Verdict::Unchanged => "unchanged",
        Verdict::NotFollowed => "not_followed",
        Verdict::Stale => "stale",
        Verdict::Invalid => "invalid",
        Verdict::Suppressed => "suppressed",
    }
}

fn failed(error: &StoreError) -> Failure {
    Failure::other("cannot use the temporary directory", error)
}
