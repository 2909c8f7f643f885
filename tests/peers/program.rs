//! The program itself between a pipe and real servers.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write,
};

use profile_http::delivery::JwtAlgorithm;

use crate::{
    nginx::{Answered, Certificate, Nginx, TAKE},
    oidc::{Client, Oidc, SECRET, private_key},
    support::{MAPPING, Process, Site, record},
};

/// A sink's options for `nginx`, with the mapping of [`record`].
pub(crate) fn options(nginx: &Nginx) -> String {
    format!("{MAPPING}    tls: {{ ca_file: '{}' }}\n", nginx.ca_file().display())
}

/// Options for tokens of `oidc`, the client's secret or key being in a file `secret`.
pub(crate) fn oauth2(oidc: &Oidc, site: &Site, client: Client) -> String {
    let file = site.path("secret");
    let file = file.display();
    let proof = match client {
        Client::InBody => format!("client_auth: body, client_secret: {{ file: '{file}' }}"),
        Client::InHeader => format!("client_auth: basic, client_secret: {{ file: '{file}' }}"),
        Client::Signing(algorithm) => format!(
            "client_auth: private_key_jwt, private_key_file: '{file}', algorithm: {algorithm}"
        ),
    };
    format!(
        "    auth: {{ strategy: oauth2, auth_endpoint: '{}/token', client_id: {}, {proof}, \
         scopes: [profiles.write], extra_params: {{ resource: https://api.example }} }}\n",
        oidc.address(),
        client.id()
    )
}

/// Lets only requests to nginx through whose token the OAuth2 server knows.
fn guarded(oidc: &Oidc) -> String {
    format!("{}\n{TAKE}", oidc.guard())
}

pub(crate) fn run(site: &Site, nginx: &Nginx, options: &str) -> Process {
    let url = nginx.url("/profiles");
    Process::run(&site.configure("run.yaml", "{ type: stdin }", &url, options))
}

/// Version `n` of the profiles 0 to `count`, as lines.
pub(crate) fn records(count: u64, n: u64) -> String {
    (0..count).map(|id| record(id, n) + "\n").collect()
}

/// The id and the version of the profile that a request brought.
pub(crate) fn profile(request: &Answered) -> (String, u64) {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    let id = body["identityMap"]["crmid"][0]["id"].as_str().unwrap();
    (id.to_owned(), body["n"].as_u64().unwrap())
}

fn version(request: &Answered) -> u64 {
    request.profile_version.parse().unwrap()
}

/// Ends the stream, and the run ends as if nothing had been.
pub(crate) fn ends_well(mut process: Process) -> String {
    process.close_stdin();
    let (status, log) = process.wait();
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains("dead letter"), "{log}");
    log
}

async fn everything_arrives_once(client: Client, secret: &str) {
    const PROFILES: u64 = 500;
    let Some(oidc) = Oidc::start(600) else { return };
    let Some(nginx) = Nginx::start(&guarded(&oidc)) else { return };
    let site = Site::new();
    site.write("secret", secret);
    let mut options = options(&nginx) + &oauth2(&oidc, &site, client);
    options.push_str(
        "    custom_headers: 'x-source:cdp,x-tenant:a\\,b'\n    request: { concurrency: 4 }\n",
    );
    let (status, log) = run(&site, &nginx, &options).fed(&records(PROFILES, 1));
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains("WARN"), "{log}");

    assert_eq!(oidc.grants().await, 1);
    let requests = nginx.rest();
    for request in &requests {
        let headers = (request.x_source.as_str(), request.x_tenant.as_str());
        assert_eq!((request.status.as_str(), headers), ("204", ("cdp", "a,b")), "{request:?}");
        assert!(version(request) > 0);
    }
    let mut arrived: Vec<_> = requests.iter().map(profile).collect();
    arrived.sort();
    let mut expected: Vec<_> = (0..PROFILES).map(|id| (format!("c-{id}"), 1)).collect();
    expected.sort();
    assert_eq!(arrived, expected);
    let keys: HashSet<_> = requests.iter().map(|request| &request.idempotency_key).collect();
    assert_eq!(keys.len(), requests.len());
    let connections: HashSet<_> = requests.iter().map(|request| &request.connection).collect();
    assert!(connections.len() <= 20, "{} connections", connections.len());
}

#[tokio::test]
async fn everything_arrives_once_over_few_connections_with_a_secret_in_the_body() {
    everything_arrives_once(Client::InBody, SECRET).await;
}

#[tokio::test]
async fn everything_arrives_once_over_few_connections_with_a_secret_in_a_header() {
    everything_arrives_once(Client::InHeader, SECRET).await;
}

#[tokio::test]
async fn everything_arrives_once_over_few_connections_with_a_signed_assertion() {
    let algorithm = JwtAlgorithm::Rs256;
    everything_arrives_once(Client::Signing(algorithm), &private_key(algorithm)).await;
}

