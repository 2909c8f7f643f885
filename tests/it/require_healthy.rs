//! `--require-healthy`: a run that starts only if its endpoints can be reached.

use profile_http::local_endpoint::{Client, LocalEndpoint, Settings};

use crate::{
    several::Several,
    support::{MAPPING, Process, free_address, record},
};

/// How a run ends that does not start.
fn refused(several: &Several) -> String {
    several.write();
    let process = Process::start(&["run", "--require-healthy"], Some(&several.config));
    let (status, log) = process.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.starts_with("error: --require-healthy: "), "nothing has begun: {log}");
    assert!(!several.data_dir.exists(), "nothing was made");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_whose_endpoint_cannot_be_reached_does_not_start() {
    let crm = LocalEndpoint::start(Settings::default()).await.unwrap();
    let mut several = Several::new();
    several.sink("crm", &crm.url(), MAPPING);
    several.sink("mail", &format!("http://{}/", free_address()), MAPPING);
    let log = refused(&several);
    assert!(log.contains("sink mail is not healthy: step tcp of the endpoint: "), "{log}");
    several.sink("mail", &crm.url(), MAPPING);
    let process = several.start_with(&["--require-healthy"]);
    several.sender.send(&[record(1, 1)]).await;
    several.until("mail", |status| status["delivered"] == 1).await;
    drop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_that_gets_no_token_does_not_start() {
    let client = Client {
        id: "profile-http".to_owned(),
        secret: "right".to_owned(),
        token_lifetime: std::time::Duration::from_mins(5),
    };
    let settings = Settings { client: Some(client), ..Settings::default() };
    let crm = LocalEndpoint::start(settings).await.unwrap();
    let mut several = Several::new();
    let auth = format!(
        "{MAPPING}    auth: {{ strategy: oauth2, auth_endpoint: {:?}, client_id: profile-http, \
         client_secret: wrong }}\n",
        crm.token_url()
    );
    several.sink("crm", &crm.url(), &auth);
    let log = refused(&several);
    assert!(log.contains("sink crm is not healthy: step token of the token endpoint: "), "{log}");
    assert!(log.contains("invalid_client") && !log.contains("wrong"), "{log}");
    several.sink("crm", &crm.url(), &auth.replace("wrong", "right"));
    drop(several.start_with(&["--require-healthy"]));
}
