//! Looking up, sending again and forgetting single profiles.

mod place; // a profile in the running process, or in the store of one that has stopped
mod progress; // how far sending all of them again has come
mod text; // profiles for people

use profile_http::{
    config::{Env, SinkPlan},
    store::{Dismissal, Resent},
};
use serde::Serialize;

use self::{place::Keeper, progress::Progress};
use super::{ConfigArgs, Failure, place::Place, print, sink, table::count};

/// Look up one profile, send it again, or forget it
///
/// Works on the running process through its API, or on the store when nothing runs. What it prints
/// is personal data; the log names profiles by a hash only.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show all that is known of a profile, how it stands, and what would be exported
    Show {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        who: Who,
    },
    /// Send a profile again, or all of them, as they are now and under a new version; those that
    /// are not followed are skipped
    Resend {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
    },
    /// Forget a profile: what is known of it, its dead letter, and the invalid records that name it
    ///
    /// A later record of it makes it a new profile. What was removed stays readable in the store's
    /// files until a process that runs stops cleanly, or until --erase.
    Forget {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        who: Who,
        /// Rewrite the store's files now, so that nothing of the profile is left in them
        #[arg(long)]
        erase: bool,
        /// Ignore later records of the profile; only a hash of its key is kept for that
        #[arg(long)]
        suppress: bool,
        /// Tell the endpoint first that the profile left its segments, if it may have heard of it;
        /// the profile is removed once that was delivered or refused
        #[arg(long)]
        exit: bool,
    },
    /// Take records of a profile again that was forgotten with --suppress
    Unsuppress {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        who: Who,
    },
}

/// Whose profiles.
#[derive(clap::Args)]
struct Of {
    #[command(flatten)]
    config: ConfigArgs,

    /// The sink; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Who {
    /// The profile's key as records have it, such as c-7; where profile.key names several paths,
    /// the first under which it is known, or PATH=KEY
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key: String,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The profile's key as records have it, or PATH=KEY
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key: Option<String>,

    /// All profiles
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: Args, env: &Env) -> Result<(), Failure> {
    let (Command::Show { of, .. }
    | Command::Resend { of, .. }
    | Command::Forget { of, .. }
    | Command::Unsuppress { of, .. }) = &args.command;
    let plan = of.config.load(env)?;
    let sink = sink(&plan, of.sink.as_deref())?;
    let place = Place::find(&plan, sink).await?;
    let json = of.json;
    match args.command {
        Command::Show { who, .. } => show(&place, sink, &who.key, json).await,
        Command::Resend { which: Which { key: Some(key), .. }, .. } => {
            resend(place, &key, json).await
        }
        Command::Resend { .. } => resend_all(place, json).await,
        Command::Forget { who, erase, suppress, exit, .. } => {
            let how = Dismissal { exit, suppress };
            forget(place, &who.key, how, erase, json).await
        }
        Command::Unsuppress { who, .. } => unsuppress(place, &who.key, json).await,
    }
}

async fn show(place: &Place<'_>, sink: &SinkPlan, key: &str, json: bool) -> Result<(), Failure> {
    let profile = place::look(place, sink, key).await?;
    if json { print_json(&profile) } else { print(&text::profile(&profile)) }
}

async fn resend(place: Place<'_>, key: &str, json: bool) -> Result<(), Failure> {
    let is_running = place.is_running();
    let keeper = Keeper::of(place)?;
    let resent = keeper.resend(key).await;
    keeper.close().await?;
    say_resent(resent?, is_running, json)
}

async fn resend_all(place: Place<'_>, json: bool) -> Result<(), Failure> {
    let is_running = place.is_running();
    let keeper = Keeper::of(place)?;
    let mut progress = Progress::default();
    let resent = resend_in_steps(&keeper, &mut progress).await;
    progress.end();
    keeper.close().await?;
    say_resent(resent?, is_running, json)
}

async fn resend_in_steps(keeper: &Keeper<'_>, progress: &mut Progress) -> Result<Resent, Failure> {
    let mut sum = Resent::default();
    let mut after = None;
    loop {
        let step = keeper.resend_after(after.as_deref()).await?;
        sum += step.resent;
        let Some(next) = step.next else { return Ok(sum) };
        after = Some(next);
        progress.show(sum);
    }
}

fn say_resent(resent: Resent, is_running: bool, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&resent);
    }
    let Resent { resent, not_followed } = resent;
    let when = if is_running || resent == 0 { "" } else { "; delivered by the next run" };
    let due = count(resent, "profile is due", "profiles are due");
    print(&format!("{due} under a new version{when}\n"))?;
    if not_followed > 0 {
        let left = count(not_followed, "profile is", "profiles are");
        print(&format!("{left} not followed and not sent\n"))?;
    }
    Ok(())
}

async fn forget(
    place: Place<'_>,
    key: &str,
    how: Dismissal,
    erase: bool,
    json: bool,
) -> Result<(), Failure> {
    let is_running = place.is_running();
    let keeper = Keeper::of(place)?;
    let forgotten = keeper.forget(key, how, erase).await;
    keeper.close().await?;
    let forgotten = forgotten?;
    if json {
        return print_json(&forgotten);
    }
    print(&text::forgotten(&forgotten, how, erase, is_running))
}

async fn unsuppress(place: Place<'_>, key: &str, json: bool) -> Result<(), Failure> {
    let keeper = Keeper::of(place)?;
    let done = keeper.unsuppress(key).await;
    keeper.close().await?;
    let done = done?;
    if json {
        print_json(&done)?;
    }
    if !done.unsuppressed {
        return Err(Failure::of("there is no such suppressed profile; its records are taken"));
    }
    if json { Ok(()) } else { print("records of the profile are taken again\n") }
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(Failure::of)?;
    print(&format!("{json}\n"))
}
