use super::{GIB, KIB, Section, SourceKind, listen};

pub(super) fn read(section: &mut Section<'_>) -> Option<SourceKind> {
    let listen = listen::read(section, "127.0.0.1:8080");
    let max_body_bytes = section.number("max_body_bytes", KIB..=GIB).unwrap_or(100 << 20);
    Some(SourceKind::HttpServer { listen: listen?, max_body_bytes })
}
