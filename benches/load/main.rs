//! The whole sink under load, beside a bare hyper client that sends the same bodies with the same
//! concurrency to the same endpoint.
//!
//! The sink and the endpoint are processes of their own, so that the CPU time of each is known; all
//! share the cores of this machine. `LOAD_PROFILES` says how many profiles there are (default
//! 200,000), `LOAD_UPDATES` how many updates are sent of what is known (default 1,000,000).
//!
//! `cargo bench --bench load -- sources` compares what the sources cost instead (by default 100,000
//! profiles and 500,000 updates, which are in memory as requests).

mod client;
mod process;
mod sender;
mod sources;
mod wire;

use std::time::Duration;

use process::{Cost, Endpoint, Sink, Watch};
use profile_http::sample::{NAMESPACE, SEGMENTS, Samples};
use sender::Sender;

/// Requests at once, of the sink and of the bare client.
const CONCURRENCY: usize = 32;

/// Profiles a second whose latency is measured.
const PACE: u32 = 1000;

fn main() {
    // `cargo bench` passes flags for harnesses that know them; `cargo test` runs benches too.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    if std::env::args().any(|arg| arg == "sources") {
        let (profiles, updates) =
            (number("LOAD_PROFILES", 100_000), number("LOAD_UPDATES", 500_000));
        return runtime.block_on(sources::run(profiles, updates));
    }
    runtime.block_on(run());
}

async fn run() {
    let profiles = number("LOAD_PROFILES", 200_000);
    let updates = number("LOAD_UPDATES", 1_000_000);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{profiles} profiles of about 900 bytes, concurrency {CONCURRENCY}, {cores} cores\n");
    steady(profiles.min(100_000)).await;
    delivery(profiles, updates).await;
    for retain in ["mapped", "profile"] {
        known(profiles, updates, retain).await;
    }
}

/// Every profile is new and delivered once; then the pace of updates and the latency.
async fn delivery(profiles: u32, updates: u32) {
    let endpoint = Endpoint::start();
    let mut samples = Samples::new(1, profiles);
    let followed = (0..profiles).filter(|profile| Samples::is_followed(*profile)).count();

    let body = samples.update(0).json;
    let bare = client::run(endpoint.address, &body, followed, CONCURRENCY).await;
    row("bare hyper client", "requests", followed, &bare);

    // In step with the endpoint, as a pipeline runs; then from a backlog, as after an outage.
    for (what, outstanding) in [("in step", 10_000), ("from a backlog", u64::MAX)] {
        let mut samples = Samples::new(1, profiles);
        let sink = Sink::start(&endpoint, &options("mapped", true));
        let sender = Sender::new(sink.address);
        let before = endpoint.taken().await;
        let watch = Watch::on(sink.id());
        let mut sent = 0;
        while sent < profiles {
            let records: Vec<_> =
                (sent..profiles).take(1000).map(|profile| samples.update(profile).json).collect();
            sent += 1000;
            sender.send(records.into_iter()).await;
            endpoint
                .wait_taken(before + (u64::from(sent) * 9 / 10).saturating_sub(outstanding))
                .await;
        }
        endpoint.wait_taken(before + followed as u64).await;
        let cost = watch.read();
        row(&format!("sink, delivered {what}"), "requests", followed, &cost);
        let ratio = cost.cpu.as_secs_f64() / bare.cpu.as_secs_f64();
        println!("  {ratio:.2} times the CPU of the bare client's request\n");
        if outstanding == u64::MAX {
            let mut samples = samples.with_relevant(0.0);
            let what = "irrelevant updates, retain: mapped";
            irrelevant(&mut samples, updates, &sink, &sender, what).await;
        }
        sink.stop();
    }
}

/// The time from accepted to delivered, at a pace that leaves the machine air.
async fn steady(profiles: u32) {
    let endpoint = Endpoint::start();
    let sink = Sink::start(&endpoint, &options("mapped", true));
    let sender = Sender::new(sink.address);
    let mut samples = Samples::new(1, profiles).with_relevant(1.0);
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let watch = Watch::on(sink.id());
    let mut sent = 0;
    while watch.read().wall < Duration::from_secs(5) {
        ticks.tick().await;
        let records: Vec<_> = samples.by_ref().take(PACE as usize / 100).collect();
        sent += records.len();
        sender.send(records.into_iter().map(|sample| sample.json)).await;
    }
    let cost = watch.read();
    row("sink, at a steady pace", "updates", sent, &cost);
    let (p50, p99) = endpoint.latency_ms().await;
    println!("  from accepted to delivered: p50 {p50:.1} ms, p99 {p99:.1} ms\n");
    sink.stop();
}

async fn irrelevant(samples: &mut Samples, updates: u32, sink: &Sink, sender: &Sender, what: &str) {
    let mut random = fastrand::Rng::with_seed(3);
    let profiles = samples.profiles();
    let watch = Watch::on(sink.id());
    let records = (0..updates).map(|_| samples.update(random.u32(..profiles)).json);
    sender.send(records).await;
    row(what, "updates", updates as usize, &watch.read());
    println!();
}

/// Updates of what is known but not exported, so that nothing else runs.
async fn known(profiles: u32, updates: u32, retain: &str) {
    let endpoint = Endpoint::start();
    let sink = Sink::start(&endpoint, &options(retain, false));
    let sender = Sender::new(sink.address);
    let mut samples = Samples::new(2, profiles).with_relevant(0.0);
    let records: Vec<_> = (0..profiles).map(|profile| samples.update(profile).json).collect();
    let watch = Watch::on(sink.id());
    sender.send(records.iter().cloned()).await;
    let what = format!("new profiles, retain: {retain}");
    row(&what, "updates", profiles as usize, &watch.read());

    let mut random = fastrand::Rng::with_seed(3);
    let watch = Watch::on(sink.id());
    sender.send((0..updates).map(|_| records[random.usize(..records.len())].clone())).await;
    let what = format!("identical updates, retain: {retain}");
    row(&what, "updates", updates as usize, &watch.read());
    drop(records);
    if retain == "profile" {
        let what = "updates in unmapped parts, retain: profile";
        irrelevant(&mut samples, updates, &sink, &sender, what).await;
    }
    sink.stop();
}

/// The sink's options besides its endpoint; `followed` says whether the samples are exported.
fn options(retain: &str, followed: bool) -> String {
    let segments = if followed {
        SEGMENTS.map(|(id, _)| id).join(", ")
    } else {
        "a-segment-of-nobody".to_owned()
    };
    format!(
        "    profile: {{ key: identityMap.{NAMESPACE} }}\n    export:\n      \
         attributes: [person.name, personalEmail.address, loyalty.tier]\n      \
         segments: [{segments}]\n    request: {{ concurrency: {CONCURRENCY} }}\n    \
         state: {{ retain: {retain} }}\n"
    )
}

fn row(what: &str, unit: &str, count: usize, cost: &Cost) {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let rate = count / cost.wall.as_secs_f64();
    let each = cost.cpu.as_secs_f64() * 1e6 / count;
    let each_core = 1e6 / each;
    println!("{what:<44} {rate:>8.0} {unit}/s {each:>6.1} µs CPU each {each_core:>8.0}/s a core");
}

fn number(name: &str, default: u32) -> u32 {
    let set = std::env::var(name).ok().and_then(|text| text.parse().ok());
    set.unwrap_or(default)
}
