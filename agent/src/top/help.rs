//! What keys do, and what figures mean.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::paint::{Lines, put};

const TEXT: &str = "
Keys
  q  Ctrl-C   quit                         p  Space   pause, go on
  Tab         to the next table            ↑ ↓        scroll it; also by page
  g  G        tell its calls by another    z  Enter   give it all the room
  s  S        sort all by another column   t          totals since the start
  /           only calls with a text       Esc        all calls again
  Ctrl-Z      stop, as jobs of a shell     ← →        through a recording

Figures
  CALLS/S PAGES/S ERR/S  calls that ended, pages they got, calls that failed
  INSIDE                 time in these calls: 100% is one call at any moment
  P50 P90 P99            what so many of 100 calls did not exceed; - if none
                         was timed
  MAX                    of the last reading to 13 % above, of totals exact
  ~                      some pages were counted as their neighbours are
  dim                    no such calls in the last reading
  unknown                there was no page that could be looked at
  LOST                   calls or parts of them that could not be seen
";

/// Writes it, as far as there is room.
pub fn draw(area: Rect, buffer: &mut Buffer) {
    let mut lines = Lines(area);
    for text in TEXT.lines().skip(1) {
        let title = !text.starts_with(' ');
        let style = if title {
            Style::new().add_modifier(Modifier::BOLD)
        } else {
            Style::new()
        };
        put(buffer, lines.take(1), 1, text, style);
    }
}
