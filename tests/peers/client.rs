use std::{path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use profile_http::delivery::{AttemptError, auth::TokenTransport};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tower::service_fn;

/// A client that trusts one authority.
pub(crate) fn transport(ca_file: Option<&Path>) -> TokenTransport {
    let mut roots = RootCertStore::empty();
    for certificate in ca_file.iter().flat_map(|path| CertificateDer::pem_file_iter(path).unwrap())
    {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    TokenTransport::new(service_fn(move |request: http::Request<Bytes>| {
        let answer = client.request(request.map(Full::new));
        async move {
            let failed = |error: &dyn std::error::Error| AttemptError::Connect(error.to_string());
            let (parts, body) = answer.await.map_err(|error| failed(&error))?.into_parts();
            let body = body.collect().await.map_err(|error| failed(&error))?;
            Ok(http::Response::from_parts(parts, body.to_bytes()))
        }
    }))
}
