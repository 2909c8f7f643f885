use std::path::PathBuf;

use http::Uri;
use rustls::pki_types::ServerName;

use super::{Located, NeedKind, Section, endpoint::is_loopback};
use crate::{
    config::{problem::Problem, written::Value},
    delivery::{IdentitySettings, Secret, TlsSettings, TlsVersion},
};

/// Reads the `tls` of a section, which is for what is sent to `url`.
pub(super) fn read(parent: &mut Section<'_>, url: Option<&Uri>) -> TlsSettings {
    let mut settings = TlsSettings::default();
    let Some(mut section) = parent.section("tls") else { return settings };
    // What runs on this machine stands in for the real thing.
    if url.is_some_and(|url| url.scheme_str() == Some("http") && !is_loopback(url)) {
        section.findings().warn(
            Problem::at(section.place(), "`tls` means nothing for an http:// URL")
                .help("write https:// if TLS is spoken there, or remove `tls`"),
        );
    }
    let ca_file = section.located::<PathBuf>("ca_file");
    if let Some(file) = &ca_file {
        section.findings().need(&file.place, NeedKind::Certificates(file.value.clone()));
        settings.ca_file = Some(file.value.clone());
    }
    settings.identity = identity(&mut section);
    settings.server_name = server_name(&mut section);
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
    if let (Some(file), true) = (&ca_file, settings.skip_verification) {
        section.findings().warn(
            Problem::at(&file.place, "`ca_file` means nothing while `verify_certificate` is false")
                .help(
                    "remove `verify_certificate: false`, and the authorities in it are what counts",
                ),
        );
    }
    section.finish();
    settings
}

/// Reads the certificate that is shown to the server, with its key.
fn identity(section: &mut Section<'_>) -> Option<IdentitySettings> {
    let crt_file = section.located::<PathBuf>("crt_file");
    let key_file = section.located::<PathBuf>("key_file");
    let key_pass = section.located::<Secret>("key_pass");
    let findings = section.findings();
    let lonely = |place, key: &str, other: &str, what: &str| {
        findings.error(
            Problem::at(place, format!("`{key}` is of no use without `{other}`"))
                .help(format!("add `{other}`, {what}, or remove `{key}`")),
        );
    };
    match (crt_file, key_file) {
        (Some(crt), Some(key)) => {
            let settings = IdentitySettings {
                crt_file: crt.value,
                key_file: key.value,
                key_pass: key_pass.map(|pass| pass.value),
            };
            findings.need(&crt.place, NeedKind::Certificate(settings.crt_file.clone()));
            findings.need(&key.place, NeedKind::Key(settings.clone()));
            Some(settings)
        }
        (Some(crt), None) => {
            lonely(&crt.place, "crt_file", "key_file", "the certificate's private key");
            None
        }
        (None, Some(key)) => {
            lonely(&key.place, "key_file", "crt_file", "the key's certificate");
            None
        }
        (None, None) => {
            if let Some(Located { place, .. }) = key_pass {
                lonely(&place, "key_pass", "key_file", "the key that it opens, and `crt_file`");
            }
            None
        }
    }
}

fn server_name(section: &mut Section<'_>) -> Option<ServerName<'static>> {
    let Located { value, place } = section.located::<String>("server_name")?;
    let name = ServerName::try_from(value).ok();
    if name.is_none() {
        section.findings().error(
            Problem::at(&place, "`server_name` is not the name of a server").help(
                "write a host name alone, without scheme and port, for example api.acme.example",
            ),
        );
    }
    name
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
