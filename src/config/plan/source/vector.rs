use super::{GIB, KIB, Section, SourceKind, listen};

pub(super) fn read(section: &mut Section<'_>) -> Option<SourceKind> {
    let listen = listen::read(section, "127.0.0.1:9000");
    let max_message_bytes = section.number("max_message_bytes", KIB..=GIB).unwrap_or(100 << 20);
    Some(SourceKind::Vector { listen: listen?, max_message_bytes })
}
