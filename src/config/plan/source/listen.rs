use std::{net::SocketAddr, path::PathBuf};

use super::Section;
use crate::{
    config::{plan::NeedKind, problem::Problem},
    listen::TlsFiles,
};

/// Where a source listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; with port 0 the system chooses the port.
    pub address: SocketAddr,
    /// What it speaks TLS with; plain text when absent.
    pub tls: Option<TlsFiles>,
}

/// Reads `address` and `tls`. `example` is an address for a message about one that is missing.
pub(super) fn read(section: &mut Section<'_>, example: &str) -> Option<Listen> {
    let address = section.required::<SocketAddr>("address", example);
    let tls = if section.has("tls") {
        Some(tls(section)?)
    } else {
        let _ = section.take("tls");
        None
    };
    Some(Listen { address: address?.value, tls })
}

fn tls(source: &mut Section<'_>) -> Option<TlsFiles> {
    let mut section = source.section("tls")?;
    let place = section.place().clone();
    let crt_file = section.required::<PathBuf>("crt_file", "/etc/profile-http/server.crt");
    let key_file = section.required::<PathBuf>("key_file", "/etc/profile-http/server.key");
    let ca_file = section.located::<PathBuf>("ca_file");
    let verify = section.located::<bool>("verify_client");
    let findings = section.findings();
    match (&ca_file, &verify) {
        (None, Some(verify)) if verify.value => findings.error(
            Problem::at(&verify.place, "`verify_client` has nothing to verify with")
                .help("name the authorities that sign the clients' certificates: `ca_file`"),
        ),
        (Some(ca_file), verify) if !verify.as_ref().is_some_and(|verify| verify.value) => {
            findings.error(
                Problem::at(&ca_file.place, "`ca_file` is not used without `verify_client: true`")
                    .help("add it, so that clients must show a certificate, or remove `ca_file`"),
            );
        }
        _ => {}
    }
    section.finish();
    let files = TlsFiles {
        crt_file: crt_file?.value,
        key_file: key_file?.value,
        client_ca_file: ca_file.map(|file| file.value),
    };
    findings.need(&place, NeedKind::ServerTls(files.clone()));
    Some(files)
}
