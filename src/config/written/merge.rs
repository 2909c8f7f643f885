use super::{Entry, Node, Value};
use crate::config::problem::Problem;

/// Maps of which each file may hold a part.
const JOINED: [&str; 2] = ["sources", "sinks"];

/// Joins files: what stands in several of them must stand in `sources` or `sinks` and have names
/// of its own.
pub(super) fn join(files: Vec<Node>, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut files = files.into_iter();
    let mut first = top(files.next()?, problems);
    for file in files {
        let Value::Map(added) = top(file, problems).value else { continue };
        let Value::Map(entries) = &mut first.value else { continue };
        for entry in added {
            join_entry(entries, entry, &JOINED, problems);
        }
    }
    Some(first)
}

fn join_entry(entries: &mut Vec<Entry>, new: Entry, joined: &[&str], problems: &mut Vec<Problem>) {
    let Some(known) = entries.iter_mut().find(|entry| entry.key == new.key) else {
        entries.push(new);
        return;
    };
    match (&mut known.value.value, new.value.value) {
        (Value::Map(entries), Value::Map(added)) if joined.contains(&known.key.as_str()) => {
            for entry in added {
                join_entry(entries, entry, &[], problems);
            }
        }
        _ => problems.push(
            Problem::at(
                &new.key_place,
                format!("`{}` stands here and at {}", new.key, known.key_place),
            )
            .help("remove one of the two, or give it another name"),
        ),
    }
}

/// The document of a file, which must be a map; an empty file is one without entries.
fn top(mut file: Node, problems: &mut Vec<Problem>) -> Node {
    match file.value {
        Value::Map(_) => {}
        Value::Null => file.value = Value::Map(Vec::new()),
        _ => {
            problems.push(
                Problem::at(
                    &file.place,
                    format!(
                        "a configuration must be a map of options, but this is {}",
                        file.kind()
                    ),
                )
                .help("begin with `data_dir`, `sources` and `sinks`"),
            );
            file.value = Value::Map(Vec::new());
        }
    }
    file
}
