//! The verb `bench`: pins a range of a device-dax device and gives it back, in batches and by several ways into GUP, and says
//! how long the kernel took for it. The experiment of the patch series that gave pagemaps a geometry, on this host.

mod json;
mod place;
mod range;
mod reported;
mod ring;
mod way;
mod words;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::{range::Range, way::Way};
use crate::{
    cli::{DEGRADED, FAILED, ProbeArgs},
    inventory::names::{Device, Names, SYSFS},
    kernel::{Kernel, privileges::Privileges},
    session::{
        asked::{Asked, Room},
        by::{By, Value},
        filters::{Filters, How, duration},
        live::Live,
        tally::Tally,
    },
};

/// The series' own numbers are of so much memory.
const USUAL_BYTES: u64 = 16 << 30;

#[derive(Args)]
pub struct BenchArgs {
    /// A device-dax device, or its namespace: dax0.0, namespace0.0
    device: String,
    /// How much of it, from its beginning: 512M, 16G; at most 16G if left out
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<u64>,
    /// Pages in one request, where the way takes so many
    #[arg(long, value_name = "PAGES", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1024))]
    batch: u64,
    /// How often each way goes over the range
    #[arg(long, value_name = "TIMES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    /// No way takes longer than this; what it has done by then is what counts
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    limit: Duration,
    /// Map it for writing too, without writing: `io_uring` pins only such memory
    #[arg(long)]
    writable: bool,
    /// A null block device (/dev/nullb0, of the module `null_blk`) that `O_DIRECT` may write the pages to
    #[arg(long, value_name = "DEVICE")]
    sink: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    probes: ProbeArgs,
}

/// What came of it.
pub struct Report {
    pub device: Device,
    /// Of `uname -r`.
    pub kernel: String,
    /// Bytes that were gone over.
    pub bytes: u64,
    pub page_bytes: u64,
    /// Each way, or why it was not gone.
    pub rows: Vec<(Way, Result<Row, Why>)>,
}

/// Why a way was not gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It needs what was not allowed.
    NotAsked(&'static str),
    Failed(String),
}

/// What the kernel took for one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As the kernel has it, from the pages that were pinned.
    pub geometry: String,
    pub taken: Side,
    /// Where pins are given back by a function that can be watched.
    pub given: Option<Side>,
    /// What was lost while it was measured: then the figures are of less than was done.
    pub lost: Vec<String>,
}

/// Calls of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Of pins that are given back, all that do.
    pub entry: String,
    /// pin, get or unpin.
    pub how: String,
    pub calls: u64,
    pub pages: u64,
    /// Inside all of them.
    pub ns: u64,
}

/// Measures, and prints what came of it.
///
/// # Errors
/// When there is no such device, or it is in use, or nothing can be measured.
pub fn bench(args: &BenchArgs) -> Result<ExitCode> {
    if let Some(missing) = Privileges::read().missing() {
        bail!("{missing}");
    }
    let release = Kernel::read(args.probes.btf.as_deref())?.release;
    let names = Names::read(SYSFS.as_ref());
    let device = place::find(&names, &args.device)?;
    place::ensure_idle(device)?;
    let align = device.align.context("sysfs does not tell its alignment")?;
    let bytes = place::bytes(device, align, args.size.unwrap_or(USUAL_BYTES))?;
    say(args, device, bytes);
    let range = Range::map(&device.device, bytes, align, args.writable)?;
    range.touch();
    let rows = way::ALL.map(|way| {
        let row = match way.needs(args.writable, args.sink.is_some()) {
            Some(need) => Err(Why::NotAsked(need)),
            None => measure(args, device, &range, way)
                .map_err(|error| Why::Failed(format!("{error:#}"))),
        };
        (way, row)
    });
    let report = Report {
        device: device.clone(),
        kernel: release,
        bytes,
        page_bytes: range.page_bytes,
        rows: rows.into(),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        print!("{report}");
    }
    Ok(ExitCode::from(report.status()))
}

/// What is about to be done, before it is.
fn say(args: &BenchArgs, device: &Device, bytes: u64) {
    let rights = if args.writable {
        "for reading and writing"
    } else {
        "for reading"
    };
    eprintln!(
        "daxscope: maps {} of {} {rights}, reads a byte of each {}, and pins it all up to {} times by each way. \
         Nothing is written to it.",
        crate::text::bytes(bytes),
        device.device,
        device.align.map_or("page".into(), crate::text::bytes),
        args.passes,
    );
}

/// Goes over the range, watched.
fn measure(args: &BenchArgs, device: &Device, range: &Range, way: Way) -> Result<Row> {
    let hand = way.ready(args.sink.as_deref())?;
    let batch = args.batch.min(way.most_pages()) * range.page_bytes;
    // What cannot be done is refused here, before anything is attached.
    hand.pin(range.at(0), batch.min(range.bytes))?;
    let mut live = Live::attach(&Asked {
        rooms: vec![Room::Gup],
        by: vec![By::Entry, By::How, By::Geometry],
        filters: Filters {
            // Nobody else has it open, so whatever is pinned of it is by us.
            device: vec![device.device.clone()],
            entry: way.functions().map(str::to_owned).collect(),
            how: vec![How::Pin, How::Get, How::Unpin],
            ..Filters::default()
        },
        events: false,
        command: vec![],
        choice: args.probes.choice(),
        btf: args.probes.btf.clone(),
    })?;
    let end = Instant::now() + args.limit;
    'passes: for _ in 0..args.passes {
        let mut at = 0;
        while at < range.bytes {
            let bytes = batch.min(range.bytes - at);
            hand.pin(range.at(at), bytes)?;
            at += bytes;
            if Instant::now() > end {
                break 'passes;
            }
        }
    }
    live.detach()?;
    let state = live.read()?;
    let groups = state.changed.iter();
    let groups = groups.filter_map(|(group, tally)| Some((live.keys().get(*group)?, tally)));
    let lost = state.lost.iter().map(|(what, n)| format!("{what}: {n}"));
    row(groups, lost.collect())
}

