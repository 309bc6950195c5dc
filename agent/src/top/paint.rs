//! Text in cells.

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span};

/// Writes into the first line of an area, so many columns from its left; what does not fit ends with `…`. Returns the column
/// behind it.
pub fn put(buffer: &mut Buffer, area: Rect, at: u16, words: &str, style: Style) -> u16 {
    let room = area.width.saturating_sub(at);
    if area.height == 0 || room == 0 {
        return at;
    }
    let (x, y) = (area.x + at, area.y);
    let fits = width(words) <= room;
    let most = if fits { room } else { room - 1 };
    let (end, _) = buffer.set_stringn(x, y, words, usize::from(most), style);
    if !fits {
        buffer.set_stringn(end, y, "…", 1, style);
    }
    end + u16::from(!fits) - area.x
}

/// Writes so that the text ends before a column.
pub fn put_right(buffer: &mut Buffer, area: Rect, end: u16, words: &str, style: Style) {
    put(buffer, area, end.saturating_sub(width(words)), words, style);
}

/// Columns that a text takes.
#[must_use]
pub fn width(words: &str) -> u16 {
    u16::try_from(Span::raw(words).width()).unwrap_or(u16::MAX)
}

/// Lines of an area, taken from its top.
pub struct Lines(pub Rect);

impl Lines {
    /// The next ones, or as many as there are.
    pub fn take(&mut self, height: u16) -> Rect {
        let Rect { height: left, .. } = self.0;
        let taken = height.min(left);
        let area = Rect {
            height: taken,
            ..self.0
        };
        self.0.y += taken;
        self.0.height -= taken;
        area
    }

    /// How many there still are.
    #[must_use]
    pub const fn left(&self) -> u16 {
        self.0.height
    }
}
