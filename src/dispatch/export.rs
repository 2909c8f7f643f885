//! One claim: rendered, sent through the stack, and what came back.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    clock::Micros,
    delivery::{AttemptError, IdempotencyKey, ProfileVersion, Trail},
    profile::{Invalid, Known, MappedAt, Mapping, ProfileId, ProfileKey},
    store::Claim,
};

/// Renders claims into requests.
#[derive(Clone)]
pub struct Exporter {
    /// The mapping of the sink.
    pub mapping: Arc<Mapping>,
    /// When its segments were mapped.
    pub mapped_at: Arc<MappedAt>,
    /// The random number of the store that goes into idempotency keys.
    pub store_id: u128,
    /// Where exports go.
    pub endpoint: Uri,
    /// How they are sent.
    pub method: Method,
}

/// A version as it is sent.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The request, without what the layers of the stack add.
    pub request: Request<Bytes>,
    /// What happens on its way.
    pub trail: Trail,
}

impl Exporter {
    /// The request that carries `version` of a profile.
    ///
    /// Fails if what is kept of it cannot be read.
    pub fn render(
        &self,
        known: &Known,
        version: u64,
        confirmed: u64,
        trail: Trail,
    ) -> Result<Rendered, Invalid> {
        let mut body = Vec::with_capacity(known.document.len() + 512);
        self.mapping.export(known, confirmed, &self.mapped_at, &mut body)?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.endpoint.clone();
        let key = idempotency_key(self.store_id, &known.key, version);
        request.extensions_mut().insert(key);
        request.extensions_mut().insert(ProfileVersion(version));
        request.extensions_mut().insert(trail.clone());
        Ok(Rendered { request, trail })
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
        rendered: &Rendered,
    ) -> impl FnOnce(Result<Response<Bytes>, AttemptError>) -> Self + use<> {
        let (id, version, failures) = (claim.id, claim.version, claim.failures);
        let (due_since, trail) = (claim.due_since, rendered.trail.clone());
        let trigger = claim.triggers.names().next().unwrap_or("none");
        let body_bytes = rendered.request.body().len();
        move |result| Self { id, version, failures, due_since, trigger, body_bytes, trail, result }
    }
}
