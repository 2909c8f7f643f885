use std::path::PathBuf;

use super::{NeedKind, Section};
use crate::{
    config::{problem::Problem, written::Value},
    delivery::{TlsSettings, TlsVersion},
};

/// Reads the `tls` of a section.
pub(super) fn read(parent: &mut Section<'_>) -> TlsSettings {
    let mut settings = TlsSettings::default();
    let Some(mut section) = parent.section("tls") else { return settings };
    if let Some(file) = section.located::<PathBuf>("ca_file") {
        section.findings().need(&file.place, NeedKind::Certificates(file.value.clone()));
        settings.ca_file = Some(file.value);
    }
    if let Some(version) = version(&mut section) {
        settings.min_version = version;
    }
    if let Some(verify) = section.located::<bool>("verify_certificate") {
        settings.skip_verification = !verify.value;
        if !verify.value {
            section.findings().warn(
                Problem::at(&verify.place, "anyone on the way can pose as the endpoint")
                    .help("name the authority that signed its certificate in `ca_file` instead"),
            );
        }
    }
    section.finish();
    settings
}

/// Reads `min_version`, which YAML takes for a number unless it is quoted.
fn version(section: &mut Section<'_>) -> Option<TlsVersion> {
    let node = section.take("min_version")?.value;
    let version = match &node.value {
        Value::Float(1.2) => Some(TlsVersion::V1_2),
        Value::Float(1.3) => Some(TlsVersion::V1_3),
        Value::Text(text) if text.text == "1.2" => Some(TlsVersion::V1_2),
        Value::Text(text) if text.text == "1.3" => Some(TlsVersion::V1_3),
        _ => None,
    };
    if version.is_none() {
        section.findings().error(
            Problem::at(&node.place, "`min_version` must be 1.2 or 1.3").help("write 1.2 or 1.3"),
        );
    }
    version
}
