//! The HTTP source behind curl.

use std::{fs, process::Command};

use flate2::{Compression, write::GzEncoder};
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use rcgen::{CertificateParams, KeyPair};
use tokio::task::spawn_blocking;

use crate::{
    peer,
    support::{MAPPING, Process, Site, free_address, record},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn curl_sends_over_tls_with_a_token_and_checks_health() {
    if Command::new("curl").arg("--version").output().is_err() {
        peer::missing("curl");
        return;
    }
    let endpoint = LocalEndpoint::start(Settings::default()).await.unwrap();
    let (site, address) = (Site::new(), free_address());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = site.write("server.pem", &params.self_signed(&key).unwrap().pem());
    let key = site.write("server.key", &key.serialize_pem());
    let token = site.write("token", "t0ken\n");
    let source = format!(
        "{{ type: http_server, address: '{address}', tls: {{ crt_file: '{}', key_file: '{}' }}, \
         auth: {{ strategy: bearer, token: {{ file: '{}' }} }} }}",
        certificate.display(),
        key.display(),
        token.display()
    );
    let mut process = Process::run(&site.configure("run.yaml", &source, &endpoint.url(), MAPPING));
    process.wait_for("listening");

    let lines: String = (0..100).map(|id| record(id, 1) + "\n").collect();
    let body = site.path("body.gz");
    let mut gzip = GzEncoder::new(fs::File::create(&body).unwrap(), Compression::default());
    std::io::Write::write_all(&mut gzip, lines.as_bytes()).unwrap();
    gzip.finish().unwrap();
    let url = format!("https://localhost:{}/profiles", address.port());
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--write-out", "%{http_code}", "--cacert"]);
        command.arg(&certificate).args(arguments).arg(&url);
        spawn_blocking(move || {
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
            String::from_utf8(output.stdout).unwrap()
        })
    };
    let data = format!("@{}", body.display());
    let send = |authorization| {
        curl(&[
            "--header",
            "content-type: application/x-ndjson",
            "--header",
            "content-encoding: gzip",
            "--header",
            authorization,
            "--data-binary",
            &data,
        ])
    };
    let health = curl(&["--head"]).await.unwrap();
    assert!(health.starts_with("HTTP/1.1 200 OK") && health.ends_with("200"), "{health}");
    let refused = send("authorization: Bearer other").await.unwrap();
    assert!(refused.contains("credentials") && refused.ends_with("401"), "{refused}");
    let line = process.wait_for("credentials");
    assert!(line.contains("WARN") && line.contains("peer=127.0.0.1:"), "{line}");
    let answer = send("authorization: Bearer t0ken").await.unwrap();
    assert!(answer.contains("\"changed\":100,") && answer.ends_with("200"), "{answer}");
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success() && !log.contains("t0ken"), "{log}");
}
