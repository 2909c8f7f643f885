//! Sources: one file for the options of each type, and what listening ones have in common.

mod fluent;
mod http_server;
mod listen;
mod opentelemetry;
mod stdin;
mod vector;

use super::Section;
use crate::{
    config::problem::Problem,
    source::{
        fluent::Settings as FluentSettings, http_server::Settings as HttpSettings,
        opentelemetry::ProfileFrom,
    },
};
pub use listen::Listen;

/// A source that will run.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Its name, by which sinks refer to it.
    pub name: String,
    /// What it reads from.
    pub kind: SourceKind,
}

/// What a source reads from.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// NDJSON on standard input.
    Stdin {
        /// The longest line that is taken.
        max_line_bytes: usize,
    },
    /// HTTP requests.
    HttpServer {
        /// Where it listens.
        listen: Listen,
        /// What it takes, and from whom.
        settings: HttpSettings,
    },
    /// Fluentd's forward protocol.
    Fluent {
        /// Where it listens.
        listen: Listen,
        /// What it takes, and from whom.
        settings: FluentSettings,
    },
    /// Calls of Vector's `vector` sink.
    Vector {
        /// Where it listens.
        listen: Listen,
        /// The largest message that is taken, measured after decompression.
        max_message_bytes: usize,
    },
    /// Logs in OTLP over HTTP.
    OpenTelemetry {
        /// Where it listens.
        listen: Listen,
        /// Which part of a log record is the profile.
        profile_from: ProfileFrom,
        /// The largest body that is taken, measured after decompression.
        max_body_bytes: usize,
    },
}

impl SourceKind {
    /// The `type` of the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stdin { .. } => "stdin",
            Self::HttpServer { .. } => "http_server",
            Self::Fluent { .. } => "fluent",
            Self::Vector { .. } => "vector",
            Self::OpenTelemetry { .. } => "opentelemetry",
        }
    }

    /// Whether it can be reached from elsewhere, by senders that have to prove nothing.
    fn admits_anyone(&self) -> bool {
        let guarded = match self {
            Self::HttpServer { settings, .. } => settings.auth.is_some(),
            Self::Fluent { settings, .. } => settings.security.is_some(),
            _ => false,
        };
        self.listen().is_some_and(|listen| {
            let asks = listen.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
            !listen.address.ip().is_loopback() && !asks && !guarded
        })
    }

    /// What would keep others out.
    fn guard(&self) -> &'static str {
        match self {
            Self::HttpServer { .. } => {
                "set `auth`, or `tls` with `verify_client`, unless the network keeps others out"
            }
            Self::Fluent { .. } => {
                "set `shared_key`, or `tls` with `verify_client`, unless the network keeps others out"
            }
            _ => "set `tls` with `verify_client: true`, unless the network keeps others out",
        }
    }

    /// Where it listens, if it does.
    pub fn listen(&self) -> Option<&Listen> {
        match self {
            Self::Stdin { .. } => None,
            Self::HttpServer { listen, .. }
            | Self::Fluent { listen, .. }
            | Self::Vector { listen, .. }
            | Self::OpenTelemetry { listen, .. } => Some(listen),
        }
    }
}

const KIB: i128 = 1 << 10;
const GIB: i128 = 1 << 30;

type KindReader = fn(&mut Section<'_>) -> Option<SourceKind>;

/// The types of sources, and how the options of each are read.
const TYPES: [(&str, KindReader); 5] = [
    ("stdin", stdin::read),
    ("http_server", http_server::read),
    ("fluent", fluent::read),
    ("vector", vector::read),
    ("opentelemetry", opentelemetry::read),
];

/// Reads a source.
pub(super) fn read(name: String, mut section: Section<'_>) -> Option<SourcePlan> {
    if !section.has("type") {
        section.missing("type", "http_server");
        return None;
    }
    let read_kind: KindReader = section.choice("type", &TYPES)?;
    let kind = read_kind(&mut section);
    if kind.as_ref().is_some_and(SourceKind::admits_anyone) {
        section.findings().warn(
            Problem::at(section.place(), "whoever reaches this address may send profiles")
                .help(kind.as_ref().map_or("", SourceKind::guard)),
        );
    }
    section.finish();
    Some(SourcePlan { name, kind: kind? })
}
