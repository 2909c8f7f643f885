use std::collections::HashMap;

use super::*;

/// Seeds that are tried; each takes some milliseconds.
const SEEDS: u64 = 300;

/// Profiles of one simulation, which no other shares.
const PROFILES: u32 = 12;

/// What an unwell endpoint answers.
fn ill(random: &mut fastrand::Rng, sickness: u8) -> Reply {
    let latency = millis(random.u64(0..400));
    if random.u8(0..100) >= sickness {
        return after(latency, 200);
    }
    match random.u8(0..9) {
        0 => hangs(),
        1 => interrupted(),
        2 | 3 => after(latency, 503),
        4 => (latency, answer_with(429, &[(RETRY_AFTER, "2")])),
        5 => after(latency, 400),
        6 => after(latency, 404),
        7 => after(latency, 500),
        _ => after(latency, 429),
    }
}

/// What it answers to a batch: it may have a limit, mind single profiles, or answer for each.
fn ill_with_batches(
    random: &mut fastrand::Rng,
    sickness: u8,
    limit: usize,
    calls: &[Call],
) -> Reply {
    let latency = millis(random.u64(0..400));
    if calls.len() > limit {
        return after(latency, 413);
    }
    if random.u8(0..100) >= sickness {
        return after(latency, 200);
    }
    match random.u8(0..6) {
        0 | 1 if calls.iter().any(|call| call.id % 5 == 0) => after(latency, 422),
        2 => {
            let one = |_: &Call| [200, 201, 422, 503, 404, 429][random.usize(0..6)];
            (latency, statuses(&calls.iter().map(one).collect::<Vec<_>>()).1)
        }
        3 if calls.len() > 1 => (latency, statuses(&[200]).1),
        4 if calls.iter().any(|call| call.id % 7 == 0) => after(latency, 404),
        _ => ill(random, 100),
    }
}

/// The state that a profile was last said to have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    name: String,
    member: bool,
}

async fn simulate(seed: u64, former: Option<Rig>) -> Rig {
    let mut random = fastrand::Rng::with_seed(seed);
    let setup = Setup {
        concurrency: random.usize(1..8),
        rate: random.bool().then(|| random.u32(5..50)),
        burst: random.u32(1..4),
        repetitions: random.u32(0..3),
        segment: true,
        slow_store: true,
        templated: false,
        max_profiles: [1, 2, 5, 12][random.usize(0..4)],
        max_bytes: [300, 1000, 1 << 20][random.usize(0..3)],
        results: false,
    };
    let sickness = [10, 40, 80, 100][random.usize(0..4)];
    let mut answers = random.fork();
    let limit = [3, 100][random.usize(0..2)];
    let endpoint = move |calls: &[Call]| match setup.max_profiles {
        1 => ill(&mut answers, sickness),
        _ => ill_with_batches(&mut answers, sickness, limit, calls),
    };
    let mut rig = match former {
        None => Rig::of_batches(setup, endpoint),
        Some(former) => former.start_again(setup, endpoint),
    };
    fastrand::seed(seed);
    let first = u32::try_from(seed).unwrap() * PROFILES;
    let mut states = HashMap::new();
    for round in 0..random.u32(10..80) {
        let id = first + random.u32(0..PROFILES);
        let state = State { name: round.to_string(), member: random.u8(0..4) > 0 };
        if state.member {
            rig.update(id, &state.name).await;
        } else {
            rig.leave(id, &state.name).await;
        }
        states.insert(id, state);
        match random.u8(0..200) {
            0..7 => rig.gate.pause(),
            7..28 => rig.gate.resume(),
            28 => rig = rig.restart().await,
            _ => {}
        }
        sleep(millis(random.u64(0..2_000))).await;
    }
    rig.gate.resume();
    rig.endpoint.set(|_| at_once(200));
    // A wish to wait, the longest pause between probes, and the longest back-off.
    timeout(secs(2 + 30 + 300), rig.drain(secs(86_400))).await.expect("all is delivered in time");
    check(&rig, &states);
    rig
}

fn check(rig: &Rig, states: &HashMap<u32, State>) {
    let counts = rig.counts();
    assert_eq!((counts.due, counts.in_flight), (0, 0));
    for (id, state) in states {
        let calls = rig.endpoint.calls_of(*id);
        assert!(calls.is_sorted_by_key(|call| call.version), "{id}: a version went back");
        let last = calls.last();
        if state.member {
            let last = last.unwrap_or_else(|| panic!("{id}: never sent"));
            assert_eq!((&last.name, says_member(last)), (&state.name, true), "{id}");
        } else if calls.iter().any(|call| call.taken) {
            // Whoever left is seen off.
            assert!(last.is_some_and(|call| !says_member(call)), "{id}: {last:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_endpoint_does_it_ends_up_with_the_last_state_of_every_profile() {
    let only = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let mut rig = None;
    for seed in only.map_or(0..SEEDS, |seed| seed..seed + 1) {
        println!("seed {seed}");
        rig = Some(simulate(seed, rig).await);
    }
}
