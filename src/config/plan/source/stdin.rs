use super::{GIB, KIB, Section, SourceKind};

#[expect(clippy::unnecessary_wraps, reason = "one signature for the options of every source")]
pub(super) fn read(section: &mut Section<'_>) -> Option<SourceKind> {
    let max_line_bytes = section.number("max_line_bytes", KIB..=GIB).unwrap_or(16 << 20);
    Some(SourceKind::Stdin { max_line_bytes })
}
