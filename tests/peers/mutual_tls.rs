//! Against nginx that demands client certificates.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, Response};
use profile_http::endpoint::{
    IdentitySettings, SendError, TlsSettings, Transport, TransportSettings,
};
use tower::ServiceExt;

use crate::{
    nginx::{CLIENTS_ONLY, Nginx, TAKE, write_authority, write_client},
    program::{profile, records, run},
    support::{MAPPING, Site},
};

async fn send(
    nginx: &Nginx,
    identity: Option<IdentitySettings>,
) -> Result<Response<Bytes>, SendError> {
    let tls = TlsSettings { ca_file: Some(nginx.ca_file()), identity, ..TlsSettings::default() };
    let settings = TransportSettings { tls, ..TransportSettings::default() };
    let request = Request::post(nginx.url("/profiles")).body(Bytes::from("{}")).unwrap();
    Transport::new(settings).unwrap().oneshot(request).await
}

#[tokio::test]
async fn only_a_client_of_the_right_authority_is_let_in() {
    for start in [Nginx::start, Nginx::start_http2] {
        let directives = format!("{CLIENTS_ONLY} location / {{ return 204; }}");
        let Some(nginx) = start(&directives) else { return };
        let right = nginx.write_client("sink");
        assert_eq!(send(&nginx, Some(right)).await.unwrap().status(), 204);
        assert_eq!(nginx.answered().client, "CN=sink");

        let folder = tempfile::tempdir().unwrap();
        let wrong = write_client(folder.path(), "sink", &write_authority(folder.path()));
        for identity in [None, Some(wrong)] {
            // nginx completes the handshake and complains afterwards.
            let answer = send(&nginx, identity).await.unwrap();
            assert_eq!(answer.status(), 400);
            let page = String::from_utf8_lossy(answer.body()).to_lowercase();
            assert!(page.contains("ssl certificate"), "{page}");
        }
    }
}

#[tokio::test]
async fn a_pair_that_is_replaced_while_profiles_are_delivered_costs_none_of_them() {
    for start in [Nginx::start, Nginx::start_http2] {
        let Some(nginx) = start(&format!("{CLIENTS_ONLY} {TAKE}")) else { return };
        let identity = nginx.write_client("first");
        let site = Site::new();
        let options = format!(
            "{MAPPING}    tls: {{ ca_file: '{}', crt_file: '{}', key_file: '{}' }}\n",
            nginx.ca_file().display(),
            identity.crt_file.display(),
            identity.key_file.display()
        );
        let mut process = run(&site, &nginx, &options);
        let mut answered = Vec::new();
        let mut number = 0;
        let mut deliver = |process: &mut crate::support::Process| {
            number += 1;
            process.write(&records(10, number));
            for _ in 0..10 {
                answered.push(nginx.answered());
            }
            answered.last().unwrap().client.clone()
        };
        assert_eq!(deliver(&mut process), "CN=first");
        nginx.write_client("second");
        // As long as it takes for the change to be seen.
        while deliver(&mut process) == "CN=first" {}

        process.close_stdin();
        let (status, log) = process.wait();
        assert!(status.success() && !log.contains("dead letter"), "{log}");
        assert!(answered.iter().all(|request| request.status == "204"));
        let versions: BTreeSet<_> = answered.iter().map(profile).collect();
        assert_eq!(versions.len(), answered.len(), "each version of each profile, once");
    }
}
