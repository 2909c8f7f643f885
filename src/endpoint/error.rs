use std::{error::Error as StdError, fmt::Write, io, path::PathBuf};

use h2::Reason;
use hyper_util::client::legacy;
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::connector::ConnectError;

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
    /// The client's certificate cannot be read.
    #[error("cannot read crt_file {path}: {reason}; name a certificate in PEM form")]
    ReadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of the client's certificate holds none.
    #[error("crt_file {0} holds no certificate; it must hold one in PEM form")]
    NoCertificate(PathBuf),
    /// The client's certificate is not valid any more.
    #[error("the certificate in crt_file {path} has expired ({}); renew it", date(*.not_after))]
    Expired {
        /// The file.
        path: PathBuf,
        /// Since when, in seconds since the epoch.
        not_after: i64,
    },
    /// The client's certificate is not valid yet.
    #[error(
        "the certificate in crt_file {path} is not valid before {}; check this machine's clock",
        date(*.not_before)
    )]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// From when on it is, in seconds since the epoch.
        not_before: i64,
    },
    /// The client's key cannot be read.
    #[error(
        "cannot read key_file {path}: {reason}; name the certificate's private key in PEM form"
    )]
    ReadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of the client's key holds none.
    #[error("key_file {0} holds no private key; it must hold one in PEM form")]
    NoKey(PathBuf),
    /// The client's key is encrypted and there is no passphrase.
    #[error("the key in key_file {0} is encrypted; give its passphrase in key_pass")]
    KeyEncrypted(PathBuf),
    /// The client's key is not encrypted although there is a passphrase.
    #[error("the key in key_file {0} is not encrypted; remove key_pass")]
    KeyPlain(PathBuf),
    /// The passphrase of the client's key is a wrong one.
    #[error("key_pass does not open the key in key_file {0}; check the passphrase")]
    WrongPass(PathBuf),
    /// The client's key is encrypted in a way that is not known here.
    #[error(
        "the key in key_file {0} is encrypted in a way that is not supported; convert it with \
         `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
    )]
    KeyCipher(PathBuf),
    /// The passphrase of the client's key cannot be read.
    #[error("cannot read the file of key_pass: {0}")]
    KeyPass(io::Error),
    /// The client's key is that of another certificate.
    #[error(
        "key_file {key} is not the key of the first certificate in crt_file {certificate}; name \
         the two that were issued together"
    )]
    KeyMismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The proxy's password cannot be read.
    #[error("cannot read the file of request.proxy.password: {0}")]
    ProxyPassword(io::Error),
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
    /// The proxy does not let us through; nothing was sent.
    #[error("the proxy refuses: {0}")]
    Proxy(String),
    /// The server did not process the request, and says so.
    #[error("not processed: {0}")]
    Unprocessed(String),
    /// The connection broke after the request was begun.
    #[error("connection lost: {0}")]
    Interrupted(String),
    /// What came back is not HTTP.
    #[error("unusable answer: {0}")]
    Answer(String),
}

/// Whether the server did not process the request because it ends the connection, which names the
/// last stream that it will still answer; only those after it end with this error (RFC 9113
/// section 6.8), whatever its reason.
pub(super) fn is_gone(error: &legacy::Error) -> bool {
    find::<h2::Error>(error).is_some_and(goes_away)
}

fn goes_away(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote()
}

impl SendError {
    /// The error of a request whose answer did not begin.
    pub(super) fn of_client(error: &legacy::Error) -> Self {
        let tls = find::<TlsError>(error);
        // The client's own error only says in which step it failed.
        let reason = cause(error).unwrap_or(error);
        if let Some(error) = find::<ConnectError>(error) {
            return Self::of_connect(error);
        }
        if error.is_connect() {
            return match tls {
                Some(tls) => Self::Tls(explain(tls)),
                None => Self::Connect(describe(reason)),
            };
        }
        if let Some(alert) = late_alert(error) {
            return Self::Tls(explain_alert(alert));
        }
        if let Some(http2) = find::<h2::Error>(error) {
            return Self::of_http2(http2);
        }
        match find::<hyper::Error>(error) {
            // The connection was closed before the request went out on it.
            Some(hyper) if hyper.is_canceled() => Self::Connect(describe(reason)),
            Some(hyper) => Self::of_body(hyper),
            None => Self::Interrupted(describe(reason)),
        }
    }

    /// The error of a connection that was not made.
    pub(super) fn of_connect(error: &ConnectError) -> Self {
        match error {
            ConnectError::ProxyRefuses(why) => Self::Proxy(why.clone()),
            ConnectError::NoHttp2 => Self::Tls(error.to_string()),
            error => Self::Connect(describe(error)),
        }
    }

