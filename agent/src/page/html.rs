//! Markup that nothing foreign can get into: what is not written in this program's own source is escaped.

use std::fmt::{Display, Write as _};

use crate::text;

/// A piece of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Markup of ours.
    #[must_use]
    pub fn raw(mut self, markup: &'static str) -> Self {
        self.0 += markup;
        self
    }

    /// Text, also as the value of a quoted attribute: whatever it is, it shows as itself, and stays on its line.
    #[must_use]
    pub fn text(mut self, of: impl Display) -> Self {
        for char in text::escaped(&of.to_string()).chars() {
            match char {
                '&' => self.0 += "&amp;",
                '<' => self.0 += "&lt;",
                '>' => self.0 += "&gt;",
                '"' => self.0 += "&quot;",
                '\'' => self.0 += "&#39;",
                char => self.0.push(char),
            }
        }
        self
    }

    /// A number, in markup of ours.
    #[must_use]
    pub fn number(mut self, number: i64) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{number}");
        self
    }

    #[must_use]
    pub fn then(mut self, other: &Self) -> Self {
        self.0 += &other.0;
        self
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Plain text.
impl<T: Display> From<T> for Html {
    fn from(of: T) -> Self {
        Self::new().text(of)
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(all: I) -> Self {
        all.into_iter()
            .fold(Self::new(), |html, one| html.then(&one))
    }
}

/// A column: its title, and whether its cells are numbers.
pub type Column = (&'static str, Cells);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    Words,
    Numbers,
}

/// Rows of as many cells as there are columns; the first names its row. On a narrow screen each row becomes a card, which is
/// why cells repeat their title, and why roles are spelled out: a browser forgets them when the style changes what is shown.
pub struct Table<'a> {
    pub caption: &'static str,
    pub columns: &'a [Column],
    pub rows: Vec<Vec<Html>>,
    /// The sum of all rows, if that means something.
    pub total: Option<Vec<Html>>,
}

impl Table<'_> {
    #[must_use]
    pub fn html(&self) -> Html {
        let titles: Html = self.columns.iter().map(|column| title(*column)).collect();
        let body: Html = self.rows.iter().map(|row| self.row(row)).collect();
        let html = Html::new()
            .raw("<table role=table><caption>")
            .text(self.caption)
            .raw("</caption>\n<thead role=rowgroup><tr role=row>")
            .then(&titles)
            .raw("</tr></thead>\n<tbody role=rowgroup>\n")
            .then(&body)
            .raw("</tbody>\n");
        let html = match &self.total {
            Some(total) => html
                .raw("<tfoot role=rowgroup>\n")
                .then(&self.row(total))
                .raw("</tfoot>\n"),
            None => html,
        };
        html.raw("</table>\n")
    }

    fn row(&self, cells: &[Html]) -> Html {
        let mut columns = self.columns.iter().zip(cells);
        let mut html = Html::new().raw("<tr role=row>");
        if let Some((_, name)) = columns.next() {
            html = html
                .raw("<th scope=row role=rowheader>")
                .then(name)
                .raw("</th>");
        }
        for ((title, cells), cell) in columns {
            html = html
                .raw(match cells {
                    Cells::Words => "<td role=cell",
                    Cells::Numbers => "<td role=cell class=n",
                })
                .raw(" data-title=\"")
                .text(title)
                .raw("\">")
                .then(cell)
                .raw("</td>");
        }
        html.raw("</tr>\n")
    }
}

fn title((title, cells): Column) -> Html {
    Html::new()
        .raw(match cells {
            Cells::Words => "<th scope=col role=columnheader>",
            Cells::Numbers => "<th scope=col role=columnheader class=n>",
        })
        .text(title)
        .raw("</th>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_is_it_is_text() {
        let bytes: Vec<u8> = (0..=255).collect();
        let name = String::from_utf8_lossy(&bytes);
        let html = Html::from(&name).into_string();
        assert!(
            !html.contains(['<', '>', '"', '\'', '\n', '\0', '\u{7f}']),
            "{html}"
        );
        let table = Table {
            caption: "names",
            columns: &[("name", Cells::Words), ("n", Cells::Numbers)],
            rows: vec![vec![
                Html::from("<script>alert('x')</script>"),
                Html::from("\" x=\""),
            ]],
            total: None,
        };
        let html = table.html().into_string();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{html}");
        assert!(html.contains("&quot; x=&quot;"), "{html}");
    }
}
