//! Secrets: where they come from, and how they are read without being shown.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use tokio::time::Instant;

/// How old what was read from a secret's file may be when a request begins.
pub(crate) const RECHECK: Duration = Duration::from_secs(5);

/// A secret: its text, or the file that holds it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The text itself, from the configuration or an environment variable.
    Text(SecretString),
    /// A file, read when the sink starts and again while it runs, so that the secret can be
    /// replaced; one trailing line end is not part of the secret.
    File(PathBuf),
}

/// What is made of secrets, kept and, where files hold them, made anew now and then.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    has_files: bool,
    current: Mutex<Option<Current<T>>>,
}

#[derive(Debug)]
struct Current<T> {
    made: Arc<T>,
    read_at: Instant,
}

impl Secret {
    /// Whether it may change while the process runs.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The secret as it is now. Blocks while a file is read.
    pub fn read(&self) -> io::Result<SecretString> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => read_file(path),
        }
    }
}

impl<T> Kept<T> {
    /// Nothing yet. `has_files` says whether it can change.
    pub(crate) fn new(has_files: bool) -> Self {
        Self { has_files, current: Mutex::new(None) }
    }

    /// What was made last, unless the caller is the one to make it, while others go on with it.
    pub(crate) fn at_hand(&self) -> Option<Arc<T>> {
        let mut current = self.lock();
        let current = current.as_mut()?;
        if self.has_files && current.read_at.elapsed() >= RECHECK {
            current.read_at = Instant::now();
            return None;
        }
        Some(Arc::clone(&current.made))
    }

    /// Keeps what was made. If that failed, perhaps because a file is being replaced, what was
    /// made before stays, and `said` says so.
    pub(crate) fn renew<E>(&self, made: Result<T, E>, said: impl FnOnce(&E)) -> Result<Arc<T>, E> {
        let mut current = self.lock();
        match (made, &*current) {
            (Ok(made), _) => {
                let made = Arc::new(made);
                *current = Some(Current { made: Arc::clone(&made), read_at: Instant::now() });
                Ok(made)
            }
            (Err(error), Some(former)) => {
                said(&error);
                Ok(Arc::clone(&former.made))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current<T>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a secret's file holds, which may be nothing.
pub(crate) fn read_file(path: &Path) -> io::Result<SecretString> {
    // The decoding error would carry the bytes of the secret.
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    let mut text = String::from_utf8(fs::read(path)?).map_err(not_text)?;
    text.truncate(without_line_end(&text).len());
    Ok(text.into())
}

/// Editors and `echo` end a file with a line end, which is not part of the secret.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Whether both are the same, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_bytes_are_the_same() {
        assert!(same(b"abc", b"abc"));
        for (a, b) in [("abc", "abd"), ("abc", "ab"), ("", "a"), ("xbc", "abc")] {
            assert!(!same(a.as_bytes(), b.as_bytes()));
        }
    }
}