/// Waits for these profiles to be taken and no other request to be answered.
fn takes(nginx: &Nginx, profiles: u64) {
    let taken: BTreeSet<_> = (0..profiles)
        .map(|_| {
            let request = nginx.answered();
            assert_eq!(request.status, "204", "{request:?}");
            profile(&request)
        })
        .collect();
    assert_eq!(taken, (0..profiles).map(|id| (format!("c-{id}"), 1)).collect());
}

#[test]
fn a_wrong_client_secret_closes_the_gate_until_the_file_has_the_right_one() {
    let Some(oidc) = Oidc::start(600) else { return };
    let Some(nginx) = Nginx::start(&guarded(&oidc)) else { return };
    let site = Site::new();
    site.write("secret", "of-yesterday");
    let options = options(&nginx) + &oauth2(&oidc, &site, Client::InBody);
    let mut process = run(&site, &nginx, &options);
    process.write(&records(100, 1));
    let line = process.wait_for("the gate is closed");
    assert_eq!(line.matches("client_secret").count(), 1, "advice is given once: {line}");
    for part in ["invalid_client", "client_secret"] {
        assert!(line.contains(part), "{line}");
    }
    site.write("secret", &format!("{SECRET}\n"));
    process.wait_for("the gate is open");
    takes(&nginx, 100);
    let log = ends_well(process);
    assert!(!log.contains("of-yesterday") && !log.contains(SECRET), "{log}");
    assert_eq!(nginx.rest().len(), 0);
}

#[test]
fn a_wrong_key_closes_the_gate_until_the_file_has_the_right_one() {
    let Some(oidc) = Oidc::start(600) else { return };
    let Some(nginx) = Nginx::start(&guarded(&oidc)) else { return };
    let site = Site::new();
    site.write("secret", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let algorithm = JwtAlgorithm::Es256;
    let options = options(&nginx) + &oauth2(&oidc, &site, Client::Signing(algorithm));
    let mut process = run(&site, &nginx, &options);
    process.write(&records(100, 1));
    let line = process.wait_for("the gate is closed");
    assert!(line.contains("invalid_client") && line.contains("private_key_file"), "{line}");
    site.write("secret", &private_key(algorithm));
    process.wait_for("the gate is open");
    takes(&nginx, 100);
    ends_well(process);
    assert_eq!(nginx.rest().len(), 0);
}

#[test]
fn an_expired_certificate_closes_the_gate_until_it_is_renewed() {
    let Some(nginx) = Nginx::start_with(Certificate::Expired, TAKE) else { return };
    let site = Site::new();
    let mut process = run(&site, &nginx, &options(&nginx));
    process.write(&records(100, 1));
    let line = process.wait_for("the gate is closed");
    for part in ["the server's certificate has expired (2020-01-01", "its owner must renew it"] {
        assert!(line.contains(part), "{line}");
    }
    nginx.renew_certificate();
    process.wait_for("the gate is open");
    takes(&nginx, 100);
    ends_well(process);
    assert_eq!(nginx.rest().len(), 0);
}

#[test]
fn a_server_that_is_gone_for_a_while_misses_nothing_and_sees_no_version_out_of_order() {
    const PROFILES: u64 = 200;
    let Some(mut nginx) = Nginx::start(TAKE) else { return };
    let site = Site::new();
    let mut options = options(&nginx);
    // Fewer at once than failures in a row close the gate, so that not only requests that were cut
    // off do, but connections that were refused.
    writeln!(options, "    request: {{ concurrency: 4, rate_limit_num: 500 }}").unwrap();
    let mut process = run(&site, &nginx, &options);
    process.write(&records(PROFILES, 1));
    let mut requests: Vec<_> = (0..20).map(|_| nginx.answered()).collect();

    nginx.stop();
    process.write(&records(PROFILES, 2));
    process.wait_for("the gate is closed");
    nginx.start_again(TAKE).unwrap();
    process.wait_for("the gate is open");
    let mut taken = BTreeSet::new();
    while (taken.len() as u64) < PROFILES {
        requests.push(nginx.answered());
        taken.extend(requests.last().map(profile).filter(|(_, n)| *n == 2));
    }

    nginx.stop();
    nginx.start_again("location / { proxy_pass http://unix:/nobody/is/here.sock; }").unwrap();
    process.write(&records(PROFILES, 3));
    let line = process.wait_for("the gate is closed");
    assert!(line.contains("502"), "{line}");
    nginx.stop();
    nginx.start_again(TAKE).unwrap();
    process.wait_for("the gate is open");
    ends_well(process);
    requests.extend(nginx.rest());

    let mut seen = BTreeMap::new();
    for request in &requests {
        let (id, n) = profile(request);
        let last = seen.insert(id, (version(request), n, request.status.as_str()));
        assert!(
            last.is_none_or(|(version_before, before, _)| {
                (version_before, before) <= (version(request), n)
            }),
            "{last:?} before {request:?}"
        );
    }
    assert_eq!(seen.len() as u64, PROFILES);
    for (id, (_, n, status)) in seen {
        assert_eq!((n, status), (3, "204"), "{id}");
    }
}
