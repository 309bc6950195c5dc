//! The verb `top`: a session on the whole screen, as it goes on.
//!
//! One direction of flow: [`source`] → [`model::Model`] → [`screen::Screen`]. Keys change only [`options::Options`], how somebody
//! looks at it.

mod columns;
mod heat;
mod help;
mod keys;
mod model;
mod options;
mod paint;
mod screen;
mod source;
mod table;
mod terminal;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::Args;

use self::{
    keys::Key,
    model::Model,
    options::{Deed, Options},
    screen::Screen,
    source::Source,
    terminal::{HANG_UP, Terminal, Wake},
};
use crate::{
    cli::ProbeArgs,
    kernel::privileges::Privileges,
    session::{
        asked::{Asked, RoomArgs},
        by::By,
        filters::{self, Filters},
        live::Live,
    },
};

/// What calls are told by, so that somebody can look at them by each of it.
const BY: [By; 7] = [
    By::Geometry,
    By::Entry,
    By::How,
    By::Device,
    By::Comm,
    By::Tgid,
    By::Caller,
];

#[derive(Args)]
pub struct TopArgs {
    #[command(flatten)]
    rooms: RoomArgs,
    /// What the tables are by, at most three; geometry, process and caller if left out
    #[arg(long, value_name = "DIMENSION", value_delimiter = ',', value_enum)]
    by: Vec<By>,
    /// Time between two readings: 500ms, 2s; at least 100ms
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    every: Duration,
    /// Show what is in this file, of `daxscope record`, instead of what happens now; needs no privileges
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rooms", "every", "btf", "mechanism"])]
    replay: Option<PathBuf>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    probes: ProbeArgs,
}

/// Shows a session until somebody quits.
///
/// # Errors
/// Without a terminal; when nothing can be attached, or a file not be read.
pub fn top(args: &TopArgs) -> Result<ExitCode> {
    // Of the two things that may be missing, the one that is harder to get.
    if args.replay.is_none()
        && let Some(missing) = Privileges::read().missing()
    {
        bail!("{missing}");
    }
    terminal::ensure()?;
    let source = match &args.replay {
        Some(path) => Source::replay(path, &args.filters)?,
        None => Source::Live(Box::new(Live::attach(&args.asked())?)),
    };
    let mut shown = Shown::new(source, args)?;
    let mut terminal = Terminal::open()?;
    loop {
        // Nobody can be told that the terminal is gone: it is as if the kernel had said so.
        let wake = terminal.show(&shown.screen());
        let wake = wake.and_then(|()| terminal.wait(shown.due()));
        let keys = match wake.unwrap_or(Wake::End(HANG_UP)) {
            Wake::Keys(keys) => keys,
            Wake::Resized => continue,
            Wake::Due => {
                shown.advance()?;
                continue;
            }
            Wake::End(signal) => {
                let status = 128 + signal as i32;
                return Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)));
            }
        };
        for key in keys {
            // Without its terminal, the next frame ends it.
            match shown.press(key)? {
                Deed::Quit => return Ok(ExitCode::SUCCESS),
                Deed::Suspend => drop(terminal.suspend()),
                Deed::Redraw => drop(terminal.redraw()),
                _ => {}
            }
        }
    }
}

/// Everything that a frame is of.
struct Shown {
    source: Source,
    model: Model,
    options: Options,
    every: Duration,
    /// When the last reading was.
    read: Instant,
    colours: bool,
}

impl Shown {
    fn new(source: Source, args: &TopArgs) -> Result<Self> {
        let (about, replayed) = (source.about(), args.replay.is_some());
        let mut shown = Self {
            model: Model::new(about),
            options: Options::new(about, &args.by, replayed)?,
            source,
            every: args.every,
            read: Instant::now(),
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        if replayed {
            shown.advance()?;
        }
        Ok(shown)
    }

    fn screen(&self) -> Screen<'_> {
        Screen {
            model: &self.model,
            options: &self.options,
            replayed: self.source.steps(),
            colours: self.colours,
        }
    }

    /// When the next reading is due; `None` for not before somebody says so.
    fn due(&self) -> Option<Instant> {
        let wait = self
            .source
            .wait(self.every)
            .filter(|_| !self.options.paused)?;
        Some(self.read + wait)
    }

    /// Does what a key says, as far as the terminal is not concerned.
    fn press(&mut self, key: Key) -> Result<Deed> {
        let replayed = self.source.steps().is_some();
        let deed = self.options.press(key, &self.model, replayed);
        self.options.paused |= matches!(deed, Deed::Forward | Deed::Back);
        match deed {
            Deed::Forward => self.advance()?,
            Deed::Back => self.source.back(&mut self.model),
            _ => {}
        }
        Ok(deed)
    }

    fn advance(&mut self) -> Result<()> {
        self.source.advance(&mut self.model)?;
        self.read = Instant::now();
        if self.source.wait(self.every).is_none() {
            self.options.paused = true;
        }
        Ok(())
    }
}

impl TopArgs {
    fn asked(&self) -> Asked {
        let mut by = BY.to_vec();
        by.extend(&self.by);
        by.sort_unstable();
        by.dedup();
        Asked {
            rooms: self.rooms.rooms(),
            by,
            filters: self.filters.clone(),
            events: false,
            command: vec![],
            choice: self.probes.choice(),
            btf: self.probes.btf.clone(),
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = filters::duration(text)?;
    if interval < Duration::from_millis(100) {
        return Err("less than 100ms nobody can read".into());
    }
    Ok(interval)
}
