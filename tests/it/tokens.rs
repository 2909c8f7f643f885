//! Secrets and tokens that change while a sink is busy.

use std::time::Duration;

use profile_http::local_endpoint::{Client, LocalEndpoint, Settings};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{MAPPING, Process, Site, record};

const PROFILES: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_that_is_rotated_and_a_token_that_is_revoked_under_load_cost_no_profile() {
    let (arrivals, mut arrived) = mpsc::channel(10);
    let client = Client {
        id: "profile-http".to_owned(),
        secret: "secret-0".to_owned(),
        token_lifetime: Duration::from_mins(5),
    };
    let settings =
        Settings { arrivals: Some(arrivals), client: Some(client), ..Settings::default() };
    let endpoint = LocalEndpoint::start(settings).await.unwrap();
    let site = Site::new();
    let file = site.write("secret", "secret-0");
    let options = format!(
        "{MAPPING}    auth: {{ strategy: oauth2, auth_endpoint: '{}', client_id: profile-http, \
         client_secret: {{ file: '{}' }} }}\n",
        endpoint.token_url(),
        file.display()
    );
    let config = site.configure("run.yaml", "{ type: stdin }", &endpoint.url(), &options);
    let mut process = Process::run(&config);
    for round in 1..=2 {
        let records: String = (0..PROFILES).map(|id| record(id, round) + "\n").collect();
        process.write(&records);
        // Some have arrived and others are under way, since what arrives is taken here.
        for _ in 0..PROFILES / 5 {
            timeout(Duration::from_mins(1), arrived.recv()).await.unwrap().unwrap();
        }
        if round == 1 {
            site.write("secret", "secret-1");
            endpoint.set_client_secret("secret-1");
            endpoint.revoke_tokens();
        }
    }
    arrived.close();
    process.close_stdin();
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    assert!(!log.contains("dead letter") && !log.contains("the gate is closed"), "{log}");

    let report = endpoint.report();
    assert_eq!(report.profiles, PROFILES, "{report:?}");
    assert_eq!((report.order_violations, report.duplicates), (0, 0), "{report:?}");
    assert!(report.unauthorized > 0, "{report:?}");
    assert_eq!((report.tokens, report.tokens_refused), (2, 0), "{report:?}");
    for id in 0..PROFILES {
        let last = endpoint.received("crmid", &format!("c-{id}")).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&last.body).unwrap();
        assert_eq!(body["n"], 2, "c-{id}");
    }
}
