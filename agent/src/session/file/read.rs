//! Reading a recording, which somebody may have cut, changed or made up. Memory is bounded whatever the file says.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    mem,
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use daxscope_common::hist::fine;

use super::{Line, Reading, lines::Lines, named};
use crate::session::{
    by::Value,
    recording::{About, Recording, State},
    tally::Tally,
};

/// The most groups, and the most bytes of lines that name them.
const KEYS: usize = 1 << 20;
const KEY_BYTES: u64 = 256 << 20;
/// What the readings that are kept may hold: histogram slots, and for the rest of each change as much as so many of those.
const KEPT: usize = 8 << 20;
const CHANGE: usize = 8;

/// Reads all of a file. Of a very long recording, readings that follow each other become one.
///
/// # Errors
/// When it is no recording, one of a newer format, or not whole.
pub fn read(path: &Path) -> Result<Recording> {
    let file = File::open(path).with_context(|| format!("cannot read {}", named(path)))?;
    parse(BufReader::new(file)).with_context(|| format!("{} is no whole recording", named(path)))
}

fn parse(file: impl BufRead) -> Result<Recording> {
    let mut lines = Lines::new(file)?;
    let Line::About(about) = lines.next()? else {
        bail!("line 2 does not say what it is of");
    };
    let mut reader = Reader::new(about.into_owned());
    loop {
        let line = lines.next()?;
        let end = matches!(line, Line::End { .. });
        let taken = reader.take(line, lines.bytes());
        taken.with_context(|| format!("line {}", lines.number()))?;
        if end {
            break;
        }
    }
    lines.nothing_more()?;
    Ok(reader.recording)
}

/// A recording that grows line by line.
struct Reader {
    recording: Recording,
    key_bytes: u64,
    /// Of the reading whose line is to come.
    changed: BTreeMap<usize, Tally>,
    /// Readings so far, also those that are one with another now.
    states: usize,
    /// As [`KEPT`] counts.
    kept: usize,
}

impl Reader {
    fn new(about: About) -> Self {
        Self {
            recording: Recording {
                about,
                keys: vec![],
                states: vec![],
            },
            key_bytes: 0,
            changed: BTreeMap::new(),
            states: 0,
            kept: 0,
        }
    }

    fn take(&mut self, line: Line, bytes: usize) -> Result<()> {
        match line {
            Line::About(_) => bail!("it says a second time what it is of"),
            Line::Key(key) => self.key(key.into_owned(), bytes),
            Line::Change(group, tally) => self.change(group, tally.into_owned()),
            Line::State(reading) => self.state(reading),
            Line::End { keys, states } => {
                ensure!(self.changed.is_empty(), "its last reading is not whole");
                ensure!(
                    keys == self.recording.keys.len() && states == self.states,
                    "its end counts {keys} groups and {states} readings, but there are {} and {}",
                    self.recording.keys.len(),
                    self.states
                );
                Ok(())
            }
        }
    }

    fn key(&mut self, key: Vec<Value>, bytes: usize) -> Result<()> {
        let (has, by) = (key.len(), self.recording.about.by.len());
        ensure!(
            has == by,
            "a group has {has} values where {by} tell groups apart"
        );
        self.key_bytes += bytes as u64;
        ensure!(
            self.recording.keys.len() < KEYS && self.key_bytes <= KEY_BYTES,
            "it has more groups than can be read: {KEYS}, or {KEY_BYTES} bytes of them"
        );
        self.recording.keys.push(key);
        Ok(())
    }

    fn change(&mut self, group: usize, tally: Tally) -> Result<()> {
        let groups = self.recording.keys.len();
        ensure!(
            group < groups,
            "it counts group {group}, and has {groups} from 0"
        );
        if let Some(slot) = tally.slots.keys().find(|slot| **slot >= fine::SLOTS) {
            bail!(
                "there is no slot {slot} of durations, only {} from 0",
                fine::SLOTS
            );
        }
        let twice = self.changed.insert(group, tally).is_some();
        ensure!(!twice, "it counts group {group} twice in one reading");
        Ok(())
    }

    fn state(&mut self, Reading { at, changed, lost }: Reading) -> Result<()> {
        let has = self.changed.len();
        ensure!(
            has == changed,
            "a reading says {changed} changes and has {has}"
        );
        ensure!(self.recording.elapsed() <= at, "its time goes backwards");
        let state = State {
            at,
            changed: mem::take(&mut self.changed),
            lost: lost.into_owned(),
        };
        self.states += 1;
        self.kept += size(&state);
        self.recording.states.push(state);
        while self.kept > KEPT {
            ensure!(
                self.recording.states.len() > 1,
                "a reading is larger than can be read"
            );
            self.recording.states = coarser(mem::take(&mut self.recording.states));
            self.kept = self.recording.states.iter().map(size).sum();
        }
        Ok(())
    }
}

fn size(state: &State) -> usize {
    let changes = state.changed.values();
    CHANGE
        + changes
            .map(|tally| CHANGE + tally.slots.len())
            .sum::<usize>()
}

/// Of each two readings one. Both hold all since the beginning, so the later says what the earlier does.
fn coarser(states: Vec<State>) -> Vec<State> {
    let mut coarse = Vec::with_capacity(states.len().div_ceil(2));
    let mut states = states.into_iter();
    while let Some(first) = states.next() {
        let Some(second) = states.next() else {
            coarse.push(first);
            break;
        };
        let mut changed = first.changed;
        changed.extend(second.changed);
        coarse.push(State { changed, ..second });
    }
    coarse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(at: u64, groups: &[usize]) -> State {
        let tally = Tally {
            calls: at,
            ..Tally::default()
        };
        State {
            at,
            changed: groups.iter().map(|group| (*group, tally.clone())).collect(),
            lost: BTreeMap::from([("start".into(), at)]),
        }
    }

    #[test]
    fn coarser_readings_say_the_same_in_the_end() {
        let states = vec![state(1, &[0, 1]), state(2, &[1]), state(3, &[0])];
        let coarse = coarser(states);
        let of = |at: usize, group| coarse[at].changed.get(&group).map(|tally| tally.calls);
        assert_eq!(coarse.len(), 2);
        assert_eq!((of(0, 0), of(0, 1)), (Some(1), Some(2)));
        assert_eq!((of(1, 0), of(1, 1)), (Some(3), None));
        assert_eq!((coarse[0].at, coarse[0].lost["start"]), (2, 2));
    }
}
