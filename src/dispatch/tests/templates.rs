use super::*;

fn templated() -> Setup {
    Setup { concurrency: 1, templated: true, ..Setup::default() }
}

#[tokio::test(start_paused = true)]
async fn each_profile_goes_to_a_url_of_its_own_with_headers_of_its_own() {
    let mut rig = Rig::start(templated(), |_| at_once(200));
    rig.update(1, "a/b").await;
    rig.update(2, "c d").await;
    rig.drain(secs(1)).await;
    let calls = rig.endpoint.calls();
    assert_eq!(calls[0].url, "http://endpoint.example/profiles/a%2Fb");
    assert_eq!(calls[0].headers["x-name"], "name a/b");
    assert_eq!(calls[1].url, "http://endpoint.example/profiles/c%20d");
    assert_eq!(calls[1].headers["x-name"], "name c d");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_rendered_is_a_dead_letter_until_its_next_version_and_holds_no_other() {
    let mut rig = Rig::start(templated(), |_| at_once(200));
    for (id, name) in [(1, ""), (2, ".."), (3, "../admin"), (4, r"a\r\nx-admin: 1"), (5, "ü")] {
        rig.update(id, name).await;
    }
    rig.update(6, "good").await;
    rig.endpoint.reached(1).await;
    sleep(millis(1)).await;
    assert_eq!(rig.endpoint.ids(), [6], "nothing is sent of the others");
    assert_eq!((rig.counts().dead, rig.due()), (5, 0));
    assert_eq!(rig.gate.status().state, GateState::Open);
    let letter = rig.dead_letter(1).unwrap();
    assert_eq!((letter.status, letter.attempts), (0, 0));
    assert_eq!(letter.reason, "{name} is empty");
    assert!(rig.dead_letter(3).unwrap().reason.contains("dot segment"));
    assert!(rig.dead_letter(4).unwrap().reason.contains("the header x-name"));
    rig.update(1, "mended").await;
    rig.drain(secs(1)).await;
    assert!(rig.dead_letter(1).is_none());
    assert_eq!(rig.endpoint.calls().last().unwrap().name, "mended");
}

/// Answers that of one profile the endpoint knows nothing.
fn not_found(call: &Call) -> Reply {
    at_once(match call.id {
        0 => 404,
        1 => 410,
        _ => 200,
    })
}

#[tokio::test(start_paused = true)]
async fn behind_a_templated_url_404_and_410_hold_one_profile_only() {
    let mut rig = Rig::start(templated(), not_found);
    rig.update_all(0..10, "a").await;
    rig.drain(millis(1)).await;
    assert_eq!(rig.endpoint.count(), 10, "each was sent once");
    assert_eq!(rig.dead_letter(0).unwrap().status, 404);
    assert_eq!(rig.dead_letter(1).unwrap().status, 410);
    assert_eq!(rig.counts().dead, 2);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_is_not_found_holds_nothing_as_a_probe_either() {
    let mut rig = Rig::start(templated(), |_| at_once(401));
    rig.update_all(0..10, "a").await;
    rig.endpoint.reached(1).await;
    sleep(millis(1)).await;
    assert_eq!(rig.gate.status().state, GateState::Closed);
    rig.endpoint.set(not_found);
    // Whoever goes first, at the third probe one is taken.
    rig.drain(secs(1 + 2 + 4)).await;
    assert_eq!((rig.counts().dead, rig.due()), (2, 0));
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_cannot_be_rendered_takes_no_time_of_a_probe() {
    let setup = Setup { concurrency: 4, ..templated() };
    let mut rig = Rig::start(setup, |_| at_once(401));
    rig.update(100, "a").await;
    rig.endpoint.reached(1).await;
    sleep(millis(1)).await;
    rig.endpoint.set(|_| at_once(200));
    rig.update_all(0..50, "..").await;
    // New arrivals are probed before the one that was probed already.
    rig.drain(secs(1)).await;
    assert_eq!((rig.counts().dead, rig.due()), (50, 0));
    assert_eq!(rig.endpoint.ids(), [100, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_templated_url_whose_fixed_part_is_wrong_costs_no_profile() {
    let rig = Rig::start(templated(), |_| at_once(404));
    rig.update_all(0..40, "a").await;
    sleep(secs(1)).await;
    assert_eq!(rig.gate.status().reason, Some(Reason::RefusesEverything));
    assert_eq!((rig.counts().dead, rig.due()), (0, 40));
}
