//! Where readings come from: the kernel, or a file.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::model::Model;
use crate::session::{
    file,
    filters::Filters,
    live::Live,
    recording::{About, Recording},
    sieve::Sieve,
};

/// A session, or what was recorded of one.
pub enum Source {
    Live(Box<Live>),
    Replay(Box<Replay>),
}

/// A recording, and how far it is shown.
pub struct Replay {
    recording: Recording,
    shown: usize,
}

impl Replay {
    /// The groups of a recording that filters let through.
    ///
    /// # Errors
    /// When a filter asks what was not recorded.
    pub fn new(mut recording: Recording, filters: &Filters) -> Result<Self> {
        let sieve = Sieve::new(&recording, filters)?;
        let keys = &recording.keys;
        for state in &mut recording.states {
            state
                .changed
                .retain(|group, _| keys.get(*group).is_some_and(|key| sieve.passes(key)));
        }
        recording.about.filters.extend(filters.words());
        Ok(Self {
            recording,
            shown: 0,
        })
    }
}

impl Source {
    /// # Errors
    /// When a file cannot be read, or not be filtered so.
    pub fn replay(path: &Path, filters: &Filters) -> Result<Self> {
        let replay = Replay::new(file::read(path)?, filters)?;
        Ok(Self::Replay(Box::new(replay)))
    }

    #[must_use]
    pub fn about(&self) -> &About {
        match self {
            Self::Live(live) => live.about(),
            Self::Replay(replay) => &replay.recording.about,
        }
    }

    /// Which reading of how many is shown, of a recording.
    #[must_use]
    pub fn steps(&self) -> Option<[usize; 2]> {
        match self {
            Self::Live(_) => None,
            Self::Replay(replay) => Some([replay.shown, replay.recording.states.len()]),
        }
    }

    /// Adds the next reading, if there is one.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn advance(&mut self, model: &mut Model) -> Result<()> {
        match self {
            Self::Live(live) => {
                let state = live.read()?;
                model.advance(live.keys(), &state);
            }
            Self::Replay(replay) => {
                if let Some(state) = replay.recording.states.get(replay.shown) {
                    model.advance(&replay.recording.keys, state);
                    replay.shown += 1;
                }
            }
        }
        Ok(())
    }

    /// Goes one reading back, in a recording.
    pub fn back(&mut self, model: &mut Model) {
        let Self::Replay(replay) = self else {
            return;
        };
        replay.shown = replay.shown.saturating_sub(1);
        *model = Model::new(&replay.recording.about);
        for state in replay.recording.states.iter().take(replay.shown) {
            model.advance(&replay.recording.keys, state);
        }
    }

    /// How long to wait for the next reading: as long as it took when it was recorded. `None` if there is none.
    #[must_use]
    pub fn wait(&self, every: Duration) -> Option<Duration> {
        let Self::Replay(replay) = self else {
            return Some(every);
        };
        let Replay { recording, shown } = &**replay;
        let next = recording.states.get(*shown)?.at;
        let last = shown
            .checked_sub(1)
            .and_then(|last| recording.states.get(last));
        let last = last.map_or(0, |state| state.at);
        Some(Duration::from_millis(next.saturating_sub(last)))
    }
}
