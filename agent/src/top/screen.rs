//! The screen, from what is known and how somebody looks at it: nothing else decides a frame.

use std::fmt::Write as _;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    columns::Since,
    heat, help,
    model::{Model, Row},
    options::{Mode, Options, Pane},
    paint::{Lines, put, put_right, width},
    table::{Table, alarm},
};
use crate::{session::tally::PERCENTILE_ERROR, text};

/// The smallest screen that names, all columns and a row of each table fit on.
const SMALLEST: [u16; 2] = [70, 12];
/// Rows of the first table while others want room too.
const FIRST: usize = 5;

/// All that is shown.
pub struct Screen<'a> {
    pub model: &'a Model,
    pub options: &'a Options,
    /// Which reading of how many is shown, of a recording.
    pub replayed: Option<[usize; 2]>,
    pub colours: bool,
}

impl Screen<'_> {
    /// Writes a frame into an area.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer) {
        let [width, height] = SMALLEST;
        if area.width < width || area.height < height {
            let words = format!("daxscope top needs {width}x{height}");
            put(buffer, area, 0, &words, Style::new());
            return;
        }
        let mut lines = Lines(area);
        self.title(lines.take(1), buffer);
        self.status(lines.take(1), buffer);
        let body = lines.take(lines.left() - 1);
        if self.options.mode == Mode::Help {
            help::draw(body, buffer);
        } else {
            self.body(body, buffer);
        }
        self.footer(lines.take(1), buffer);
    }

    /// Whose calls, and when.
    fn title(&self, line: Rect, buffer: &mut Buffer) {
        let about = &self.model.about;
        let style = Style::new().add_modifier(Modifier::REVERSED);
        buffer.set_style(line, style);
        let state = match (self.replayed, self.options.paused) {
            (Some([step, steps]), true) => format!("reading {step} of {steps}"),
            (Some([step, steps]), false) => format!("playing {step} of {steps}"),
            (None, true) => "paused".into(),
            (None, false) => "live".into(),
        };
        let seconds = self.model.at / 1000;
        let right = format!(
            "{:02}:{:02}:{:02}  {state} ",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        let left = format!(
            "daxscope top  {}  {}  {}",
            text::escaped(&about.host),
            text::escaped(&about.kernel),
            about.rooms.join(" ")
        );
        let room = Rect {
            width: line.width.saturating_sub(width(&right) + 1),
            ..line
        };
        put(buffer, room, 1, &left, style.add_modifier(Modifier::BOLD));
        put_right(buffer, line, line.width, &right, style);
    }

    /// What was lost, what figures are of, and what is left out.
    fn status(&self, line: Rect, buffer: &mut Buffer) {
        let (model, options) = (self.model, self.options);
        let mut at = 1;
        for (name, n) in &model.lost {
            let words = format!("LOST {} {name}", text::count(*n));
            at = put(buffer, line, at, &words, alarm(Style::new(), self.colours)) + 2;
        }
        if !options.filter.is_empty() {
            let words = format!("with \"{}\"", text::escaped(&options.filter));
            let bold = Style::new().add_modifier(Modifier::BOLD);
            at = put(buffer, line, at, &words, bold) + 2;
        }
        let span = |ms: u64| text::duration(ms.saturating_mul(1_000_000));
        let mut words: String = match options.since(model) {
            Since::Last(0) => "waiting for a reading".into(),
            Since::Last(ms) => format!("rates of the last {}", span(ms)),
            Since::Beginning => format!("totals of {}", span(model.at)),
        };
        // Writing to a String cannot fail.
        let _ = write!(words, "; P50 to P99 within {PERCENTILE_ERROR} %");
        if !model.about.filters.is_empty() {
            let _ = write!(words, "; only {}", model.about.filters.join(" "));
        }
        put(buffer, line, at, &words, Style::new());
    }

    /// The first table, the line of latencies, and the others; or one table.
    fn body(&self, area: Rect, buffer: &mut Buffer) {
        let options = self.options;
        let rows = |pane| (pane, options.rows(pane, self.model));
        let mut tables: Vec<_> = options.panes.iter().map(rows).collect();
        if options.zoomed && options.focus < tables.len() {
            tables = vec![tables.swap_remove(options.focus)];
        }
        let heat = if options.zoomed {
            0
        } else {
            heat::height(area.height)
        };
        let mut lines = Lines(area);
        let mut others = u16::try_from(tables.len()).unwrap_or(0);
        for (n, (pane, rows)) in tables.iter().enumerate() {
            others -= 1;
            let left = lines.left() - if n == 0 { heat } else { 0 };
            let height = if n == 0 && others > 0 {
                // Its titles and the sum; the others keep titles and a row.
                let wanted = 2 + rows.len().clamp(1, FIRST);
                u16::try_from(wanted).unwrap_or(left).min(left - 2 * others)
            } else {
                left.div_ceil(others + 1)
            };
            self.table(pane, rows, n == 0, lines.take(height), buffer);
            if n == 0 {
                heat::draw(&self.model.beats, self.colours, lines.take(heat), buffer);
            }
        }
    }

    fn table(&self, pane: &Pane, rows: &[Row], first: bool, area: Rect, buffer: &mut Buffer) {
        let options = self.options;
        let focus = options.panes.get(options.focus);
        let table = Table {
            by: options.by(pane),
            rows,
            above: pane.above.min(rows.len().saturating_sub(1)),
            since: options.since(self.model),
            sort: options.sort,
            focused: focus.is_some_and(|focus| std::ptr::eq(focus, pane)),
            sum: first,
            colours: self.colours,
        };
        table.draw(area, buffer);
    }

    /// The keys that matter now.
    fn footer(&self, line: Rect, buffer: &mut Buffer) {
        let options = self.options;
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if options.mode == Mode::Typing {
            let words = format!("with: {}█", text::escaped(&options.filter));
            let at = put(buffer, line, 1, &words, bold);
            put(buffer, line, at + 3, "Enter keep  Esc clear", Style::new());
            return;
        }
        let go = match (options.paused, self.replayed) {
            (false, _) => "pause",
            (true, None) => "go on",
            (true, Some(_)) => "play",
        };
        let steps = self.replayed.map(|_| ("←→", "step"));
        let first = [("q", "quit"), ("?", "help"), ("p", go)];
        let rest = [
            ("/", "find"),
            ("s", "sort"),
            ("g", "group"),
            ("Tab", "next"),
            ("z", "zoom"),
            ("t", if options.total { "rates" } else { "totals" }),
        ];
        let mut at = 1;
        for (key, what) in first.into_iter().chain(steps).chain(rest) {
            if at + width(key) + 1 + width(what) > line.width {
                break;
            }
            at = put(buffer, line, at, key, bold);
            at = put(buffer, line, at + 1, what, Style::new()) + 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use daxscope_common::hist::fine;

    use super::*;
    use crate::session::{
        by::{By, Value},
        recording::{About, State},
        tally::Tally,
    };

    fn model(groups: u64) -> Model {
        let about = About {
            daxscope: String::new(),
            host: "host".into(),
            kernel: "6.12.0".into(),
            machine: String::new(),
            cpus: 1,
            begun: 0,
            rooms: vec!["gup".into()],
            by: vec![By::Geometry, By::Comm, By::Tgid, By::Caller],
            filters: vec![],
            command: vec![],
            points: vec![],
            devices: vec![],
        };
        let text = |text: &str| Value::Text(text.into());
        let key = |n| {
            vec![
                text("2M"),
                text("日本語"),
                Value::Number(n),
                text("io_pin_pages"),
            ]
        };
        let keys: Vec<_> = (0..groups).map(key).collect();
        let tally = |calls| Tally {
            calls,
            pages: calls,
            errors: calls,
            ns: calls * 1000,
            max_ns: 1000,
            slots: BTreeMap::from([(fine::slot(1000), calls)]),
            ..Tally::default()
        };
        let changed = |n| (0..keys.len()).map(|group| (group, tally(n))).collect();
        let mut model = Model::new(&about);
        for n in 1..=3 {
            let state = State {
                at: n * 1000,
                changed: changed(n),
                lost: BTreeMap::from([("ring".into(), u64::MAX)]),
            };
            model.advance(&keys, &state);
        }
        model
    }

    #[test]
    fn every_size_has_a_frame() {
        for groups in [0, 1, 30] {
            let model = model(groups);
            let mut options = Options::new(&model.about, &[], false).expect("options");
            for mode in [Mode::Tables, Mode::Typing, Mode::Help] {
                options.mode = mode;
                options.zoomed = groups == 1;
                options.panes[0].above = 100;
                let widths = [0, 1, 10, 69, 70, 80, 99, 100, 130];
                let sizes = widths
                    .into_iter()
                    .flat_map(|w| (0..45).map(move |h| (w, h)));
                for (width, height) in sizes {
                    let area = Rect::new(0, 0, width, height);
                    let mut buffer = Buffer::empty(area);
                    let screen = Screen {
                        model: &model,
                        options: &options,
                        replayed: (groups == 30).then_some([1, 3]),
                        colours: true,
                    };
                    screen.draw(area, &mut buffer);
                }
            }
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_scrolled_to() {
        let model = model(30);
        let mut options = Options::new(&model.about, &[By::Tgid], false).expect("options");
        for (keys, first) in [
            ("", "日本語 0"),
            ("\x1b[B\x1b[B", "日本語 2"),
            ("\x1b[6~", "日本語 12"),
            ("\x1b[F\x1b[B\x1b[6~", "日本語 29"),
            ("\x1b[5~\x1b[A", "日本語 18"),
            ("\x1b[H", "日本語 0"),
            ("/no such\r", "no calls"),
        ] {
            for key in super::super::keys::Keys::default().feed(keys.as_bytes()) {
                options.press(key, &model, false);
            }
            let area = Rect::new(0, 0, 80, 24);
            let mut buffer = Buffer::empty(area);
            let screen = Screen {
                model: &model,
                options: &options,
                replayed: None,
                colours: false,
            };
            screen.draw(area, &mut buffer);
            let line: String = (1..28).map(|x| buffer[(x, 4)].symbol()).collect();
            // A wide character has a blank cell behind it.
            let line = line.replace("日 本 語 ", "日本語").trim_end().to_owned();
            assert_eq!(line, first, "{keys:?}");
        }
    }
}
