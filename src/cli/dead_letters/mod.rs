//! Looking after what could not be delivered.

mod place; // letters in the running process, or in the store of one that has stopped
mod text; // letters for people

use profile_http::{
    config::{Env, SinkPlan},
    console::{LetterList, MAX_PAGE},
    store::{LetterId, Replayed},
};
use serde::Serialize;

use self::place::{Keeper, Reader};
use super::{ConfigArgs, Failure, failure, place::Place, print, sink, table::count};

/// Look after what could not be delivered: list, show, replay or drop it
///
/// A profile that the endpoint refuses, or of which no request can be made, becomes a dead letter;
/// a record that cannot be read is set aside beside them. Works on the running process through its
/// API, or on the store when nothing runs.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List dead letters and invalid records, latest first
    List {
        #[command(flatten)]
        of: Of,
        /// How many to list
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Show all that is kept of some: the answer, its headers, the record
    Show {
        #[command(flatten)]
        of: Of,
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<LetterId>,
    },
    /// Send the profiles of dead letters again, as they are now and under a new version
    Replay {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
    },
    /// Drop dead letters and invalid records; their profiles stay known and go out when something
    /// relevant changes
    Drop {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
    },
}

/// Whose letters.
#[derive(clap::Args)]
struct Of {
    #[command(flatten)]
    config: ConfigArgs,

    /// The sink; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,

    /// Print JSON: an array where there may be several things, else an object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Their ids
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,

    /// All of them
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: Args, env: &Env) -> Result<(), Failure> {
    let (Command::List { of, .. }
    | Command::Show { of, .. }
    | Command::Replay { of, .. }
    | Command::Drop { of, .. }) = &args.command;
    let plan = of.config.load(env)?;
    let sink = sink(&plan, of.sink.as_deref())?;
    let place = Place::find(&plan, sink).await?;
    let json = of.json;
    match args.command {
        Command::List { limit, .. } => list(&place, limit, json).await,
        Command::Show { ids, .. } => show(&place, &ids, json).await,
        Command::Replay { which, .. } => replay(place, &which, json).await,
        Command::Drop { which, .. } => discard(place, sink, &which, json).await,
    }
}

async fn list(place: &Place<'_>, limit: usize, json: bool) -> Result<(), Failure> {
    if limit == 0 {
        return Err(Failure::of("--limit 0 lists nothing; write 1 or more"));
    }
    let reader = Reader::of(place)?;
    let mut list = reader.page(None, limit.min(MAX_PAGE)).await?;
    while let (Some(next), true) = (&list.next, list.letters.len() < limit) {
        let page = reader.page(Some(next), (limit - list.letters.len()).min(MAX_PAGE)).await?;
        list.letters.extend(page.letters);
        list.next = page.next;
    }
    if json {
        print_json(&list.letters)?;
    } else {
        print(&text::table(&list.letters))?;
    }
    eprintln!("{}", summary(&list, place.is_running()));
    Ok(())
}

fn summary(list: &LetterList, is_running: bool) -> String {
    let letters = count(list.dead_letters, "dead letter", "dead letters");
    let invalid = count(list.invalid_records, "invalid record", "invalid records");
    let of = if is_running { "of the running process" } else { "in the store; nothing runs" };
    let shown = list.letters.len() as u64;
    let more = (list.dead_letters + list.invalid_records).saturating_sub(shown);
    let rest = match list.next {
        Some(_) => format!("; {more} more are not shown, see --limit"),
        None => String::new(),
    };
    format!("{letters} and {invalid} {of}{rest}")
}

async fn show(place: &Place<'_>, ids: &[LetterId], json: bool) -> Result<(), Failure> {
    let reader = Reader::of(place)?;
    let mut letters = Vec::new();
    let mut missing = Vec::new();
    for id in ids {
        match reader.letter(*id).await? {
            Some(letter) => letters.push(letter),
            None => missing.push(*id),
        }
    }
    match &letters[..] {
        [] => {}
        [letter] if json && ids.len() == 1 => print_json(letter)?,
        letters if json => print_json(&letters)?,
        letters => {
            let texts: Vec<_> = letters.iter().map(text::letter).collect();
            print(&texts.join("\n"))?;
        }
    }
    fail_if_missing(&missing)
}

async fn replay(place: Place<'_>, which: &Which, json: bool) -> Result<(), Failure> {
    if let Some(id) = which.ids.iter().find(|id| matches!(id, LetterId::Invalid { .. })) {
        return Err(Failure::Other(format!(
            "{id} is an invalid record, of which nothing can be sent; correct the record (see \
             `dead-letters show {id}`), send it to the source again, then drop this one"
        )));
    }
    let is_running = place.is_running();
    let keeper = Keeper::of(place)?;
    let mut sum = Replayed::default();
    let mut missing = Vec::new();
    if which.all {
        sum = keeper.replay_all().await?;
    }
    for id in &which.ids {
        match keeper.replay(*id).await? {
            Some(replayed) => sum += replayed,
            None => missing.push(*id),
        }
    }
    keeper.close().await?;
    sum.missing = missing.len() as u64;
    if json {
        print_json(&sum)?;
    } else {
        let due = count(sum.replayed, "profile is due again", "profiles are due again");
        let when = if is_running || sum.replayed == 0 { "" } else { "; delivered by the next run" };
        print(&format!("{due} under a new version{when}\n"))?;
        if sum.not_followed > 0 {
            let left = count(sum.not_followed, "profile is", "profiles are");
            print(&format!("{left} not followed any more and not sent\n"))?;
        }
    }
    fail_if_missing(&missing)
}

async fn discard(
    place: Place<'_>,
    sink: &SinkPlan,
    which: &Which,
    json: bool,
) -> Result<(), Failure> {
    let keeper = Keeper::of(place)?;
    let mut dropped = 0;
    let mut missing = Vec::new();
    if which.all {
        dropped = keeper.discard_all().await?;
    }
    for id in &which.ids {
        match keeper.discard(*id).await? {
            Some(one) => dropped += one,
            None => missing.push(*id),
        }
    }
    keeper.close().await?;
    if json {
        print_json(&serde_json::json!({ "dropped": dropped, "missing": missing.len() }))?;
    } else {
        let letters = count(dropped, "letter", "letters");
        print(&format!("{letters} of sink {} dropped\n", sink.name))?;
    }
    fail_if_missing(&missing)
}

fn fail_if_missing(missing: &[LetterId]) -> Result<(), Failure> {
    let [first, more @ ..] = missing else { return Ok(()) };
    for id in more {
        failure::print("error", &format!("there is no dead letter {id}"));
    }
    Err(Failure::Other(format!(
        "there is no dead letter {first}; its profile may have moved on (see `dead-letters list`)"
    )))
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(Failure::of)?;
    print(&format!("{json}\n"))
}
