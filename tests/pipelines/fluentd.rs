//! Fluentd, with the program behind it.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::{
    given,
    pipeline::Pipeline,
    updates::{ROUNDS, UPDATES, lines, of_round},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fluentd_loses_nothing_when_the_program_is_killed() {
    let Some(fluentd) = given("FLUENTD_BIN", "Fluentd") else { return };
    let mut pipeline = Pipeline::new(None).await;
    pipeline.listen_elsewhere(24224);
    let (state, logs) = (pipeline.path("state"), pipeline.path("logs"));
    for (there, here) in [("/var/lib/fluentd", &state), ("/var/log/profiles", &logs)] {
        fs::create_dir(here).unwrap();
        pipeline.move_to(there, here);
    }
    let mut followed = File::create(logs.join("followed.ndjson")).unwrap();
    let mut process = pipeline.run("fluent.yaml");
    let config = pipeline.example("senders/fluentd.conf");
    // With a supervisor there would be a process more to end.
    let arguments = [Path::new("--no-supervisor"), Path::new("-c"), &config];
    let _other = pipeline.run_other(&fluentd, arguments);
    for round in 0..ROUNDS {
        followed.write_all(lines(of_round(round)).as_bytes()).unwrap();
        pipeline.sees_begin(round).await;
        if round < ROUNDS - 1 {
            process.kill();
            process = pipeline.run("fluent.yaml");
        }
    }
    pipeline.has_everything(UPDATES).await;
}
