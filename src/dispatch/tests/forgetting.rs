//! What the endpoint sees of profiles that are forgotten while deliveries go on.

use super::*;
use crate::store::{Dismissal, Verdict};

const AT_ONCE: Dismissal = Dismissal { exit: false, suppress: false };

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_delivery_of_a_forgotten_profile_changes_nothing() {
    for status in [200, 422, 503] {
        let mut rig = Rig::start(Setup::default(), move |_| after(secs(5), status));
        rig.update(1, "a").await;
        rig.endpoint.reached(1).await;
        assert!(rig.forget(1, AT_ONCE).in_flight);
        assert_eq!((rig.counts().known, rig.due()), (0, 0));
        rig.drain(secs(60)).await;
        assert_eq!(rig.endpoint.count(), 1, "it is not tried again");
        let counts = rig.counts();
        assert_eq!((counts.known, counts.due, counts.in_flight, counts.dead), (0, 0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_after_forgetting_waits_for_the_delivery_that_is_under_way() {
    for status in [200, 422, 503] {
        let rig = Rig::start(Setup::default(), move |call| match call.name.as_str() {
            "a" => after(secs(5), status),
            _ => at_once(200),
        });
        rig.update(1, "a").await;
        let first = rig.endpoint.reached(1).await;
        rig.forget(1, AT_ONCE);
        rig.update(1, "b").await;
        let second = rig.endpoint.reached(2).await;
        assert_eq!((second.at, second.name.as_str()), (secs(5), "b"), "not delayed by {status}");
        assert!(second.version > first.version);
        sleep(secs(1)).await;
        assert_eq!((rig.counts().known, rig.due()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_export_is_tried_until_the_endpoint_is_back_and_the_profile_removed_then() {
    let rig = Rig::start(Setup { segment: true, ..Setup::default() }, |call| {
        if (secs(10)..secs(3600)).contains(&call.at) { at_once(503) } else { at_once(200) }
    });
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    sleep(secs(20)).await;
    assert!(rig.forget(1, Dismissal { exit: true, suppress: true }).leaving);
    assert_eq!(rig.leave(1, "b").await, Verdict::Suppressed);
    sleep(secs(3000)).await;
    assert_eq!((rig.counts().known, rig.due()), (1, 1));
    let rig = rig.restart().await;
    sleep(secs(1200)).await;
    assert_eq!((rig.counts().known, rig.due()), (0, 0));
    let calls = rig.endpoint.calls();
    assert!(calls.len() > 3 && calls[1..].iter().all(|call| call.version == calls[1].version));
}
