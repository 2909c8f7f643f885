//! Faults of the endpoint as a whole: the gate closes with a message that says what to do, nothing
//! is lost, and it opens by itself once the fault is mended.

use std::{fmt::Write, time::Duration};

use profile_http::local_endpoint::{Behaviour, Client, LocalEndpoint, Settings};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{MAPPING, Process, Site, record};

struct Faulty {
    endpoint: LocalEndpoint,
    arrived: mpsc::Receiver<bytes::Bytes>,
    site: Site,
    process: Process,
}

impl Faulty {
    async fn start(behaviour: Behaviour, secret: Option<&str>) -> Self {
        let (arrivals, arrived) = mpsc::channel(100);
        let client = secret.map(|_| Client {
            id: "profile-http".to_owned(),
            secret: "right".to_owned(),
            token_lifetime: Duration::from_mins(5),
        });
        let settings =
            Settings { arrivals: Some(arrivals), behaviour, client, ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        let site = Site::new();
        let mut options = MAPPING.to_owned();
        if let Some(secret) = secret {
            let file = site.write("secret", secret);
            let (file, url) = (file.display(), endpoint.token_url());
            write!(
                options,
                "    auth:\n      strategy: oauth2\n      auth_endpoint: {url:?}\n      \
                 client_id: profile-http\n      client_secret: {{ file: '{file}' }}\n"
            )
            .unwrap();
        }
        let config = site.configure("run.yaml", "{ type: stdin }", &endpoint.url(), &options);
        let mut process = Process::run(&config);
        for id in 0..3 {
            process.write(&format!("{}\n", record(id, 1)));
        }
        Self { endpoint, arrived, site, process }
    }

    /// All that was held back arrives, and the run ends as if nothing had been.
    async fn recovers(mut self) {
        for _ in 0..3 {
            timeout(Duration::from_mins(1), self.arrived.recv()).await.unwrap().unwrap();
        }
        self.process.close_stdin();
        let (status, log) = self.process.wait();
        assert!(status.success(), "{log}");
        assert_eq!(self.endpoint.report().profiles, 3);
        assert!(log.contains("open"), "{log}");
    }
}

async fn an_answer_closes_the_gate(status: u16, remedy: &str) {
    let mut faulty = Faulty::start(Behaviour::answering(status), None).await;
    let line = faulty.process.wait_for(&status.to_string());
    assert!(line.contains(remedy), "{line}");
    faulty.endpoint.behave(Behaviour::default());
    faulty.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_404_closes_the_gate_until_it_is_mended() {
    an_answer_closes_the_gate(404, "http_endpoint").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_403_closes_the_gate_until_it_is_mended() {
    an_answer_closes_the_gate(403, "permission").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_client_secret_closes_the_gate_until_it_is_mended() {
    let mut faulty = Faulty::start(Behaviour::default(), Some("wrong")).await;
    let line = faulty.process.wait_for("invalid_client");
    assert!(line.contains("client_secret"), "{line}");
    assert!(!line.contains("wrong"), "the secret is not shown: {line}");
    faulty.site.write("secret", "right\n");
    faulty.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_revoked_token_is_renewed_without_closing_the_gate() {
    let mut faulty = Faulty::start(Behaviour::default(), Some("right")).await;
    for _ in 0..3 {
        timeout(Duration::from_mins(1), faulty.arrived.recv()).await.unwrap().unwrap();
    }
    faulty.endpoint.revoke_tokens();
    faulty.process.write(&format!("{}\n", record(9, 1)));
    timeout(Duration::from_mins(1), faulty.arrived.recv()).await.unwrap().unwrap();
    faulty.process.close_stdin();
    let (status, log) = faulty.process.wait();
    assert!(status.success(), "{log}");
    assert!(!log.contains("WARN"), "{log}");
    assert_eq!(faulty.endpoint.report().tokens, 2);
}
