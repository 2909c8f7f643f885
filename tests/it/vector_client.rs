//! A client of Vector's protocol: tonic over definitions of its own.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use http::uri::PathAndQuery;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tonic::{Request, Status, body::Body, client::Grpc, codec::CompressionEncoding};
use tonic_prost::ProstCodec;

type Https = hyper_rustls::HttpsConnector<HttpConnector>;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PushEvents {
    #[prost(message, repeated, tag = "1")]
    pub(crate) events: Vec<EventWrapper>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EventWrapper {
    #[prost(oneof = "Event", tags = "1, 2, 3")]
    pub(crate) event: Option<Event>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Event {
    #[prost(message, tag = "1")]
    Log(Log),
    #[prost(message, tag = "2")]
    Metric(Metric),
    #[prost(message, tag = "3")]
    Trace(Log),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Log {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) fields: BTreeMap<String, Value>,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<Value>,
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata_full: Option<Metadata>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Metadata {
    #[prost(string, optional, tag = "4")]
    pub(crate) source_type: Option<String>,
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) source_event_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Metric {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 4, 5, 6, 7, 8, 9")]
    pub(crate) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Kind {
    #[prost(bytes, tag = "1")]
    RawBytes(Vec<u8>),
    #[prost(message, tag = "2")]
    Timestamp(Timestamp),
    #[prost(int64, tag = "4")]
    Integer(i64),
    #[prost(double, tag = "5")]
    Float(f64),
    #[prost(bool, tag = "6")]
    Boolean(bool),
    #[prost(message, tag = "7")]
    Map(ValueMap),
    #[prost(message, tag = "8")]
    Array(ValueArray),
    #[prost(int32, tag = "9")]
    Null(i32),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ValueMap {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) fields: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ValueArray {
    #[prost(message, repeated, tag = "1")]
    pub(crate) items: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Nothing {}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

/// A value of Vector's for one of JSON.
impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        Self::from(match value {
            Json::Null => Kind::Null(0),
            Json::Bool(value) => Kind::Boolean(value),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Kind::Integer(integer),
                None => Kind::Float(number.as_f64().unwrap()),
            },
            Json::String(text) => Kind::RawBytes(text.into_bytes()),
            Json::Array(items) => {
                Kind::Array(ValueArray { items: items.into_iter().map(Self::from).collect() })
            }
            Json::Object(fields) => Kind::Map(ValueMap { fields: fields_of(fields) }),
        })
    }
}

fn fields_of(object: serde_json::Map<String, serde_json::Value>) -> BTreeMap<String, Value> {
    object.into_iter().map(|(key, value)| (key, value.into())).collect()
}

/// A log event as Vector sends one whose root is this object.
pub(crate) fn log(fields: impl IntoIterator<Item = (String, Value)>) -> EventWrapper {
    let metadata =
        Metadata { source_type: Some("demo_logs".to_owned()), source_event_id: vec![0xff; 16] };
    let fields = fields.into_iter().collect();
    let log = Log { fields, value: None, metadata_full: Some(metadata) };
    EventWrapper { event: Some(Event::Log(log)) }
}

/// The same for an object in JSON.
pub(crate) fn log_of(json: &str) -> EventWrapper {
    log(fields_of(serde_json::from_str(json).unwrap()))
}

/// The same event under an id of its own.
pub(crate) fn identified(mut event: EventWrapper, id: u64) -> EventWrapper {
    if let Some(Event::Log(Log { metadata_full: Some(metadata), .. })) = &mut event.event {
        metadata.source_event_id = [id.to_be_bytes(), [0; 8]].concat();
    }
    event
}

/// Calls the source as Vector's sink does. Clones share a connection.
#[derive(Clone)]
pub(crate) struct VectorClient(Grpc<Client<Https, Body>>);

impl VectorClient {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::with(&format!("http://{address}"), RootCertStore::empty())
    }

    /// Over TLS, to a server that the authority in `ca_file` knows as localhost.
    pub(crate) fn over_tls(address: SocketAddr, ca_file: &Path) -> Self {
        let mut authorities = RootCertStore::empty();
        authorities.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
        Self::with(&format!("https://localhost:{}", address.port()), authorities)
    }

    fn with(origin: &str, authorities: RootCertStore) -> Self {
        let provider = profile_http::endpoint::tls::provider();
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::new(authorities))
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http2()
            .build();
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
        Self(Grpc::with_origin(client, origin.parse().unwrap()))
    }

    pub(crate) fn compressed(self, encoding: CompressionEncoding) -> Self {
        Self(self.0.send_compressed(encoding))
    }

    pub(crate) async fn push(&self, events: Vec<EventWrapper>) -> Result<(), Status> {
        self.call("/vector.Vector/PushEvents", PushEvents { events }).await
    }

    pub(crate) async fn health(&self) -> Result<(), Status> {
        self.call("/vector.Vector/HealthCheck", PushEvents::default()).await
    }

    async fn call(&self, path: &'static str, message: PushEvents) -> Result<(), Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<PushEvents, Nothing>::default();
        let path = PathAndQuery::from_static(path);
        grpc.unary(Request::new(message), path, codec).await.map(drop)
    }
}
