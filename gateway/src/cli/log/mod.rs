//! `shardwire log`: a look at the files of a store. Nothing is written, and no lock is taken.

mod json;
mod look;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use storage::{Conclusion, Detail, Generation};

use crate::config;
use look::{Look, Wanted};

/// Look at the log of a store: what is in it, and whether it is as it was written.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    Inspect(InspectArgs),
    Verify(VerifyArgs),
}

/// Tell what is in the log: shards, superblocks, segments; with --segment also batches and records, one by one.
///
/// Changes nothing. While a gateway runs on the store, what is shown may be a moment old.
#[derive(Debug, Args)]
struct InspectArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Begin with the first batch at this byte of the segment, or behind it
    #[arg(long, value_name = "OFFSET", requires = "segment", default_value_t = 0)]
    from: u32,
    /// Tell at most so many batches of the segment
    #[arg(long, value_name = "K", requires = "segment", default_value_t = 20)]
    limit: u32,
    /// Print the bodies of messages too, in hexadecimal: they are private
    #[arg(long, requires = "segment")]
    bodies: bool,
}

/// Check every checksum, length, link and number in the log, and say what a start of the gateway would make of it.
///
/// Changes nothing, and works on a read-only file system and on a copy. Exit code 0: all is as it was written (the rest of an
/// interrupted write that nobody was told of is told, and is no damage); 5: something is damaged, and it says where; 1: it could
/// not be checked. A finding in the log of a running gateway counts only if a second look finds it too.
#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The store's directory, or a copy of it [default: SHARDWIRE__DATA_DIR, or shardwire-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only this shard
    #[arg(long, value_name = "N")]
    shard: Option<u16>,
    /// Only this segment of the shard: its generation, or the name of its file
    #[arg(long, value_name = "N", value_parser = parse_segment)]
    segment: Option<Generation>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Does what the command line asks.
pub(crate) fn run(args: LogArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        LogCommand::Inspect(args) => inspect(args),
        LogCommand::Verify(args) => verify(args.place),
    }
}

fn inspect(args: InspectArgs) -> anyhow::Result<ExitCode> {
    let InspectArgs { place, from, limit, bodies } = args;
    let detail = Detail { from, batch_count_max: limit, has_bodies: bodies };
    let is_json = place.json;
    let look = look(place, Some(detail))?;
    print(&if is_json { json::document(&look, "inspect") } else { text::inspect(&look) })?;
    match look.refusal() {
        Some(reason) if !look.is_damaged() => bail!("{reason}"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn verify(place: PlaceArgs) -> anyhow::Result<ExitCode> {
    let is_json = place.json;
    let look = look(place, None)?;
    print(&if is_json { json::document(&look, "verify") } else { text::verify(&look) })?;
    if look.is_damaged() {
        return Ok(ExitCode::from(DAMAGED));
    }
    match look.refusal() {
        Some(reason) => bail!("{reason}"),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn look(place: PlaceArgs, detail: Option<Detail>) -> anyhow::Result<Look> {
    let dir = config::data_dir(place.data_dir);
    let wanted =
        Wanted { shard: place.shard, segment: place.segment, detail: detail.filter(|_| place.segment.is_some()) };
    let look = look::look(&dir, &wanted)?;
    if let Some(generation) = place.segment {
        for shard in &look.shards {
            let report = &shard.report;
            let is_there = report.segments.iter().any(|segment| segment.generation == generation)
                || report.findings.iter().any(|finding| finding.file == storage::File::Segment(generation));
            let is_refused = matches!(report.conclusion, Some(Conclusion::Refused { .. }));
            if !is_there && !is_refused {
                bail!(
                    "{}: the log of shard {} has no {}",
                    dir.display(),
                    shard.shard,
                    storage::File::Segment(generation)
                );
            }
        }
    }
    Ok(look)
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Who has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output"),
    }
}

fn parse_segment(text: &str) -> Result<Generation, String> {
    let number = match text.strip_prefix("segment-") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map(Generation).map_err(|_| "a generation such as 31, or a name such as segment-0000001f".to_owned())
}

/// Something is damaged.
const DAMAGED: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_named_by_number_or_by_file() {
        assert_eq!(parse_segment("31"), Ok(Generation(31)));
        assert_eq!(parse_segment("segment-0000001f"), Ok(Generation(31)));
        for wrong in ["", "1f", "segment-", "segment-xyz", "spare-00000001", "-1"] {
            assert!(parse_segment(wrong).is_err(), "{wrong}");
        }
    }
}
