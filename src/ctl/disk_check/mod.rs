//! `disk-check`: how fast a directory's disk syncs, and whether its syncs mean anything.

mod file_system;
mod measure;

use super::args::{self, Format};
use super::exit::CommandFailure;
use super::table::{Align, TextTable};
use super::write_json;
use file_system::{FileSystem, Warning};
use measure::{Measured, measure};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A disk does not take less: below it, a sync has reached none.
const PLAUSIBLE_US: u64 = 5;
/// Appends wait for the sync: slower ones than this, a hundredth of them, are felt.
const SLOW_US: u64 = 50_000;
/// The quantiles shown, with their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Measures a directory's disk, and warns of what is wrong with it.
pub fn disk_check(
    arguments: &args::DiskCheck,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let dir = directory(&arguments.dir)?;
    let system = FileSystem::of(&dir).map_err(|error| {
        CommandFailure::Other(format!("{}: cannot tell its space: {error}", dir.display()))
    })?;
    usable(&dir, &system, arguments.bytes)?;
    let measured = measure(&dir, arguments.bytes, arguments.seconds)
        .map_err(|(doing, error)| failed(&dir, doing, &error))?;
    let warnings = warnings(&system, &measured);
    match format {
        Format::Table => {
            table(&dir, &system, &measured, &warnings, out).map_err(CommandFailure::Output)
        }
        Format::Json | Format::Jsonl => {
            write_json(out, &document(&dir, &system, &measured, &warnings, arguments.bytes))
        }
        // p50 and p99 of a sync in microseconds.
        Format::Raw => {
            let at = |quantile| measured.sync_us.value_at_quantile(quantile);
            writeln!(out, "{} {}", at(0.5), at(0.99)).map_err(CommandFailure::Output)
        }
    }
}

/// The directory, without links.
fn directory(dir: &Path) -> Result<PathBuf, CommandFailure> {
    let shown = dir.display();
    match fs::canonicalize(dir) {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => Err(CommandFailure::Usage(format!("{shown} is a file; name a directory"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CommandFailure::NotFound(
            format!("{shown} does not exist; create it, or name one on the same disk"),
        )),
        Err(error) => Err(CommandFailure::Other(format!("{shown} cannot be opened: {error}"))),
    }
}

/// Fails where nothing could be measured.
fn usable(dir: &Path, system: &FileSystem, bytes: u64) -> Result<(), CommandFailure> {
    let shown = dir.display();
    if system.read_only {
        return Err(CommandFailure::Other(format!(
            "{shown} lies on {} at {}, which is mounted read-only; a disk that failed is mounted \
             so by the kernel (see dmesg); else: mount -o remount,rw {}",
            system.source,
            system.mount_point.display(),
            system.mount_point.display()
        )));
    }
    if system.free_bytes < bytes {
        return Err(CommandFailure::NotExecuted(format!(
            "{shown} has {} free, the file to measure with takes {}; make room, or give --bytes",
            size(system.free_bytes),
            size(bytes)
        )));
    }
    Ok(())
}

fn failed(dir: &Path, doing: &str, error: &io::Error) -> CommandFailure {
    let shown = dir.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => CommandFailure::Other(format!(
            "{shown}: {doing} failed: {error}; run it as the user that the node runs as"
        )),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CommandFailure::NotExecuted(
            format!("{shown}: {doing} failed: {error}; make room, or give --bytes"),
        ),
        _ => CommandFailure::Other(format!(
            "{shown}: {doing} failed: {error}; paxosd would stop there with exit code 74: look at \
             the kernel's messages (dmesg) and at the disk's health"
        )),
    }
}

fn warnings(system: &FileSystem, measured: &Measured) -> Vec<Warning> {
    let mut warnings = system.warnings();
    let at = |quantile| measured.sync_us.value_at_quantile(quantile);
    if at(0.5) < PLAUSIBLE_US {
        warnings.push(Warning::new(
            format!("half of the syncs took less than {PLAUSIBLE_US} µs: no disk is that fast"),
            "find out what swallows the syncs: the file system, a library (eatmydata), or a \
             virtual disk with cache=unsafe",
        ));
    }
    if at(0.99) > SLOW_US {
        warnings.push(Warning::new(
            format!("one sync in a hundred takes longer than {} ms", SLOW_US / 1000),
            "every append waits for a sync: give paxosd a disk of its own, an SSD or NVMe, best \
             with power-loss protection",
        ));
    }
    warnings
}

fn rates(measured: &Measured) -> (f64, f64) {
    let seconds = measured.elapsed.as_secs_f64().max(1e-9);
    (measured.sync_us.len() as f64 / seconds, measured.bytes as f64 / 1e6 / seconds)
}

fn table(
    dir: &Path,
    system: &FileSystem,
    measured: &Measured,
    warnings: &[Warning],
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "{}: {} on {} at {}, {} of {} free, writable{}",
        dir.display(),
        system.kind,
        system.source,
        system.mount_point.display(),
        size(system.free_bytes),
        size(system.total_bytes),
        system
            .write_cache
            .as_ref()
            .map(|cache| format!(", device cache {cache}"))
            .unwrap_or_default(),
    )?;
    let (syncs, megabytes) = rates(measured);
    writeln!(
        out,
        "{} syncs in {:.1} s: {syncs:.0} syncs/s, {megabytes:.1} MB/s; the file was prepared in \
         {:.1} s\n",
        measured.sync_us.len(),
        measured.elapsed.as_secs_f64(),
        measured.preparing.as_secs_f64()
    )?;
    let heads = QUANTILES.map(|(name, _)| (name, Align::Right));
    let mut table =
        TextTable::new(&[&[("SYNC", Align::Left)], &heads[..], &[("max", Align::Right)]].concat());
    let mut row = vec!["ms".to_string()];
    row.extend(QUANTILES.map(|(_, at)| ms(measured.sync_us.value_at_quantile(at))));
    row.push(ms(measured.sync_us.max()));
    table.row(row);
    table.write(out)?;
    for Warning { what, advice } in warnings {
        writeln!(out, "\nwarning: {what}\n   what to do: {advice}")?;
    }
    Ok(())
}

/// Microseconds as milliseconds.
fn ms(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

fn document(
    dir: &Path,
    system: &FileSystem,
    measured: &Measured,
    warnings: &[Warning],
    file_bytes: u64,
) -> Value {
    let (syncs, megabytes) = rates(measured);
    let sync = &measured.sync_us;
    let at = |quantile| sync.value_at_quantile(quantile);
    json!({
        "directory": dir.display().to_string(),
        "file_system": system.value(),
        "file_bytes": file_bytes,
        "preparing_seconds": measured.preparing.as_secs_f64(),
        "seconds": measured.elapsed.as_secs_f64(),
        "syncs": sync.len(),
        "syncs_per_second": syncs,
        "bytes": measured.bytes,
        "megabytes_per_second": megabytes,
        "sync_us": {
            "min": sync.min(),
            "mean": sync.mean(),
            "p50": at(0.5),
            "p90": at(0.9),
            "p99": at(0.99),
            "p99_9": at(0.999),
            "max": sync.max(),
        },
        "warnings": warnings.iter().map(Warning::value).collect::<Vec<_>>(),
    })
}
