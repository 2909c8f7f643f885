//! One claim: rendered, sent through the stack, and what came back.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use xxhash_rust::xxh3::Xxh3;

use super::target::{ExportError, Target, Targets};
use crate::{
    clock::Micros,
    delivery::{AttemptError, DeliverySettings, IdempotencyKey, ProfileVersion, Trail},
    endpoint::template::UrlTemplate,
    profile::{Known, MappedAt, Mapping, ProfileId, ProfileKey},
    store::Claim,
};

/// Renders what is known of profiles into exports, and exports into requests.
#[derive(Clone)]
pub struct Exporter {
    mapping: Arc<Mapping>,
    mapped_at: Arc<MappedAt>,
    store_id: u128,
    endpoint: UrlTemplate,
    targets: Targets,
    method: Method,
}

/// A version of a profile as it is exported.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where it goes.
    pub target: Target,
    /// The profile JSON.
    pub body: Bytes,
    /// The version.
    pub version: u64,
    /// The hash of store id, profile key and version.
    pub key: IdempotencyKey,
}

impl Exporter {
    /// An exporter for a sink. `mapped_at` and `store_id` are those of its store: when its segments
    /// were mapped, and the random number that goes into idempotency keys.
    pub fn new(
        mapping: Arc<Mapping>,
        mapped_at: Arc<MappedAt>,
        store_id: u128,
        settings: &DeliverySettings,
    ) -> Self {
        let targets = Targets::new(settings, &mapping);
        let (endpoint, method) = (settings.endpoint.clone(), settings.method.clone());
        Self { mapping, mapped_at, store_id, endpoint, targets, method }
    }

    /// Where exports go.
    pub fn endpoint(&self) -> &UrlTemplate {
        &self.endpoint
    }

    /// What is sent of `version` of a profile.
    ///
    /// Fails if what is kept of it cannot be read, or a template cannot be filled in from it.
    pub fn export(
        &self,
        known: &Known,
        version: u64,
        confirmed: u64,
    ) -> Result<Export, ExportError> {
        let target = self.targets.of(known)?;
        let mut body = Vec::with_capacity(known.document.len() + 512);
        self.mapping.export(known, confirmed, &self.mapped_at, &mut body)?;
        let key = idempotency_key(self.store_id, &known.key, version);
        Ok(Export { target, body: body.into(), version, key })
    }

    /// The request that carries an export, without what the layers of the stack add.
    pub fn request(&self, export: &Export, trail: &Trail) -> Request<Bytes> {
        let mut request = Request::new(export.body.clone());
        *request.method_mut() = self.method.clone();
        export.target.address(&mut request);
        request.extensions_mut().insert(export.key);
        request.extensions_mut().insert(ProfileVersion(export.version));
        request.extensions_mut().insert(trail.clone());
        request
    }
}

/// The hash of store id, key and version, the same for each attempt of a version.
pub fn idempotency_key(store_id: u128, key: &ProfileKey, version: u64) -> IdempotencyKey {
    let mut hash = Xxh3::new();
    hash.update(&store_id.to_le_bytes());
    for part in [&key.path, &key.text] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(&version.to_le_bytes());
    IdempotencyKey(hash.digest128())
}

/// A claim that has come back from the stack.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) id: ProfileId,
    pub(super) version: u64,
    pub(super) failures: u32,
    pub(super) due_since: Micros,
    pub(super) trigger: &'static str,
    pub(super) body_bytes: usize,
    pub(super) trail: Trail,
    pub(super) result: Result<Response<Bytes>, AttemptError>,
}

impl Finished {
    pub(super) fn new(
        claim: &Claim,
        export: &Export,
        trail: Trail,
    ) -> impl FnOnce(Result<Response<Bytes>, AttemptError>) -> Self + use<> {
        let (id, version, failures) = (claim.id, claim.version, claim.failures);
        let due_since = claim.due_since;
        let trigger = claim.triggers.names().next().unwrap_or("none");
        let body_bytes = export.body.len();
        move |result| Self { id, version, failures, due_since, trigger, body_bytes, trail, result }
    }
}
