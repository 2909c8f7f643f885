//! A segment is newly mapped while updates go on: exactly its members are exported, each once and
//! as it was last known, the updates keep their rate, and a kill in the middle costs nothing.
//!
//! `cargo bench --bench reconcile -- --profiles 1000000` (default 100,000). The sink is a process
//! of its own; it, the endpoint and the sender share the cores of this machine.

mod live;
mod people;
mod sink;

use std::time::Duration;

use live::{Live, Pace};
use people::People;
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use sink::Sink;

/// How long the rate of updates is measured where nothing else goes on.
const MEASURED: Duration = Duration::from_secs(10);

/// What updates must keep of their rate.
const KEPT: f64 = 0.8;

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
    runtime.block_on(run(number("--profiles", 100_000)));
}

async fn run(profiles: u32) {
    let endpoint = LocalEndpoint::start(Settings::default()).await.expect("an endpoint");
    let mut people = People::new(profiles);
    let site = Sink::site(&endpoint);

    let mut sink = Sink::start(&site, &["s"]);
    let live = Live::new(sink.address());
    live.send(people.everybody()).await;
    for round in 0..3 {
        live.send(people.some_changed(round)).await;
    }
    sink.until_delivered().await;
    sink.stop();
    println!("{profiles} profiles are known, {} of them are exported", endpoint.report().profiles);
    let before = people.times(&endpoint);

    let mut sink = Sink::start(&site, &["s"]);
    sink.until_reconciled().await;
    let full = live.during(&people, None, tokio::time::sleep(MEASURED)).await;
    println!("updates while nothing else goes on:       {full}");
    let half = Some(full.rate() / 2.0);
    let quiet = live.during(&people, half, tokio::time::sleep(MEASURED)).await;
    println!("the same at half that rate:               {quiet}");
    sink.stop();

    // Half of the work at that pace, then a kill; the other half as fast as updates are taken.
    let mut sink = Sink::start(&site, &["s", "t"]);
    let paced = live.during(&people, half, sink.until_left(profiles / 2)).await;
    let left = sink.left().await;
    println!("at half that rate, while it reconciles:   {paced}");
    sink.kill();
    println!("killed with {left} profiles left");
    let mut sink = Sink::start(&site, &["s", "t"]);
    let flooded = live.during(&people, None, sink.until_reconciled()).await;
    println!("as fast as they are taken, the other half: {flooded}");
    sink.until_delivered().await;
    println!("{}", sink.said("reconciling"));
    println!("{}", sink.said("reconciled"));
    sink.stop();

    people.check(&endpoint, &before);
    keeps("at half the rate", &paced, &quiet);
    keeps("as fast as they are taken", &flooded, &full);
}

fn keeps(what: &str, meanwhile: &Pace, before: &Pace) {
    let share = meanwhile.rate() / before.rate();
    let verdict = if share >= KEPT { "kept" } else { "NOT KEPT" };
    println!("updates {what}: {:.0} % of their rate, {verdict}", share * 100.0);
}

fn number(name: &str, default: u32) -> u32 {
    let mut arguments = std::env::args().skip_while(|arg| arg != name).skip(1);
    arguments.next().map_or(default, |text| text.parse().expect("a number"))
}