    /// The error of a TLS handshake.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        match find::<TlsError>(error) {
            Some(tls) => Self::Tls(explain(tls)),
            None => Self::Connect(describe(error)),
        }
    }

    /// The error of an HTTP/2 stream whose answer did not begin.
    fn of_http2(error: &h2::Error) -> Self {
        if goes_away(error) {
            return Self::Unprocessed(format!("the server ends the connection ({})", code(error)));
        }
        if error.is_reset() && error.is_remote() {
            return match error.reason() {
                Some(Reason::REFUSED_STREAM) => {
                    Self::Unprocessed("the server refuses one more request at once".to_owned())
                }
                Some(Reason::HTTP_1_1_REQUIRED) => Self::Unprocessed(
                    "the server wants HTTP/1.1; set request.http2 to never".to_owned(),
                ),
                _ => Self::Interrupted(format!("the server ends the request ({})", code(error))),
            };
        }
        if error.is_library() {
            return Self::Answer(format!("not HTTP/2: {}; see request.http2", describe(error)));
        }
        Self::Interrupted(describe(error))
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

/// Alerts of a server that does not accept our certificate, or the lack of one.
const ABOUT_CERTIFICATES: [AlertDescription; 9] = [
    AlertDescription::AccessDenied,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRequired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::HandshakeFailure,
    AlertDescription::UnknownCA,
    AlertDescription::UnsupportedCertificate,
];

fn is_about_certificates(alert: AlertDescription) -> bool {
    ABOUT_CERTIFICATES.contains(&alert)
}

/// The alert about our certificate that an error comes from. In TLS 1.3 the server judges us after
/// we have begun to send.
fn late_alert(error: &legacy::Error) -> Option<AlertDescription> {
    if let Some(TlsError::AlertReceived(alert)) = find::<TlsError>(error) {
        return Some(*alert).filter(|alert| is_about_certificates(*alert));
    }
    // Of what broke an HTTP/2 connection only the text is left.
    let text = describe(error);
    let said =
        |alert: &AlertDescription| text.contains(&TlsError::AlertReceived(*alert).to_string());
    ABOUT_CERTIFICATES.into_iter().find(said)
}

/// The name of an HTTP/2 error's code.
fn code(error: &h2::Error) -> String {
    error.reason().map_or_else(|| "no reason".to_owned(), |reason| format!("{reason:?}"))
}

/// What an operator can do about an alert of a server that judges our certificate.
fn explain_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let remedy = match alert {
        Alert::CertificateRequired => {
            "it wants a client certificate: set tls.crt_file and tls.key_file"
        }
        Alert::UnknownCA => {
            "it does not know the authority that issued the certificate in tls.crt_file, or wants \
             the certificates in between in that file too"
        }
        Alert::CertificateExpired => "the certificate in tls.crt_file has expired; renew it",
        Alert::CertificateRevoked => "the certificate in tls.crt_file was revoked; replace it",
        _ => "ask its owner which client certificates it accepts (tls.crt_file)",
    };
    format!("the server does not accept us: alert {alert:?}; {remedy}")
}

/// What an operator can do about a failed handshake.
fn explain(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(certificate) => explain_certificate(certificate),
        TlsError::InvalidMessage(_) => {
            "the server does not speak TLS at this port; check the scheme and port of the URL"
                .to_owned()
        }
        TlsError::AlertReceived(alert) if is_about_certificates(*alert) => explain_alert(*alert),
        TlsError::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server speaks no version of HTTP that is offered here; see request.http2"
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
            date(seconds(not_after.as_secs()))
        ),
        CertificateError::NotValidYet => {
            "the server's certificate is not valid yet; check the clocks of both machines"
                .to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid before {}; check the clocks of both machines",
            date(seconds(not_before.as_secs()))
        ),
        CertificateError::UnknownIssuer => {
            "the server's certificate was issued by an unknown authority; name a bundle that \
             holds the authority's certificate in tls.ca_file"
                .to_owned()
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another name; check the host of the URL and \
             tls.server_name"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is not for {} but for {}; check the host of the URL, or name \
             the server in tls.server_name",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::Revoked => "the server's certificate has been revoked".to_owned(),
        other => format!("the server's certificate is not accepted: {other}"),
    }
}

fn seconds(since_epoch: u64) -> i64 {
    i64::try_from(since_epoch).unwrap_or(i64::MAX)
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("{seconds} s after 1970"), |time| time.to_string())
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
