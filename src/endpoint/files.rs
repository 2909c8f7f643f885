//! Files that are read again when they change.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::EndpointError;

/// How often at most it is looked whether files have changed.
const EVERY: Duration = Duration::from_secs(2);

/// Files of which something was made that has to be made anew when they change.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    start: Instant,
    /// When it is looked again, in milliseconds since the start.
    due: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// What is in use was made of the files as they were then.
    used: Vec<Stamp>,
    /// Of the files as they were then nothing could be made; whether that was said.
    broken: Option<(Vec<Stamp>, bool)>,
}

/// What tells one content of a file from the next without reading it: inode, length, and time of
/// change in seconds and nanoseconds. Nothing where there is no file.
pub(crate) type Stamp = Option<(u64, u64, i64, i64)>;

impl Files {
    /// Call it before the files are read, so that no change falls between.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = Seen { used: stamps(&paths), broken: None };
        let due = millis(EVERY).into();
        Self { paths, start: Instant::now(), due, seen: Mutex::new(seen) }
    }

    /// Whether it is time to look; to one caller each time.
    pub(super) fn is_due(&self) -> bool {
        let now = millis(self.start.elapsed());
        let due = self.due.load(Ordering::Relaxed);
        let next = now + millis(EVERY);
        now >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Makes the thing anew if the files have changed. As long as that fails, what was made before
    /// stays in use. Blocks while files are read.
    pub(super) fn renew<T>(&self, make: impl FnOnce() -> Result<T, EndpointError>) -> Option<T> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.paths);
        if now == seen.used {
            return None;
        }
        match make() {
            Ok(new) => {
                *seen = Seen { used: now, broken: None };
                tracing::info!(files = shown(&self.paths), "files have changed and are in use");
                Some(new)
            }
            Err(error) => {
                // Files that belong together are often written one after another, so the first
                // failure says nothing.
                let known = seen.broken.take().filter(|(stamps, _)| *stamps == now);
                if let Some((_, false)) = known {
                    tracing::warn!(
                        "changed files cannot be used, so the former stay in use: {error}"
                    );
                }
                seen.broken = Some((now, known.is_some()));
                None
            }
        }
    }
}

/// The files as they are now.
pub(crate) fn stamps<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Vec<Stamp> {
    let stamp = |metadata: fs::Metadata| {
        (metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec())
    };
    paths.into_iter().map(|path| fs::metadata(path).ok().map(stamp)).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