/// Puts together what was counted by function, how and geometry.
fn row<'a>(
    groups: impl Iterator<Item = (&'a Vec<Value>, &'a Tally)>,
    lost: Vec<String>,
) -> Result<Row> {
    let (mut taken, mut given): (Option<(Side, String)>, Option<Side>) = (None, None);
    for (key, tally) in groups {
        let [Value::Text(entry), Value::Text(how), Value::Text(geometry)] = &key[..] else {
            continue;
        };
        let side = Side {
            entry: entry.clone(),
            how: how.clone(),
            calls: tally.calls,
            pages: tally.pages,
            ns: tally.ns,
        };
        if how == How::Unpin.name() {
            // An io_uring gives some back at once, where one pin of a compound page will do.
            given = Some(match given {
                Some(known) => known.and(&side),
                None => side,
            });
        } else if taken
            .as_ref()
            .is_none_or(|(known, _)| known.pages < side.pages)
        {
            taken = Some((side, geometry.clone()));
        }
    }
    let (taken, geometry) =
        taken.context("no call was seen: what is watched is not what it calls")?;
    Ok(Row {
        geometry,
        taken,
        given,
        lost,
    })
}

impl Report {
    /// The exit status: 0 if each way that was allowed was measured.
    fn status(&self) -> u8 {
        let rows = || self.rows.iter().map(|(_, row)| row);
        let whole = |row: &Result<Row, Why>| match row {
            Ok(row) => row.lost.is_empty(),
            Err(why) => matches!(why, Why::NotAsked(_)),
        };
        if !rows().any(Result::is_ok) {
            return FAILED;
        }
        if rows().all(whole) { 0 } else { DEGRADED }
    }

    /// Whether its struct pages are on the device.
    fn altmap(&self) -> bool {
        self.device.map == Some(crate::inventory::names::Map::Dev)
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::NotAsked(need) => f.write_str(need),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl Side {
    /// Both together.
    fn and(self, other: &Self) -> Self {
        Self {
            entry: format!("{} {}", self.entry, other.entry),
            how: self.how,
            calls: self.calls + other.calls,
            pages: self.pages + other.pages,
            ns: self.ns + other.ns,
        }
    }

    /// Nanoseconds for `bytes` at this rate.
    #[expect(clippy::cast_precision_loss, reason = "a rate of measured nanoseconds")]
    fn ns_for(&self, bytes: u64, page_bytes: u64) -> Option<f64> {
        let done = self.pages * page_bytes;
        (done > 0).then(|| self.ns as f64 * bytes as f64 / done as f64)
    }

    /// Bytes for each nanosecond inside, which are GB for each second.
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    fn gb_per_second(&self, page_bytes: u64) -> Option<f64> {
        let done = self.pages * page_bytes;
        (self.ns > 0).then(|| done as f64 / self.ns as f64)
    }
}

/// `512M`, `16G`: bytes.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: say 512M, 16G");
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(unit));
    let (unit, shift) = unit.copied().ok_or_else(wrong)?;
    let number: u64 = text
        .strip_suffix(unit)
        .and_then(|number| number.parse().ok())
        .ok_or_else(wrong)?;
    let bytes = number.checked_mul(1 << shift);
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("16G"), Ok(16 << 30));
        for wrong in ["", "G", "16", "0G", "-1G", "99999999999T", "1.5G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_way_is_what_most_pages_went() {
        let tally = |calls, pages, ns| Tally {
            calls,
            pages,
            ns,
            ..Tally::default()
        };
        let key = |entry: &str, how: &str| {
            ["entry", how, "2M"]
                .map(|word| Value::Text(if word == "entry" { entry } else { word }.into()))
                .to_vec()
        };
        let groups = [
            (key("get_user_pages_unlocked", "get"), tally(1, 4, 9)),
            (key("pin_user_pages_fast", "pin"), tally(2, 1024, 4096)),
            (key("unpin_user_page", "unpin"), tally(1020, 1020, 2000)),
            (key("unpin_user_folio", "unpin"), tally(4, 4, 48)),
        ];
        let row = row(groups.iter().map(|(key, tally)| (key, tally)), vec![]).expect("calls");
        assert_eq!(row.taken.entry, "pin_user_pages_fast");
        assert_eq!(row.geometry, "2M");
        let given = row.given.expect("unpins");
        assert_eq!((given.calls, given.pages), (1024, 1024));
        assert_eq!(given.gb_per_second(4096), Some(2048.0));
        assert_eq!(given.ns_for(4096 * 512, 4096), Some(1024.0));
    }

    #[test]
    fn what_nobody_called_is_no_row() {
        assert!(row(std::iter::empty(), vec![]).is_err());
    }
}
