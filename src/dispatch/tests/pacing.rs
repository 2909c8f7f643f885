//! An endpoint that refuses what comes too fast, and does not say how fast it may be.

use std::collections::HashMap;

use super::*;
use crate::dispatch::tests::endpoint::Endpoint;

const ALLOWED: f64 = 50.0;

/// As `limit_req` of nginx does with `nodelay`: a bucket that leaks fifty a second and holds so
/// many; what overflows is refused and not counted.
fn leaky_bucket(holds: f64) -> impl FnMut(&Call) -> Reply {
    let (mut level, mut at) = (0.0_f64, Duration::ZERO);
    move |call| {
        let after =
            (level - ALLOWED * call.at.checked_sub(at).unwrap().as_secs_f64() + 1.0).max(0.0);
        if after > holds {
            return super::after(millis(1), 429);
        }
        (level, at) = (after, call.at);
        super::after(millis(1), 200)
    }
}

/// Calls from `from` until `until`, those that were taken and those that were refused.
fn between(endpoint: &Endpoint, from: u64, until: u64) -> (usize, usize) {
    let calls = endpoint.calls();
    let calls = calls.iter().filter(|call| (secs(from)..secs(until)).contains(&call.at));
    let (taken, refused): (Vec<_>, Vec<_>) = calls.partition(|call| call.taken);
    (taken.len(), refused.len())
}

async fn settles(holds: f64) {
    let rig = Rig::start(Setup { repetitions: 3, ..Setup::default() }, leaky_bucket(holds));
    rig.update_all(0..1500, "a").await;
    sleep(secs(10)).await;
    rig.update_all(0..1500, "b").await;
    sleep(secs(20)).await;
    let (taken, refused) = between(&rig.endpoint, 5, 30);
    assert!(taken >= 40 * 25, "{taken}");
    assert!(refused * 50 < taken, "{refused} of {taken}");

    // Nothing is lost, and nothing overtakes.
    let mut rig = rig;
    rig.drain(secs(60)).await;
    let mut latest: HashMap<u32, (u64, String)> = HashMap::new();
    for call in rig.endpoint.calls().into_iter().filter(|call| call.taken) {
        let before = latest.insert(call.id, (call.version, call.name));
        assert!(before.is_none_or(|(version, _)| version < call.version), "{}", call.id);
    }
    assert_eq!(latest.len(), 1500);
    assert!(latest.values().all(|(_, name)| name == "b"));
}

#[tokio::test(start_paused = true)]
async fn the_sink_settles_at_a_limit_that_allows_no_burst() {
    settles(0.0).await;
}

#[tokio::test(start_paused = true)]
async fn the_sink_settles_at_a_limit_that_allows_a_burst() {
    settles(5.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_learned_pace_outlives_a_closing_of_the_gate() {
    let rig = Rig::start(Setup { repetitions: 3, ..Setup::default() }, leaky_bucket(5.0));
    rig.update_all(0..2000, "a").await;
    sleep(secs(10)).await;
    rig.endpoint.set(|_| at_once(503));
    sleep(secs(2)).await;
    assert_eq!(rig.gate.status().state, GateState::Closed);
    let mut bucket = leaky_bucket(5.0);
    rig.endpoint.set(move |call| bucket(call));
    sleep(secs(10)).await;
    assert_eq!(rig.gate.status().state, GateState::Open);
    let (taken, refused) = between(&rig.endpoint, 12, 22);
    assert!(taken >= 250, "{taken}");
    assert!(refused <= 5, "{refused} of {taken}");
}
