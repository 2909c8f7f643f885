use super::*;
use crate::store::Verdict;

const GOOD: u32 = 0;

/// The times of `n` deliveries of profile 1, which fails while another is delivered in between, so
/// that the gate stays open.
async fn failing(setup: Setup, seed: u64, n: usize) -> Vec<Duration> {
    let rig = Rig::start(setup, |call| at_once(if call.id == GOOD { 200 } else { 503 }));
    fastrand::seed(seed);
    rig.update(1, "a").await;
    let attempts = 1 + setup.repetitions as usize;
    for round in 1..=n {
        rig.endpoint.reached(round * (attempts + 1) - 1).await;
        rig.update(GOOD, &round.to_string()).await;
        rig.endpoint.reached(round * (attempts + 1)).await;
    }
    rig.endpoint.calls_of(1).chunks(attempts).map(|delivery| delivery[0].at).collect()
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_fails_waits_from_one_second_doubling_to_five_minutes_with_full_jitter() {
    let gaps = gaps(&failing(Setup::default(), 1, 60).await);
    for (n, gap) in gaps.iter().enumerate() {
        let bound = secs(1 << n.min(10)).min(secs(300));
        // Timers have a grain of a millisecond.
        assert!(*gap <= bound + millis(2), "{n}: {gap:?} of {bound:?}");
    }
    let long = &gaps[9..];
    let mean = long.iter().sum::<Duration>() / u32::try_from(long.len()).unwrap();
    assert!((secs(100)..secs(200)).contains(&mean), "{mean:?}");
    assert!(long.iter().any(|gap| *gap < secs(60)) && long.iter().any(|gap| *gap > secs(240)));
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_one_delivery_count_as_one_failure() {
    for seed in 0..10 {
        let setup = Setup { repetitions: 3, ..Setup::default() };
        let times = failing(setup, seed, 2).await;
        // The pauses in the stack are 200, 400 and 800 ms at most; four failures would be a wait
        // of up to eight seconds.
        assert!(gaps(&times)[0] <= millis(1_400) + secs(1) + millis(10), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_ends_the_row_of_failures() {
    for seed in 0..10 {
        let rig = Rig::start(Setup::default(), |call| {
            at_once(if call.name == "good" { 200 } else { 503 })
        });
        fastrand::seed(seed);
        rig.update(1, "bad").await;
        rig.endpoint.reached(5).await;
        rig.update(1, "good").await;
        rig.endpoint.reached(6).await;
        sleep(millis(1)).await;
        rig.update(1, "bad again").await;
        let times = [rig.endpoint.reached(7).await.at, rig.endpoint.reached(8).await.at];
        assert!(gaps(&times)[0] <= millis(1_002), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_joined_timed_out_and_left_gets_a_last_export() {
    for lost in [hangs, interrupted] {
        let setup = Setup { segment: true, ..Setup::default() };
        let rig = Rig::start(setup, move |_| lost());
        rig.update(1, "a").await;
        rig.endpoint.reached(1).await;
        sleep(secs(10) + millis(1)).await;
        rig.endpoint.set(|_| at_once(200));
        assert!(matches!(rig.leave(1, "a").await, Verdict::Changed(_)));
        sleep(secs(60)).await;
        let last = rig.endpoint.calls().pop().unwrap();
        assert!(!says_member(&last), "{last:?}");
        assert_eq!(rig.due(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_joined_could_not_be_sent_and_left_is_none_of_the_endpoints_business() {
    let setup = Setup { segment: true, ..Setup::default() };
    let rig = Rig::start(setup, |_| at_once(503));
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    sleep(millis(1)).await;
    let sent = rig.endpoint.count();
    assert_eq!(rig.leave(1, "a").await, Verdict::NotFollowed);
    sleep(secs(60)).await;
    assert_eq!((rig.endpoint.count(), rig.due()), (sent, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_while_a_first_export_is_in_flight_gets_a_last_one() {
    let setup = Setup { segment: true, ..Setup::default() };
    let rig = Rig::start(setup, |_| after(secs(1), 200));
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    rig.leave(1, "a").await;
    let last = rig.endpoint.reached(2).await;
    assert!(!says_member(&last), "{last:?}");
}
