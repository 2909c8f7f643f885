//! Secrets: where they come from, and how they are read without being shown.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

/// A secret: its text, or the file that holds it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The text itself, from the configuration or an environment variable.
    Text(SecretString),
    /// A file, read when the sink starts and again while it runs, so that the secret can be
    /// replaced; one trailing line end is not part of the secret.
    File(PathBuf),
}

impl Secret {
    /// The secret as it is now. Blocks while a file is read.
    pub fn read(&self) -> io::Result<SecretString> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => read_file(path),
        }
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
