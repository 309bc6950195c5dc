//! Keys, from the bytes that a terminal sends.

/// What somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    /// With Ctrl held: a letter, in lower case.
    Ctrl(char),
    Enter,
    Escape,
    Backspace,
    Tab,
    BackTab,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Splits bytes into keys. A sequence that ends with another read is kept until then.
#[derive(Default)]
pub struct Keys {
    rest: Vec<u8>,
}

impl Keys {
    /// The keys that are whole now.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let mut keys = vec![];
        while let Some((key, length)) = first(&self.rest) {
            keys.extend(key);
            self.rest.drain(..length);
        }
        keys
    }

    /// Whether something has begun, and may go on or not.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Nothing more came: an escape was that key.
    pub fn flush(&mut self) -> Vec<Key> {
        let rest = std::mem::take(&mut self.rest);
        match rest.first() {
            Some(0x1b) => vec![Key::Escape],
            _ => vec![],
        }
    }
}

/// The key that bytes begin with, if it is one that we know, and its length; `None` if more must come.
fn first(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let key = match *bytes.first()? {
        0x1b => return sequence(bytes),
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x7f | 0x08 => Key::Backspace,
        control @ 1..=26 => Key::Ctrl(char::from(control - 1 + b'a')),
        ..0x20 => return Some((None, 1)),
        _ => return character(bytes),
    };
    Some((Some(key), 1))
}

/// A character of UTF-8; what is none is left out byte by byte.
fn character(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let chunk = bytes.utf8_chunks().next()?;
    match chunk.valid().chars().next() {
        Some(char) => Some((Some(Key::Char(char)), char.len_utf8())),
        // Less than a character, and nothing behind it: the rest may come.
        None if chunk.invalid().len() == bytes.len() && bytes.len() < 4 && begins(bytes[0]) => None,
        None => Some((None, 1)),
    }
}

/// Whether a byte begins a character of several.
const fn begins(byte: u8) -> bool {
    matches!(byte, 0xc2..=0xf4)
}

/// `ESC [ parameters letter` or `ESC O letter` (ECMA-48, 5.4; DEC's SS3, which terminals send in application mode). A letter
/// that we do not know ends it as well.
fn sequence(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let from = match bytes.get(1)? {
        b'[' | b'O' => 2,
        // Escape twice, or a key with Alt.
        _ => return Some((Some(Key::Escape), 1)),
    };
    let parameters = &bytes[from..];
    let end = parameters
        .iter()
        .position(|byte| (0x40..=0x7e).contains(byte))?;
    let key = match (parameters[end], &parameters[..end]) {
        (b'A', _) => Some(Key::Up),
        (b'B', _) => Some(Key::Down),
        (b'C', _) => Some(Key::Right),
        (b'D', _) => Some(Key::Left),
        (b'H', _) | (b'~', b"1" | b"7") => Some(Key::Home),
        (b'F', _) | (b'~', b"4" | b"8") => Some(Key::End),
        (b'Z', _) => Some(Key::BackTab),
        (b'M', b"") if bytes[1] == b'O' => Some(Key::Enter),
        (b'~', b"5") => Some(Key::PageUp),
        (b'~', b"6") => Some(Key::PageDown),
        _ => None,
    };
    Some((key, from + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[u8] = "qµ\x1b[A\x1bOB\x1b[5~\x1b[1;5C\x1b[Z\x1b[200~\x03\r\x7f\t日".as_bytes();
    const KEYS: [Key; 11] = [
        Key::Char('q'),
        Key::Char('µ'),
        Key::Up,
        Key::Down,
        Key::PageUp,
        Key::Right,
        Key::BackTab,
        Key::Ctrl('c'),
        Key::Enter,
        Key::Backspace,
        Key::Tab,
    ];

    #[test]
    fn keys_are_the_same_however_their_bytes_arrive() {
        let mut expected = KEYS.to_vec();
        expected.push(Key::Char('日'));
        for size in 1..=ALL.len() {
            let mut keys = Keys::default();
            let found: Vec<_> = ALL.chunks(size).flat_map(|part| keys.feed(part)).collect();
            assert_eq!(found, expected, "in reads of {size} bytes");
            assert!(!keys.waits());
        }
    }

    #[test]
    fn an_escape_alone_is_one_when_nothing_follows() {
        let mut keys = Keys::default();
        assert!(keys.feed(b"\x1b").is_empty() && keys.waits());
        assert_eq!(keys.flush(), [Key::Escape]);
        assert_eq!(keys.feed(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
    }

    #[test]
    fn what_is_no_key_is_left_out() {
        let mut keys = Keys::default();
        assert_eq!(
            keys.feed(b"\xffa\xc3(\0\x1f"),
            [Key::Char('a'), Key::Char('(')]
        );
        assert!(!keys.waits());
        assert!(keys.feed(b"\xc3").is_empty() && keys.waits());
        assert!(keys.flush().is_empty() && !keys.waits());
    }
}
