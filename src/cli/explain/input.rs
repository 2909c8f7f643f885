use std::io::{self, BufRead, IsTerminal};

use bytes::Bytes;
use profile_http::record::{Place, Record};
use tokio::sync::mpsc;

/// Lines that are read ahead.
const AHEAD: usize = 16;

/// The record that was given, else the lines of standard input as they come.
pub(super) fn records(given: Option<String>) -> io::Result<mpsc::Receiver<io::Result<Record>>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    if let Some(json) = given.filter(|given| given != "-") {
        let record = Record { json: json.into(), place: Place::Whole };
        sender.try_send(Ok(record)).expect("an empty channel has room for one");
        return Ok(receiver);
    }
    if io::stdin().is_terminal() {
        eprintln!("reading records from standard input, one a line; Ctrl-D ends them");
    }
    // A thread of its own, not one of the runtime's, which would wait for the next line before it
    // ends.
    let thread = std::thread::Builder::new().name("stdin".to_owned());
    thread.spawn(move || read_lines(io::stdin().lock(), &sender))?;
    Ok(receiver)
}

/// Hands on the lines that are not blank until the input ends, or nobody wants them any more.
fn read_lines(mut input: impl BufRead, records: &mpsc::Sender<io::Result<Record>>) {
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        number += 1;
        let record = match read {
            Ok(0) => return,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => Ok(Record {
                json: Bytes::copy_from_slice(line.trim_ascii()),
                place: Place::Line(number),
            }),
            Err(error) => Err(error),
        };
        let failed = record.is_err();
        if records.blocking_send(record).is_err() || failed {
            return;
        }
    }
}
