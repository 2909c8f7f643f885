//! A dry run: why a record is sent, or is not, and the request that would be.
//!
//! Records go through the mapping, the store and the stack of the sink as they would in a run.
//! Only the store lies in a directory of its own, and the stack ends before the wire.

mod changes; // what differs between two records of a profile
mod explanation; // what there is to say of a record
mod hide; // what is not shown of a request
mod indent; // JSON over several lines
mod input; // where records come from
mod rehearsal; // the sink, from an empty store to the end of its stack
mod text; // explanations for people

use std::{future::Future, io, path::Path};

use profile_http::config::{Env, SinkPlan};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

pub(super) use self::indent::indent;
use self::{explanation::Explanation, rehearsal::Rehearsal};
use super::{ConfigArgs, Failure, print, sink, warn};

/// Say what a sink would send for a record, and why
///
/// A dry run: nothing is sent, and the store of a running process is not looked at. The first
/// record of a profile is taken for the first ever; each further one is compared with those before
/// it, whose requests count as delivered. Secrets are not shown.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// The sink; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,

    /// Print one JSON array with an object for each record
    #[arg(long)]
    json: bool,

    /// The record as JSON text; without it, or with -, standard input is read: a record a line
    #[arg(value_name = "RECORD")]
    record: Option<String>,
}

pub(super) async fn run(args: Args, env: &Env) -> Result<(), Failure> {
    if let Some(file) = args.record.as_deref().filter(|record| Path::new(record).is_file()) {
        return Err(Failure::Other(format!(
            "RECORD is JSON text; to explain the records of a file, write `< {file}`"
        )));
    }
    let plan = args.config.load(env)?;
    warn(&plan.warnings);
    let sink = sink(&plan, args.sink.as_deref())?;
    let mut rehearsal = Rehearsal::new(sink)?;
    let mut records = input::records(args.record).map_err(|error| unreadable(&error))?;
    let mut stopped = Box::pin(stopped().map_err(|error| unreadable(&error))?);

    let mut report = Report { json: args.json, ..Report::default() };
    if !args.json {
        print(&text::introduction(sink))?;
    }
    // A signal ends the input, so that what is known by then is still printed and the temporary
    // directory goes.
    while let Some(record) = select! {
        record = records.recv() => record,
        () = &mut stopped => None,
    } {
        let record = record.map_err(|error| unreadable(&error))?;
        let explanation = rehearsal.explain(&record).await?;
        report.add(explanation, sink)?;
        report.cut_off |= explanation::is_cut_off(&record.json);
    }
    rehearsal.close().await;
    report.end()
}

/// What has been explained.
#[derive(Default)]
struct Report {
    json: bool,
    /// Kept only where they are printed at the end.
    explanations: Vec<Explanation>,
    records: usize,
    requests: usize,
    invalid: usize,
    /// Whether a record ends too early to be JSON.
    cut_off: bool,
}

impl Report {
    fn add(&mut self, explanation: Explanation, sink: &SinkPlan) -> Result<(), Failure> {
        self.records += 1;
        self.requests += usize::from(explanation.request.is_some());
        self.invalid += usize::from(explanation.reason.is_some());
        if self.json {
            self.explanations.push(explanation);
            return Ok(());
        }
        print(&text::explanation(&explanation, sink))
    }

    fn end(self) -> Result<(), Failure> {
        if self.records == 0 {
            let message = "there is no record to explain; give one as JSON text, or one a line on \
                           standard input";
            return Err(Failure::Other(message.to_owned()));
        }
        if self.json {
            let array = serde_json::to_string_pretty(&self.explanations).map_err(Failure::of)?;
            print(&format!("{array}\n"))?;
        } else if self.records > 1 {
            print(&text::total(self.records, self.requests, self.invalid))?;
        }
        if self.invalid == 0 {
            return Ok(());
        }
        let what = match (self.invalid, self.records) {
            (1, 1) => "the record is invalid".to_owned(),
            (1, all) => format!("1 of {all} records is invalid"),
            (invalid, all) => format!("{invalid} of {all} records are invalid"),
        };
        let hint = if self.cut_off && self.records > 1 {
            "; each line of standard input is a record of its own: write the JSON of a record on \
             one line, as `jq -c .` does"
        } else {
            ""
        };
        Err(Failure::Other(format!("{what}{hint}")))
    }
}

/// Resolves with the first SIGTERM or SIGINT.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::other("cannot read standard input", error)
}
