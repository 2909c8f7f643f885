use std::{error::Error as StdError, fmt::Write, io, path::PathBuf};

use hyper_util::client::legacy;
use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// Why a transport could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The bundle of authorities cannot be read.
    #[error("cannot read ca_file {path}: {reason}")]
    ReadAuthorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The bundle of authorities holds none.
    #[error("ca_file {0} holds no certificate; it must hold one or more in PEM form")]
    NoAuthorities(PathBuf),
    /// The TLS settings do not go together.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection could be made; nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The TLS handshake failed; nothing was sent.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection broke after the request was begun.
    #[error("connection lost: {0}")]
    Interrupted(String),
    /// What came back is not HTTP.
    #[error("unusable answer: {0}")]
    Answer(String),
}

impl SendError {
    /// The error of a request whose answer did not begin.
    pub(super) fn of_client(error: &legacy::Error) -> Self {
        let tls = find::<TlsError>(error);
        // The client's own error only says in which step it failed.
        let reason = cause(error).unwrap_or(error);
        if error.is_connect() {
            return match tls {
                Some(tls) => Self::Tls(explain(tls)),
                None => Self::Connect(describe(reason)),
            };
        }
        // In TLS 1.3 the server judges us after we have begun to send.
        if let Some(TlsError::AlertReceived(alert)) = tls
            && is_about_certificates(*alert)
        {
            return Self::Tls(format!("the server does not accept us: alert {alert:?}"));
        }
        match find::<hyper::Error>(error) {
            // The connection was closed before the request went out on it.
            Some(hyper) if hyper.is_canceled() => Self::Connect(describe(reason)),
            Some(hyper) => Self::of_body(hyper),
            None => Self::Interrupted(describe(reason)),
        }
    }

    /// The error of a request whose answer did not end.
    pub(super) fn of_body(error: &hyper::Error) -> Self {
        if error.is_parse() {
            Self::Answer(format!("not HTTP: {}", describe(error)))
        } else {
            Self::Interrupted(describe(error))
        }
    }
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::HandshakeFailure
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

/// What an operator can do about a failed handshake.
fn explain(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(certificate) => explain_certificate(certificate),
        TlsError::InvalidMessage(_) => {
            "the server does not speak TLS at this port; check the scheme and port of the URL"
                .to_owned()
        }
        TlsError::AlertReceived(alert) => format!(
            "the server ended the handshake: alert {alert:?}; it may want a client certificate, \
             another version of TLS or another server name"
        ),
        TlsError::PeerIncompatible(what) => format!(
            "the server speaks no version or cipher that is accepted here ({what:?}); see \
             tls.min_version"
        ),
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => {
            "the server's certificate has expired; its owner must renew it".to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the server's certificate has expired ({}); its owner must renew it",
            date(not_after.as_secs())
        ),
        CertificateError::NotValidYet => {
            "the server's certificate is not valid yet; check the clocks of both machines"
                .to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid before {}; check the clocks of both machines",
            date(not_before.as_secs())
        ),
        CertificateError::UnknownIssuer => {
            "the server's certificate was issued by an unknown authority; name a bundle that \
             holds the authority's certificate in tls.ca_file"
                .to_owned()
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another name; check the host of the URL".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is not for {} but for {}; check the host of the URL",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::Revoked => "the server's certificate has been revoked".to_owned(),
        other => format!("the server's certificate is not accepted: {other}"),
    }
}

fn date(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
}

/// The first error of type `T` among an error and its causes.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| cause(*error)).find_map(|error| error.downcast_ref())
}

/// An error and its causes in one line.
fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    for error in std::iter::successors(Some(error), |error| cause(*error)) {
        let text = error.to_string();
        // Some errors print their cause themselves.
        if !line.ends_with(&text) {
            let colon = if line.is_empty() { "" } else { ": " };
            let _ = write!(line, "{colon}{text}");
        }
    }
    line
}

/// The next cause. `io::Error::source` steps over the error that it wraps.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map(|error| error as &(dyn StdError + 'static)).or_else(|| error.source())
}
