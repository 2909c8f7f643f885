//! Sources: one file for the options of each type, and what listening ones have in common.

mod fluent;
mod http_server;
mod listen;
mod opentelemetry;
mod stdin;
mod vector;

use super::Section;
use crate::source::{
    fluent::Settings as FluentSettings, http_server::Settings as HttpSettings,
    opentelemetry::ProfileFrom,
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
    section.finish();
    Some(SourcePlan { name, kind: kind? })
}
