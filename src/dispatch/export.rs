//! Claims rendered, the requests that carry them, and what came back.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use xxhash_rust::xxh3::Xxh3;

use super::{
    batch::{BatchSettings, Framing, Parcel},
    target::{ExportError, Target, Targets},
};
use crate::{
    delivery::{
        AttemptError, DeliverySettings, IdempotencyKey, ProfileVersion, Trail,
        results::{Expected, ItemResult, Results, ResultsPointer},
    },
    endpoint::template::UrlTemplate,
    profile::{Known, MappedAt, Mapping, ProfileKey},
};

/// Renders what is known of profiles into exports, and exports into requests.
#[derive(Clone)]
pub struct Exporter {
    /// Absent where each export is a request of its own.
    batches: Option<Batches>,
    mapping: Arc<Mapping>,
    mapped_at: Arc<MappedAt>,
    store_id: u128,
    endpoint: UrlTemplate,
    targets: Targets,
    method: Method,
}

/// How exports share requests.
#[derive(Clone)]
struct Batches {
    framing: Framing,
    content_type: Option<HeaderValue>,
    results: Option<ResultsPointer>,
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
        Self { batches: None, mapping, mapped_at, store_id, endpoint, targets, method }
    }

    /// The same exporter, whose requests may carry several exports each and are framed, also those
    /// that carry one. Does nothing where `settings` allow one profile a request. A `Content-Type`
    /// among the custom headers stays.
    pub fn batching(mut self, settings: &BatchSettings, delivery: &DeliverySettings) -> Self {
        self.batches = (settings.max_profiles > 1).then(|| {
            let content_type = settings.framing.content_type();
            let templates = &delivery.header_templates;
            let own = delivery.headers.contains_key(CONTENT_TYPE)
                || templates.iter().any(|header| header.name == CONTENT_TYPE);
            Batches {
                framing: settings.framing.clone(),
                content_type: (!own).then(|| HeaderValue::from_static(content_type)),
                results: settings.results.clone(),
            }
        });
        self
    }

    /// How several exports are put into a request, if they are.
    pub(super) fn framing(&self) -> Option<&Framing> {
        self.batches.as_ref().map(|batches| &batches.framing)
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

    /// The request that carries exports, without what the layers of the stack add.
    ///
    /// # Panics
    ///
    /// If there are none, or several where each is to be a request of its own.
    pub fn request<'a>(
        &self,
        exports: impl ExactSizeIterator<Item = &'a Export> + Clone,
        trail: &Trail,
    ) -> Request<Bytes> {
        let first = exports.clone().next().expect("a request carries an export");
        let Some(batches) = &self.batches else {
            assert_eq!(exports.len(), 1, "what is not framed carries one export");
            let mut request = self.to(&first.target, first.body.clone(), trail);
            request.extensions_mut().insert(first.key);
            request.extensions_mut().insert(ProfileVersion(first.version));
            return request;
        };
        let body = batches.framing.body(exports.clone());
        let mut request = self.to(&first.target, body, trail);
        if let Some(content_type) = &batches.content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        let expected = Expected { items: exports.len(), at: batches.results.clone() };
        request.extensions_mut().insert(expected);
        request.extensions_mut().insert(batch_key(exports));
        request
    }

    fn to(&self, target: &Target, body: Bytes, trail: &Trail) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target.uri.clone();
        for (name, value) in &target.headers {
            request.headers_mut().insert(name, value.clone());
        }
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

/// The hash of the keys of exports, in their order: of the store's id, and of the profile keys and
/// versions. The same for each attempt of the same batch.
fn batch_key<'a>(exports: impl Iterator<Item = &'a Export>) -> IdempotencyKey {
    let mut hash = Xxh3::new();
    for export in exports {
        hash.update(&export.key.0.to_le_bytes());
    }
    IdempotencyKey(hash.digest128())
}

/// A request that has come back from the stack.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) parcel: Parcel,
    /// Bytes of its body.
    pub(super) bytes: usize,
    pub(super) trail: Trail,
    pub(super) result: Result<Response<Bytes>, AttemptError>,
}

impl Finished {
    /// What the answer says about each of its profiles, where it does.
    pub(super) fn results(&self) -> Option<&[ItemResult]> {
        let Results(results) = self.result.as_ref().ok()?.extensions().get()?;
        Some(results)
    }
}
