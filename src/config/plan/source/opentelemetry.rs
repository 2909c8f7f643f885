use super::{GIB, KIB, Section, SourceKind, listen};
use crate::source::opentelemetry::ProfileFrom;

pub(super) fn read(section: &mut Section<'_>) -> Option<SourceKind> {
    let listen = listen::read(section, "127.0.0.1:4318");
    let parts = [("body", ProfileFrom::Body), ("attributes", ProfileFrom::Attributes)];
    let profile_from = section.choice("profile_from", &parts).unwrap_or(ProfileFrom::Body);
    let max_body_bytes = section.number("max_body_bytes", KIB..=GIB).unwrap_or(100 << 20);
    Some(SourceKind::OpenTelemetry { listen: listen?, profile_from, max_body_bytes })
}
