use std::{
    borrow::Cow,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use profile_http::{
    listen::ListenError,
    local_endpoint::{Behaviour, Client, LocalEndpoint, Report, Settings},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Profiles that wait to be printed; answers wait beyond that.
const WAITING: usize = 1024;

/// How long what has arrived may take to be printed at the end.
const PRINTING: Duration = Duration::from_secs(1);

/// Run a local third-party endpoint to try things against
///
/// Prints each profile that arrives as a JSON line on standard output, everything else on standard
/// error. `GET /_stats` tells what it saw; `PUT /_control` changes how it answers while it runs,
/// for example `{"unavailable": 0.1, "reset_after": 0.05}`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, default_value_t = (Ipv4Addr::LOCALHOST, 8089).into())]
    address: SocketAddr,

    /// The OAuth2 client that may get tokens; with it, profiles need an access token
    #[arg(long, requires = "client_secret")]
    client_id: Option<String>,

    /// The secret of the client
    #[arg(long, requires = "client_id")]
    client_secret: Option<String>,

    /// How long an access token holds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    token_lifetime_secs: u64,

    /// The share of requests that fail, in turn with 429, 503 and resets of the connection
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    fail_rate: f64,

    /// Answer every profile with this status
    #[arg(long)]
    status: Option<u16>,

    /// Answer every profile this much later
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    delay_ms: u64,

    /// Decides which requests fail
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Do not print the profiles that arrive
    #[arg(long)]
    quiet: bool,
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The flags contradict each other or are out of range.
    #[error("{0}")]
    Flags(String),
    /// The system does not tell of Ctrl-C, or standard output cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Runs until Ctrl-C, or until nobody reads standard output any more.
pub(crate) async fn run(args: Args) -> Result<(), EndpointError> {
    let behaviour = behaviour(&args)?;
    let (arrivals, arrived) = mpsc::channel(WAITING);
    let client = args.client_id.zip(args.client_secret).map(|(id, secret)| Client {
        id,
        secret,
        token_lifetime: Duration::from_secs(args.token_lifetime_secs),
    });
    let client_id = client.as_ref().map(|client| client.id.clone());
    let mut endpoint = LocalEndpoint::start(Settings {
        address: args.address,
        client,
        keep_bodies: false,
        arrivals: (!args.quiet).then_some(arrivals),
        behaviour,
        seed: args.seed,
        ..Settings::default()
    })
    .await?;
    introduce(&endpoint, client_id.as_deref());

    // A thread of its own, not one of the runtime's, so that a reader that has stopped reading
    // does not keep the process from ending.
    let (ended, mut printed) = oneshot::channel();
    if args.quiet {
        drop(ended);
    } else {
        std::thread::spawn(move || ended.send(print(arrived)));
    }
    let result = tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        printed = &mut printed, if !args.quiet => printed.unwrap_or(Ok(())),
    };
    endpoint.close().await;
    let report = endpoint.report();
    drop(endpoint);
    if !printed.is_terminated() {
        let _ = timeout(PRINTING, printed).await;
    }
    summarise(&report);
    Ok(result?)
}

fn behaviour(args: &Args) -> Result<Behaviour, EndpointError> {
    let mut behaviour = Behaviour { status: args.status, ..Behaviour::failing(args.fail_rate) };
    if args.delay_ms > 0 {
        behaviour = Behaviour { delayed: 1.0, delay_ms: args.delay_ms, ..behaviour };
    }
    behaviour.check().map_err(EndpointError::Flags)?;
    Ok(behaviour)
}

fn introduce(endpoint: &LocalEndpoint, client_id: Option<&str>) {
    eprintln!("listening; set in the sink:");
    eprintln!("  http_endpoint: {}", endpoint.url());
    if let Some(client) = client_id {
        eprintln!("  auth:");
        eprintln!("    strategy: oauth2");
        eprintln!("    auth_endpoint: {}", endpoint.token_url());
        eprintln!("    client_id: {client}");
        eprintln!("    client_secret: the one given by --client-secret");
    }
    eprintln!("Ctrl-C ends it with a summary");
}

/// Prints what arrives, a line each, until nothing more can come or nobody reads it.
fn print(mut arrived: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    while let Some(body) = arrived.blocking_recv() {
        let mut written = out.write_all(&one_line(&body)).and_then(|()| out.write_all(b"\n"));
        if arrived.is_empty() {
            written = written.and_then(|()| out.flush());
        }
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    out.flush()
}

/// JSON on one line: line ends stand only between its tokens, where a space does as well.
fn one_line(json: &[u8]) -> Cow<'_, [u8]> {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if json.iter().any(is_end) {
        json.iter().map(|byte| if is_end(byte) { b' ' } else { *byte }).collect()
    } else {
        json.into()
    }
}

fn summarise(report: &Report) {
    eprintln!(
        "requests: {}; taken: {}, again: {}, after a newer version: {}; profiles: {}",
        report.requests, report.taken, report.duplicates, report.order_violations, report.profiles,
    );
    eprintln!(
        "refused: {}, reset: {}, without a valid token: {}, no profile: {}",
        report.refused,
        report.reset_before + report.reset_after,
        report.unauthorized,
        report.unreadable,
    );
}
