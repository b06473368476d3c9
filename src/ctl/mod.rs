//! The commands of `paxosctl`, and those of `paxosd` in [`node`]: arguments in, text and an exit
//! code out.

mod append;
mod args;
mod bench;
mod calendar;
mod codes;
mod completions;
mod connect;
mod disk_check;
mod endpoints;
mod entry;
mod environment;
mod exit;
mod health;
mod logs;
mod lost;
mod man;
pub mod node;
mod progress;
mod read;
mod screen;
mod status;
mod stop;
mod table;
mod top;
mod units;
mod usage;
mod values;
mod verify;
mod wait;

pub use args::{Cli, Command, Format, Global};
pub use exit::{CommandFailure, Exit};
pub use values::ConsistencyArg;

use crate::client::{AttributeChanges, Client};
use connect::{connect, one_cluster, options};
use signal_hook::low_level::emulate_default_handler;
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::time::{Duration, Instant};

/// Bytes of output collected before they are written.
const OUT_BYTES: usize = 64 << 10;
/// How long an operation may take unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long `wait` waits unless `--timeout` says otherwise.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a command reads and writes.
pub struct Streams<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Standard output, buffered: flushed at the end, and before a command waits for something.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

/// Runs `paxosctl` with the process's streams; returns what it exits with.
pub fn main<I>(arguments: I) -> u8
where
    I: IntoIterator<Item = OsString>,
{
    let cli = match args::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap knows, and prints to the right stream.
            let _nobody_reads_it = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.number());
        }
    };
    // A parent that blocked SIGINT must not keep a person from stopping this.
    let _it_goes_on_without = crate::daemon::node::inherited::unblock_signals();
    // Not locked: a thread that panics must get its message out, and the terminal back.
    let mut out = BufWriter::with_capacity(OUT_BYTES, io::stdout());
    let mut err = io::stderr();
    for what in environment::unknown(args::program(), std::env::vars_os().map(|(name, _)| name)) {
        let _nobody_reads_it = writeln!(err, "paxosctl: warning: {what}");
    }
    for note in &cli.notes {
        let _nobody_reads_it = writeln!(err, "paxosctl: note: {note}");
    }
    let mut input = io::stdin().lock();
    let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err };
    let exit = run(&cli, &mut streams);
    if let Some(signal) = exit.signal() {
        let _ends_the_process = emulate_default_handler(signal);
    }
    exit.number()
}

/// Runs one command and says on standard error why it failed, if it did.
pub fn run(cli: &Cli, streams: &mut Streams<'_>) -> Exit {
    let ran = command(cli, streams);
    // What was acknowledged is printed even when something behind it failed.
    let flushed = streams.out.flush().map_err(CommandFailure::Output);
    let Err(failure) = ran.and(flushed) else { return Exit::Ok };
    let exit = failure.exit();
    if exit != Exit::Ok {
        let _nobody_reads_it = writeln!(streams.err, "paxosctl: {failure}");
    }
    exit
}

/// The changes of a command line in one, each attribute once.
fn joined(changes: &[AttributeChanges]) -> Result<AttributeChanges, CommandFailure> {
    let mut all = AttributeChanges::default();
    for change in changes {
        let twice = [
            ("retain.bytes", all.retain_bytes.is_some() && change.retain_bytes.is_some()),
            ("retain.entries", all.retain_entries.is_some() && change.retain_entries.is_some()),
            ("retain.age", all.retain_age_ms.is_some() && change.retain_age_ms.is_some()),
        ];
        if let Some((name, _)) = twice.iter().find(|(_, is_twice)| *is_twice) {
            return Err(CommandFailure::Usage(format!("the attribute {name} is set twice")));
        }
        all.retain_bytes = all.retain_bytes.or(change.retain_bytes);
        all.retain_entries = all.retain_entries.or(change.retain_entries);
        all.retain_age_ms = all.retain_age_ms.or(change.retain_age_ms);
        all.seal |= change.seal;
    }
    Ok(all)
}

