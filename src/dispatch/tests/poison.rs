use super::*;

const POISON: u32 = 42;

fn poisonous(call: &Call) -> Reply {
    after(millis(50), if call.id == POISON { 404 } else { 200 })
}

#[tokio::test(start_paused = true)]
async fn one_poisonous_profile_never_holds_the_others_for_long() {
    for concurrency in [1, 4, 32] {
        let setup = Setup { concurrency, ..Setup::default() };
        let mut rig = Rig::start(setup, poisonous);
        rig.update_all(0..100, "a").await;
        rig.drain(secs(20)).await;
        let letter = rig.dead_letter(POISON).unwrap();
        assert_eq!(letter.status, 404);
        assert!(letter.reason.contains("took all others"), "{}", letter.reason);
        assert_eq!(rig.counts().dead, 1);
        let sent = |id| rig.endpoint.calls_of(id).len();
        assert!((0..100).filter(|id| *id != POISON).all(|id| sent(id) == 1));
        assert_eq!(sent(POISON), 3, "at the third answer");
    }
}

#[tokio::test(start_paused = true)]
async fn others_go_on_while_a_poisonous_profile_is_found_out() {
    let rig = Rig::start(Setup::default(), poisonous);
    rig.update(POISON, "a").await;
    // One profile each second, beside the poisonous one.
    let mut longest = Duration::ZERO;
    for round in 0..30 {
        sleep(secs(1)).await;
        let arrived = Instant::now();
        rig.update(100 + round, "a").await;
        while rig.endpoint.calls_of(100 + round).is_empty() {
            rig.endpoint.reached(rig.endpoint.count() + 1).await;
        }
        longest = longest.max(arrived.elapsed());
    }
    assert!(longest <= secs(4), "{longest:?}");
    assert!(rig.dead_letter(POISON).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_version_is_not_at_fault_while_fewer_than_ten_others_were_delivered() {
    let rig = Rig::start(Setup::default(), poisonous);
    rig.update_all([POISON, 1, 2, 3], "a").await;
    sleep(secs(600)).await;
    assert!(rig.dead_letter(POISON).is_none());
    assert_eq!(rig.due(), 1);
    assert!(rig.endpoint.calls_of(POISON).len() > 3);
}

#[tokio::test(start_paused = true)]
async fn no_version_is_at_fault_where_another_one_fails_too() {
    let rig = Rig::start(Setup::default(), |call| {
        after(millis(50), if [POISON, 7].contains(&call.id) { 404 } else { 200 })
    });
    rig.update_all(0..100, "a").await;
    sleep(secs(600)).await;
    assert_eq!((rig.counts().dead, rig.due()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_of_a_poisonous_profile_is_judged_anew() {
    let mut rig = Rig::start(Setup::default(), poisonous);
    rig.update_all(0..100, "a").await;
    rig.endpoint.reached(102).await;
    sleep(millis(1)).await;
    rig.endpoint.set(|_| at_once(200));
    rig.update(POISON, "mended").await;
    rig.drain(secs(31)).await;
    assert!(rig.dead_letter(POISON).is_none());
}
