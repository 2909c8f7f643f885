use std::{path::PathBuf, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::endpoint::files::{Stamp, stamps};

/// How often it is looked whether files have changed.
const LOOK: Duration = Duration::from_secs(1);

/// Watches the files of a configuration.
///
/// It looks at their stamps now and then, which also finds what is replaced by renaming or behind
/// a symbolic link, as Kubernetes does it.
pub struct Watch {
    files: Vec<PathBuf>,
    /// The files as they were when they were last read.
    read: Vec<Stamp>,
}

impl Watch {
    /// Watches these files. Call it before they are read, so that no change falls between.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let read = stamps(&files);
        Self { files, read }
    }

    /// Waits until the files have changed since they were [last read](Self::note), and have then
    /// stayed as they are for a moment, since a file that is being written is only half there.
    pub async fn changed(&self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut former = self.read.clone();
        loop {
            ticks.tick().await;
            let now = stamps(&self.files);
            if now != self.read && now == former {
                return;
            }
            former = now;
        }
    }

    /// Notes that the files are going to be read now.
    pub fn note(&mut self) {
        self.read = stamps(&self.files);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_counts_once_it_has_settled_and_until_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::new(vec![file.clone()]);
        let looks = |looks: u32| LOOK * looks + LOOK / 2;
        assert!(timeout(looks(5), watch.changed()).await.is_err(), "nothing has changed");

        let mut changed = Box::pin(watch.changed());
        assert!(timeout(LOOK / 2, &mut changed).await.is_err());
        // It is looked once in each round.
        for length in 2..6 {
            fs::write(&file, "a".repeat(length)).unwrap();
            // So that there is a write between any two looks.
            let pause = timeout(LOOK * 3 / 4, &mut changed).await;
            assert!(pause.is_err(), "it is still being written");
        }
        timeout(looks(1), changed).await.unwrap();
        timeout(looks(1), watch.changed()).await.expect("it has not been read");
        watch.note();
        assert!(timeout(looks(5), watch.changed()).await.is_err(), "it has been read");

        fs::write(dir.path().join("new"), "abc").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        advance(LOOK).await;
        timeout(looks(2), watch.changed()).await.expect("it was replaced");
    }
}