fn command(cli: &Cli, streams: &mut Streams<'_>) -> Result<(), CommandFailure> {
    let format = cli.global.output;
    let connect = || connect(&cli.global, TIMEOUT);
    let since = Instant::now();
    let within = cli.global.timeout.unwrap_or(TIMEOUT);
    // For commands whose time bounds all of what they do.
    let bounded = || {
        let mut client = connect()?;
        client.end_all_within(since, within);
        Ok::<Client, CommandFailure>(client)
    };
    let out = &mut *streams.out;
    let (table, raw) = (format.unwrap_or(Format::Table), format.unwrap_or(Format::Raw));
    match &cli.command {
        Command::Create { name, retain } => {
            logs::create(&mut bounded()?, name, retain.retention(), table, out)
        }
        Command::Delete { name } => logs::delete(&mut bounded()?, name, table, out),
        Command::Trim { name, before } => logs::trim(&mut bounded()?, name, *before, table, out),
        Command::DeclareLost { name, from, before, yes: _ } => {
            lost::declare(&mut bounded()?, name, (*from, *before), table, out)
        }
        Command::Seal { name } => {
            let seal = AttributeChanges { seal: true, ..AttributeChanges::default() };
            logs::set(&mut bounded()?, name, seal, table, out)
        }
        Command::Set { name, changes } => {
            logs::set(&mut bounded()?, name, joined(changes)?, table, out)
        }
        Command::List { prefix, consistency } => {
            logs::list(&mut bounded()?, prefix, *consistency, table, out)
        }
        Command::Stat { name, consistency } => {
            logs::stat(&mut bounded()?, name, *consistency, table, out)
        }
        Command::Append(append) => {
            // Lines come and go for as long as there are some: each has its own time.
            let mut client = if append.lines || append.jsonl { connect()? } else { bounded()? };
            append::append(&mut client, append, raw, streams)
        }
        Command::Read(read) => {
            let mut client = if read.follow { connect()? } else { bounded()? };
            read::read(&mut client, read, raw, streams)
        }
        Command::Get { name } => read::get(&mut bounded()?, name, raw, out),
        Command::Put(put) => append::append(&mut bounded()?, &put.append(), raw, streams),
        Command::Status => match Client::connect_once(options(&cli.global, TIMEOUT))? {
            Ok(mut client) => {
                one_cluster(&client, &cli.global)?;
                client.end_all_within(since, within);
                status::status(&mut client, table, out)
            }
            Err(failed) => status::nobody(&failed, table, out),
        },
        Command::Wait(wait) => wait::wait(&cli.global, wait, table, out),
        Command::Verify(verify) => verify::verify(verify, table, out),
        Command::DiskCheck(check) => disk_check::disk_check(check, table, out),
        Command::Completions { shell } => {
            let script = completions::script(*shell, args::program());
            out.write_all(&script).map_err(CommandFailure::Output)
        }
        Command::Man { dir } => man::man(dir.as_deref(), out),
        Command::Bench(bench) => {
            // Many clients, and a report of its own.
            let connect = || Ok(Client::connect(options(&cli.global, TIMEOUT))?);
            bench::bench(connect, bench, table, streams)
        }
        Command::Top(top) => top::top(&cli.global, top, out),
    }
}

/// Writes one JSON value as a line.
fn write_json(out: &mut dyn Write, value: &serde_json::Value) -> Result<(), CommandFailure> {
    writeln!(out, "{value}").map_err(CommandFailure::Output)
}

/// What was done stays done where standard output does not take what there is to say of it.
fn done(
    printed: Result<(), CommandFailure>,
    out: &mut dyn Write,
    note: impl FnOnce() -> String,
) -> Result<(), CommandFailure> {
    match printed.and_then(|()| out.flush().map_err(CommandFailure::Output)) {
        Err(CommandFailure::Output(source)) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandFailure::Unprinted { source, note: note() })
        }
        other => other,
    }
}
