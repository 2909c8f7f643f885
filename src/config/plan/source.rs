use std::net::SocketAddr;

use super::Section;

/// A source that will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePlan {
    /// Its name, by which sinks refer to it.
    pub name: String,
    /// What it reads from.
    pub kind: SourceKind,
}

/// What a source reads from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// NDJSON on standard input.
    Stdin {
        /// The longest line that is taken.
        max_line_bytes: usize,
    },
    /// HTTP requests.
    HttpServer {
        /// Where it listens.
        address: SocketAddr,
        /// The largest body that is taken, measured after decompression.
        max_body_bytes: usize,
    },
}

const KIB: i128 = 1 << 10;
const GIB: i128 = 1 << 30;

type KindReader = fn(&mut Section<'_>) -> Option<SourceKind>;

/// The types of sources, and how the options of each are read.
const TYPES: [(&str, KindReader); 2] = [("stdin", stdin), ("http_server", http_server)];

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

#[expect(clippy::unnecessary_wraps, reason = "one signature for the options of every source")]
fn stdin(section: &mut Section<'_>) -> Option<SourceKind> {
    let max_line_bytes = section.number("max_line_bytes", KIB..=GIB).unwrap_or(16 << 20);
    Some(SourceKind::Stdin { max_line_bytes })
}

fn http_server(section: &mut Section<'_>) -> Option<SourceKind> {
    let address = section.required::<SocketAddr>("address", "127.0.0.1:8080");
    let max_body_bytes = section.number("max_body_bytes", KIB..=GIB).unwrap_or(100 << 20);
    Some(SourceKind::HttpServer { address: address?.value, max_body_bytes })
}
