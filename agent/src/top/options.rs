//! What somebody looks at, and how: all that keys change.

use anyhow::{Result, ensure};

use super::{
    columns::{Column, Since},
    keys::Key,
    model::{Model, Row},
};
use crate::session::{by::By, recording::About, sieve};

/// Tables at once.
const PANES: usize = 3;

/// How a session is looked at.
pub struct Options {
    /// What a table can be by: dimensions that were recorded, each with those that it is shown with.
    choices: Vec<Vec<By>>,
    pub panes: Vec<Pane>,
    /// Which table keys are for.
    pub focus: usize,
    /// Whether it has all the room.
    pub zoomed: bool,
    pub sort: Column,
    pub total: bool,
    /// Only groups with this text are shown.
    pub filter: String,
    pub paused: bool,
    pub mode: Mode,
}

/// What keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Tables,
    /// The filter is typed.
    Typing,
    Help,
}

/// A table.
pub struct Pane {
    /// Which of the choices it is by.
    choice: usize,
    /// Rows above the first that is shown.
    pub above: usize,
}

/// What a key asks for beyond another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    None,
    Quit,
    /// To the next, or to the previous reading of a recording.
    Forward,
    Back,
    /// To be stopped, as a shell's jobs are.
    Suspend,
    /// Everything is to be written again.
    Redraw,
}

impl Options {
    /// Tables by `wanted`; or by geometry, process and caller, as far as those were recorded.
    ///
    /// # Errors
    /// When something wanted was not recorded, or is more than a screen has room for.
    pub fn new(about: &About, wanted: &[By], paused: bool) -> Result<Self> {
        ensure!(
            wanted.len() <= PANES,
            "--by: at most {PANES} tables fit on a screen; any other is a key away (g)"
        );
        let choice = |by: &By| match by {
            // A number alone says little to people.
            By::Tgid | By::Pid if about.by.contains(&By::Comm) => vec![By::Comm, *by],
            by => vec![*by],
        };
        let mut choices: Vec<_> = about.by.iter().map(choice).collect();
        if choices.is_empty() {
            // Nothing was told apart: one group.
            choices.push(vec![]);
        }
        let usual = [By::Geometry, By::Tgid, By::Caller].into_iter();
        let mut panes: Vec<_> = usual.flat_map(|by| sieve::column(about, by)).collect();
        if !wanted.is_empty() {
            let wanted = wanted.iter().map(|by| sieve::column(about, *by));
            panes = wanted.collect::<Result<_>>()?;
        }
        if panes.is_empty() {
            panes.push(0);
        }
        let panes = panes.into_iter();
        Ok(Self {
            choices,
            panes: panes.map(|choice| Pane { choice, above: 0 }).collect(),
            focus: 0,
            zoomed: false,
            sort: Column::Inside,
            total: false,
            filter: String::new(),
            paused,
            mode: Mode::Tables,
        })
    }

    /// What figures are of.
    #[must_use]
    pub fn since(&self, model: &Model) -> Since {
        if self.total {
            Since::Beginning
        } else {
            Since::Last(model.interval)
        }
    }

    /// The dimensions of a table.
    #[must_use]
    pub fn by(&self, pane: &Pane) -> &[By] {
        self.choices.get(pane.choice).map_or(&[], Vec::as_slice)
    }

    /// The rows of a table, in the order in which they are shown.
    #[must_use]
    pub fn rows(&self, pane: &Pane, model: &Model) -> Vec<Row> {
        let place = |by: &By| model.about.by.iter().position(|known| known == by);
        let columns: Vec<_> = self.by(pane).iter().filter_map(place).collect();
        let since = self.since(model);
        let mut rows = model.rows(&columns, &self.filter);
        // Stable: equal ones stay in the order of their keys.
        rows.sort_by_cached_key(|row| std::cmp::Reverse(self.sort.rank(&row.tallies, since)));
        rows
    }

    /// Does what a key says. `replayed`: time passes by keys.
    pub fn press(&mut self, key: Key, model: &Model, replayed: bool) -> Deed {
        match key {
            Key::Ctrl('c') => return Deed::Quit,
            Key::Ctrl('z') => return Deed::Suspend,
            Key::Ctrl('l') => return Deed::Redraw,
            _ if self.mode == Mode::Typing => self.typed(key),
            Key::Char('q') => return Deed::Quit,
            _ if self.mode == Mode::Help => self.mode = Mode::Tables,
            Key::Right if replayed => return Deed::Forward,
            Key::Left if replayed => return Deed::Back,
            Key::Char(char) => self.switch(char),
            Key::Enter => self.zoomed ^= true,
            Key::Escape => {
                self.zoomed = false;
                self.filter.clear();
            }
            Key::Tab => self.focus = (self.focus + 1) % self.panes.len().max(1),
            Key::BackTab => {
                self.focus = (self.focus + self.panes.len().max(1) - 1) % self.panes.len().max(1);
            }
            _ => self.scroll(key, model),
        }
        Deed::None
    }

    fn switch(&mut self, char: char) {
        match char {
            '?' | 'h' => self.mode = Mode::Help,
            ' ' | 'p' => self.paused ^= true,
            '/' => self.mode = Mode::Typing,
            't' => self.total ^= true,
            'z' => self.zoomed ^= true,
            's' => self.sort = neighbour(self.sort, 1),
            'S' => self.sort = neighbour(self.sort, Column::ALWAYS.len() - 1),
            'g' => self.group(1),
            'G' => self.group(self.choices.len().saturating_sub(1)),
            _ => {}
        }
    }

    /// Tells the calls of a table by what comes so far behind.
    fn group(&mut self, by: usize) {
        let choices = self.choices.len().max(1);
        if let Some(pane) = self.panes.get_mut(self.focus) {
            pane.choice = (pane.choice + by) % choices;
            pane.above = 0;
        }
    }

    fn typed(&mut self, key: Key) {
        match key {
            Key::Char(char) => self.filter.push(char),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.mode = Mode::Tables,
            Key::Escape => {
                self.mode = Mode::Tables;
                self.filter.clear();
            }
            _ => {}
        }
        self.panes.iter_mut().for_each(|pane| pane.above = 0);
    }

    fn scroll(&mut self, key: Key, model: &Model) {
        const PAGE: usize = 10;
        let Some(pane) = self.panes.get(self.focus) else {
            return;
        };
        let last = self.rows(pane, model).len().saturating_sub(1);
        let above = match key {
            Key::Up => pane.above.saturating_sub(1),
            Key::Down => pane.above + 1,
            Key::PageUp => pane.above.saturating_sub(PAGE),
            Key::PageDown => pane.above + PAGE,
            Key::Home => 0,
            Key::End => last,
            _ => return,
        };
        self.panes[self.focus].above = above.min(last);
    }
}

/// The column so far behind this one, in a circle.
fn neighbour(column: Column, by: usize) -> Column {
    let all = Column::ALWAYS;
    let place = all.iter().position(|known| *known == column).unwrap_or(0);
    all[(place + by) % all.len()]
}
