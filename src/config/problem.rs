use std::{cmp::Ordering, fmt, sync::Arc};

use super::mask;

/// The widest part of a source line that is shown.
const SHOWN_WIDTH: usize = 120;

/// What stands for something that is hidden.
const MASK: [char; 3] = ['*'; 3];

/// A configuration file as it was read.
pub(super) struct SourceFile {
    /// Its path, as the operator named it.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
}

/// A stretch of a configuration file.
#[derive(Clone)]
pub struct Place {
    file: Arc<SourceFile>,
    start: usize,
    end: usize,
}

/// Something in the configuration that is wrong, or that deserves a second look.
#[derive(Clone, Debug)]
pub struct Problem {
    place: Option<Place>,
    message: String,
    help: Option<String>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigErrors(Vec<Problem>);

impl Place {
    /// The bytes `start..end` of `file`, brought inside it where they are not.
    pub(super) fn new(file: &Arc<SourceFile>, start: usize, end: usize) -> Self {
        let start = floor(&file.text, start);
        let end = floor(&file.text, end).max(start);
        Self { file: Arc::clone(file), start, end }
    }

    /// Line and column, both counted in characters from 1.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.file.text[..self.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The line with carets under the place, secrets masked.
    fn excerpt(&self) -> Option<String> {
        let text = &self.file.text;
        let start = text[..self.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[self.start..].find('\n').map_or(text.len(), |at| self.start + at);
        let line = text[start..end].trim_end();
        if line.is_empty() {
            return None;
        }
        let hidden = mask::hidden(&text[..start], line)?;
        // What is marked in the shown line follows from what of it is marked in the file.
        let marked = self.start..self.end.max(self.start + 1);
        let mut shown: Vec<(char, bool)> = Vec::new();
        for (at, c) in line.char_indices() {
            let is_marked = marked.contains(&(start + at));
            match hidden.iter().find(|part| part.contains(&at)) {
                None => shown.push((c, is_marked)),
                Some(part) if part.start == at => shown.extend(MASK.map(|c| (c, is_marked))),
                Some(_) if is_marked => {
                    shown.iter_mut().rev().take(MASK.len()).for_each(|(_, marked)| *marked = true);
                }
                Some(_) => {}
            }
        }
        if self.start >= start + line.len() {
            shown.push((' ', true));
        }
        Some(render(&crop(shown)))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Place {
    /// `file:line:column`, as editors and terminals make links of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.file.name)
    }
}

impl Problem {
    /// A problem at a place.
    pub(super) fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), message: message.into(), help: None }
    }

    /// A problem that has no place in a file.
    pub(super) fn nowhere(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), help: None }
    }

    /// A problem whose text says what is wrong, then, after a semicolon, what would be right.
    pub(super) fn with_remedy(place: &Place, error: &dyn std::error::Error) -> Self {
        let text = error.to_string();
        match text.split_once("; ") {
            Some((message, help)) => Self::at(place, message).help(help),
            None => Self::at(place, text),
        }
    }

    /// Says what would be right.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The order in which an operator comes across the places; what has none comes first.
    pub(super) fn in_file_order(&self, other: &Self) -> Ordering {
        let key = |problem: &Self| {
            problem.place.as_ref().map(|place| (place.file.name.clone(), place.start))
        };
        key(self).cmp(&key(other))
    }

    /// What is wrong, without place and remedy.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(excerpt) = self.place.as_ref().and_then(Place::excerpt) {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl ConfigErrors {
    /// The problems, in the order in which they were found.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Vec<Problem>> for ConfigErrors {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl From<Problem> for ConfigErrors {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// The part of a long line around what is marked.
fn crop(line: Vec<(char, bool)>) -> Vec<(char, bool)> {
    if line.len() <= SHOWN_WIDTH {
        return line;
    }
    let first = line.iter().position(|(_, marked)| *marked).unwrap_or(0);
    let from = first.saturating_sub(SHOWN_WIDTH / 2);
    let to = (from + SHOWN_WIDTH).min(line.len());
    let ellipsis = |cut: bool| cut.then_some(('…', false));
    let middle = line[from..to].iter().copied();
    ellipsis(from > 0).into_iter().chain(middle).chain(ellipsis(to < line.len())).collect()
}

/// Two lines: the text, and carets under what is marked. Tabs stay tabs, so that both align.
fn render(line: &[(char, bool)]) -> String {
    let text: String = line.iter().map(|(c, _)| *c).collect();
    let carets: String = line
        .iter()
        .map(|(c, marked)| match (c, marked) {
            (_, true) => '^',
            ('\t', _) => '\t',
            _ => ' ',
        })
        .collect();
    format!("    {}\n    {}", text.trim_end(), carets.trim_end())
}
