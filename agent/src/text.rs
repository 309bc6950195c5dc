//! Tables and sizes for people.

use std::fmt::Write as _;

/// On which side the cells of a column are flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    Left,
    Right,
}

/// A column: its title, and where its cells stand.
pub type Column = (&'static str, Flush);

/// Rows below titles, columns as wide as they must be and two blanks apart. No line ends in blanks.
#[must_use]
pub fn table<const N: usize>(columns: [Column; N], rows: &[[String; N]]) -> String {
    aligned(&columns, rows)
}

/// As [`table`], where the columns are known only when it runs. Each row has a cell for each column.
#[must_use]
pub fn aligned(columns: &[(impl AsRef<str>, Flush)], rows: &[impl AsRef<[String]>]) -> String {
    let titles: Vec<String> = columns
        .iter()
        .map(|(title, _)| title.as_ref().into())
        .collect();
    let all = || std::iter::once(titles.as_slice()).chain(rows.iter().map(AsRef::as_ref));
    let width = |n: usize| all().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for ((cell, width), (_, flush)) in row.iter().zip(&widths).zip(columns) {
            // Writing to a String cannot fail.
            let _ = match flush {
                Flush::Left => write!(line, "{cell:width$}  "),
                Flush::Right => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `4.0 GiB`, `120.0 KiB`, `12 B`: to a tenth, rounded half up.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut unit, mut scale) = (0, 1_u128);
    let tenths = |scale| (u128::from(bytes) * 10 + scale / 2) / scale;
    // In tenths, so that what rounds up to 1024 of a unit is one of the next.
    while tenths(scale) >= 10240 && unit < 6 {
        (unit, scale) = (unit + 1, scale << 10);
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!(
            "{}.{} {}",
            tenths(scale) / 10,
            tenths(scale) % 10,
            UNITS[unit]
        ),
    }
}

/// As [`bytes`], with a minus below 0.
#[must_use]
pub fn signed_bytes(signed: i64) -> String {
    let minus = if signed < 0 { "-" } else { "" };
    format!("{minus}{}", bytes(signed.unsigned_abs()))
}

/// `0 s`, `59 s`, `59 min`, `23 h`, `400 d`: seconds in the largest unit of which there is one, rounded down.
#[must_use]
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// `850 ns`, `18.3 µs`, `4.0 ms`, `137.4 s`: nanoseconds in the largest unit of which there is one, to a tenth, rounded half
/// up.
#[must_use]
pub fn duration(ns: u64) -> String {
    const UNITS: [&str; 4] = ["ns", "µs", "ms", "s"];
    if ns < 1000 {
        return format!("{ns} ns");
    }
    let (tenths, unit) = tenths(ns, 3);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `999`, `1.5k`, `12.3M`, `4.0G`: how many, to a tenth of the largest thousand, rounded half up.
#[must_use]
pub fn count(n: u64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    if n < 1000 {
        return n.to_string();
    }
    let (tenths, unit) = tenths(n, 6);
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Tenths of the largest power of 1000 of which there is one, and that power, at most `last`. What rounds up to 1000 of one
/// is one of the next.
fn tenths(n: u64, last: usize) -> (u128, usize) {
    let (mut power, mut scale) = (0, 1_u128);
    let tenths = |scale| (u128::from(n) * 10 + scale / 2) / scale;
    while tenths(scale) >= 10_000 && power < last {
        (power, scale) = (power + 1, scale * 1000);
    }
    (tenths(scale), power)
}

/// `2026-11-22T20:08:17.123456789Z`: nanoseconds since 1970-01-01 UTC, as RFC 3339 writes them.
#[must_use]
pub fn utc(ns: u64) -> String {
    let (seconds, ns) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (days, of_day) = (seconds / 86400, seconds % 86400);
    // The calendar repeats after 400 years of 146097 days. Years begin with March here, so that a leap day ends one, and the
    // months have the lengths of a line with slope 153/5. 0000-03-01 is 719468 days before 1970.
    let day = days + 719_468;
    let (cycle, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!(
        "{:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{ns:09}Z",
        cycle * 400 + year + late,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// Bytes that somebody else chose: what is no plain UTF-8 text on one line, and the backslash, byte by byte as `\xNN`.
#[must_use]
pub fn foreign(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if plain(char) && char != '\\' {
                text.push(char);
            } else {
                escape(&mut text, char.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// Text that is said to have been through [`foreign`]: as it is then, and harmless if it has not.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for char in text.chars() {
        if plain(char) {
            safe.push(char);
        } else {
            escape(&mut safe, char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    safe
}

/// Whether a character stays on its line: none that turns the direction of text, has no width, or is no character at all.
fn plain(char: char) -> bool {
    matches!(char, '\'' | '"' | '\\') || char.escape_debug().len() == 1
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// The bytes that [`foreign`] shows as a text; of any other text, its own.
#[must_use]
pub fn native(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = behind.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let escaped = escaped.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value =
            escaped.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        if let Some(value) = value.filter(|_| *first == b'\\') {
            bytes.push(value);
            rest = &behind[3..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_their_largest_unit() {
        let ages = [0, 59, 60, 3599, 3600, 86399, 86400, 400 * 86400].map(age);
        let words = [
            "0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "400 d",
        ];
        assert_eq!(ages, words);
    }

    #[test]
    fn what_others_chose_cannot_leave_its_line() {
        for (bytes, text) in [
            (&b"postgres: \"io\" 'x'"[..], "postgres: \"io\" 'x'"),
            ("größe-日本".as_bytes(), "größe-日本"),
            (b"\x1b[2J\r\n\0", "\\x1b[2J\\x0d\\x0a\\x00"),
            (b"a\\x41", "a\\x5cx41"),
            (b"\xff\xc3(", "\\xff\\xc3("),
            ("\u{202e}\u{85}".as_bytes(), "\\xe2\\x80\\xae\\xc2\\x85"),
        ] {
            assert_eq!(foreign(bytes), text);
            assert_eq!(native(text), bytes);
            assert_eq!(escaped(text), text, "a second time changes nothing");
        }
    }

    #[test]
    fn sizes_round_to_a_tenth_of_the_right_unit() {
        let sizes = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (120 << 10, "120.0 KiB"),
            (1587, "1.5 KiB"),
            (1588, "1.6 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (4 << 30, "4.0 GiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (size, text) in sizes {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(signed_bytes(-(3 << 20)), "-3.0 MiB");
        assert_eq!(signed_bytes(i64::MIN), "-8.0 EiB");
    }

    #[test]
    fn durations_and_counts_round_to_a_tenth_of_the_right_unit() {
        let times = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1000, "1.0 µs"),
            (18_349, "18.3 µs"),
            (18_350, "18.4 µs"),
            (999_949, "999.9 µs"),
            (999_950, "1.0 ms"),
            (1 << 37, "137.4 s"),
            (u64::MAX, "18446744073.7 s"),
        ];
        for (ns, text) in times {
            assert_eq!(duration(ns), text);
        }
        let counts = [
            (0, "0"),
            (999, "999"),
            (1500, "1.5k"),
            (999_999, "1.0M"),
            (u64::MAX, "18.4E"),
        ];
        for (n, text) in counts {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        // As `date -u -d @SECONDS` prints them.
        let moments = [
            (0, "1970-01-01T00:00:00"),
            (68_169_600, "1972-02-29T00:00:00"),
            (68_256_000, "1972-03-01T00:00:00"),
            (951_827_696, "2000-02-29T12:34:56"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (1_735_689_600, "2025-01-01T00:00:00"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ];
        for (seconds, text) in moments {
            let ns = seconds * 1_000_000_000 + 123_456_789;
            assert_eq!(utc(ns), format!("{text}.123456789Z"));
        }
    }

    #[test]
    fn columns_are_flush_and_lines_end_where_their_text_does() {
        let rows = [["a", "1", "x"], ["long", "1000", ""]].map(|row| row.map(str::to_owned));
        let columns = [
            ("NAME", Flush::Left),
            ("N", Flush::Right),
            ("WHY", Flush::Left),
        ];
        let expected = "NAME     N  WHY\na        1  x\nlong  1000\n";
        assert_eq!(table(columns, &rows), expected);
    }
}
