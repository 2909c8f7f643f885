use std::{
    borrow::Cow,
    fs, io,
    net::ToSocketAddrs,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    ConfigErrors, Plan, Problem,
    plan::{Need, NeedKind},
};
use crate::{
    clock::Clock,
    delivery::{
        auth::check_key,
        sign::{self, KeyKind},
    },
    endpoint::{
        EndpointError, IdentitySettings,
        tls::{self, Certificates},
    },
    listen::TlsFiles,
};

/// How long before the end of a certificate it is warned of, in seconds.
const SOON: i64 = 14 * 24 * 3600;

/// Checks that the files of a plan can be read and used, and that its data directory can be
/// written. Makes and locks nothing, so that it can be done beside a running process. Gives what
/// deserves a second look.
pub fn check_files(plan: &Plan) -> Result<Vec<Problem>, ConfigErrors> {
    check(plan, |need| match &need.kind {
        NeedKind::Directory(path) => directory(path),
        NeedKind::Secret(path) => secret(path),
        NeedKind::SigningKey(path, kind) => signing_key(path, *kind),
        NeedKind::Certificates(path) => certificates(path),
        NeedKind::Certificate(path) => certificate(path),
        NeedKind::Key(identity) => key(identity),
        NeedKind::PrivateKey(path, algorithm) => {
            check_key(path, *algorithm).map_err(|what| (what, algorithm.remedy().into()))
        }
        NeedKind::ServerTls(files) => server_tls(files),
        NeedKind::Host(..) => Ok(()),
    })?;
    Ok(plan.needs.iter().filter_map(ends_soon).collect())
}

/// Checks that the hosts of a plan have an address. Blocks while they are looked up.
pub fn check_hosts(plan: &Plan) -> Result<(), ConfigErrors> {
    check(plan, |need| match &need.kind {
        NeedKind::Host(host, port) => resolve(host, *port),
        _ => Ok(()),
    })
}

/// What is wrong, and what would be right.
type Verdict = Result<(), (String, Cow<'static, str>)>;

fn check(plan: &Plan, verdict: impl Fn(&Need) -> Verdict) -> Result<(), ConfigErrors> {
    let problems: Vec<_> = plan
        .needs
        .iter()
        .filter_map(|need| {
            let (message, help) = verdict(need).err()?;
            Some(Problem::at(&need.place, message).help(help))
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

/// What is wrong, from an error that says after a semicolon what would be right.
fn with_remedy(error: &EndpointError) -> (String, Cow<'static, str>) {
    let text = error.to_string();
    match text.split_once("; ") {
        Some((what, help)) => (what.to_owned(), help.to_owned().into()),
        None => (text, "let the user that runs profile-http read it".into()),
    }
}

fn certificate(path: &Path) -> Verdict {
    Certificates::read(path).map(drop).map_err(|error| with_remedy(&error))
}

fn key(identity: &IdentitySettings) -> Verdict {
    // What is wrong with the certificate or with the passphrase's file is said where they stand.
    let Ok(certificates) = Certificates::read(&identity.crt_file) else { return Ok(()) };
    match identity.with_certificates(certificates, &tls::provider()) {
        Ok(_) | Err(EndpointError::KeyPass(_)) => Ok(()),
        Err(error) => Err(with_remedy(&error)),
    }
}

fn ends_soon(need: &Need) -> Option<Problem> {
    let NeedKind::Certificate(path) = &need.kind else { return None };
    let not_after = Certificates::read(path).ok()?.not_after;
    let now = i64::try_from(Clock::system().now() / 1_000_000).ok()?;
    let days = (not_after - now) / (24 * 3600);
    (not_after - now < SOON).then(|| {
        let left = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
        let message = format!("the certificate in {} expires in {left}", path.display());
        Problem::at(&need.place, message)
            .help("renew it; a running process takes the new files into use by itself")
    })
}

fn directory(path: &Path) -> Verdict {
    let cannot = |at: &Path, reason: &dyn std::fmt::Display| {
        (
            format!("cannot write to {}: {reason}", at.display()),
            "let the user that runs profile-http write there, or choose another `data_dir`".into(),
        )
    };
    // A directory that is not there is made at start, in the nearest one that is.
    let mut existing = path;
    while let Err(error) = fs::metadata(existing) {
        match existing.parent() {
            Some(parent) if error.kind() == io::ErrorKind::NotFound => {
                existing = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            }
            _ => return Err(cannot(existing, &error)),
        }
    }
    if !existing.is_dir() {
        return Err(cannot(existing, &"it is not a directory"));
    }
    let probe = existing.join(format!(".profile-http-{}", std::process::id()));
    fs::File::create(&probe).map_err(|error| cannot(existing, &error))?;
    // What matters is that it could be made.
    let _ = fs::remove_file(&probe);
    Ok(())
}

fn secret(path: &PathBuf) -> Verdict {
    let help = Cow::from("name a file that holds the secret and that profile-http may read");
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => {
            Err((format!("the secret's file {} is empty", path.display()), help))
        }
        Ok(_) => Ok(()),
        Err(error) => {
            Err((format!("cannot read the secret from {}: {error}", path.display()), help))
        }
    }
}

fn signing_key(path: &PathBuf, kind: KeyKind) -> Verdict {
    let help = "write the key as it was issued into the file; the ending of the line may stay";
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => sign::check(kind, &text).map_err(|error| {
            let error = error.to_string();
            let what = error.split("; ").next().unwrap_or_default();
            (format!("{what}, in {}", path.display()), help.into())
        }),
        // That is said of it as a file of a secret.
        _ => Ok(()),
    }
}

fn certificates(path: &PathBuf) -> Verdict {
    let help = || Cow::from("name a PEM file with the certificates of the accepted authorities");
    let pem = fs::read(path).map_err(|error| {
        (format!("cannot read the CA file {}: {error}", path.display()), help())
    })?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem);
    match certificates.next() {
        Some(Ok(_)) if certificates.all(|certificate| certificate.is_ok()) => Ok(()),
        Some(_) => Err((format!("the CA file {} is damaged", path.display()), help())),
        None => Err((format!("there is no certificate in the CA file {}", path.display()), help())),
    }
}

fn server_tls(files: &TlsFiles) -> Verdict {
    files.check().map_err(|error| {
        let text = error.to_string();
        match text.rsplit_once("; ") {
            Some((message, help)) => (message.to_owned(), help.to_owned().into()),
            None => (text, "name files in PEM form".into()),
        }
    })
}

fn resolve(host: &str, port: u16) -> Verdict {
    let help = Cow::from("check the name, or use --no-environment where there is no network");
    match (host, port).to_socket_addrs().map(|mut addresses| addresses.next()) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err((format!("the host {host} has no address"), help)),
        Err(error) => Err((format!("cannot look up the host {host}: {error}"), help)),
    }
}
