//! The types of a BTF file by number and by name.

use anyhow::{Context as _, Result, bail, ensure};

const MAGIC: u16 = 0xeb9f;
/// Name, info, and size or type: the words that each type begins with.
const HEAD: usize = 12;
/// Chains of names; a chain has a few types.
const CHAINS: usize = 1 << 15;

/// `BTF_KIND_*`.
pub(super) struct Kind;
impl Kind {
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
}

/// Bytes that follow the head of a type.
fn tail(kind: u32, len: usize) -> Option<usize> {
    Some(match kind {
        // INT, VAR, DECL_TAG
        1 | 14 | 17 => 4,
        Kind::ARRAY => 12,
        // Those with members or variables, and ENUM64
        Kind::STRUCT | Kind::UNION | 15 | 19 => 12 * len,
        Kind::ENUM | Kind::FUNC_PROTO => 8 * len,
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

/// A type as it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    pub id: u32,
    /// Where its name is; 0 if it has none.
    pub name: u32,
    pub kind: u32,
    pub flag: bool,
    /// `sizeof`, or the number of the type that it refers to: by kind.
    pub size_or_id: u32,
    tail: &'a [u8],
}

impl<'a> Type<'a> {
    pub fn has_members(&self) -> bool {
        matches!(self.kind, Kind::STRUCT | Kind::UNION)
    }

    /// What follows its head, as records of so many words.
    pub fn words<const N: usize>(self) -> impl Iterator<Item = [u32; N]> + 'a {
        let records = self.tail.chunks_exact(4 * N);
        records.map(|record| std::array::from_fn(|n| word(record, 4 * n).unwrap_or(0)))
    }
}

/// All types of a file.
pub(super) struct Types {
    bytes: Vec<u8>,
    /// Where the strings begin and end in the file.
    strings: (usize, usize),
    /// Where each type begins in the file, by number; 0, `void`, is no type of the file.
    starts: Vec<u32>,
    /// The first type of each chain of names, and the next of each type; 0 ends a chain.
    first: Vec<u32>,
    next: Vec<u32>,
}

impl Types {
    /// # Errors
    /// When the bytes are no BTF of this machine's byte order, or have a kind of type that nobody here knows.
    pub fn of(bytes: Vec<u8>) -> Result<Self> {
        let magic = bytes.first_chunk().map(|magic| u16::from_ne_bytes(*magic));
        ensure!(magic == Some(MAGIC), "it does not begin as BTF does");
        let field = |at| word(&bytes, at).map(|value| value as usize);
        let section = |offset, length| -> Option<(usize, usize)> {
            let start = field(4)?.checked_add(field(offset)?)?;
            let end = start.checked_add(field(length)?)?;
            (end <= bytes.len()).then_some((start, end))
        };
        let (mut at, end) = section(8, 12).context("its types end beyond it")?;
        let strings = section(16, 20).context("its strings end beyond it")?;
        let mut starts = vec![0];
        while at < end {
            let info = word(&bytes, at + 4).context("its types are cut off")?;
            let kind = info >> 24 & 0x1f;
            let Some(tail) = tail(kind, (info & 0xffff) as usize) else {
                bail!("it has types of kind {kind}, which daxscope does not know");
            };
            starts.push(u32::try_from(at)?);
            at += HEAD + tail;
        }
        ensure!(at == end, "its types are cut off");
        let mut types = Self {
            bytes,
            strings,
            first: vec![0; CHAINS],
            next: vec![0; starts.len()],
            starts,
        };
        // From the end, so that a chain has the lowest number first.
        for id in (1..types.starts.len()).rev() {
            let name = word(&types.bytes, types.starts[id] as usize).unwrap_or(0);
            if name > 0 {
                let chain = chain(types.name(name));
                types.next[id] = std::mem::replace(&mut types.first[chain], u32::try_from(id)?);
            }
        }
        Ok(types)
    }

    /// A type by its number.
    pub fn get(&self, id: u32) -> Option<Type<'_>> {
        let start = *self.starts.get(id as usize)? as usize;
        if id == 0 {
            return None;
        }
        let info = word(&self.bytes, start + 4)?;
        let kind = info >> 24 & 0x1f;
        let tail = tail(kind, (info & 0xffff) as usize)?;
        Some(Type {
            id,
            name: word(&self.bytes, start)?,
            kind,
            flag: info >> 31 == 1,
            size_or_id: word(&self.bytes, start + 8)?,
            tail: self.bytes.get(start + HEAD..start + HEAD + tail)?,
        })
    }

    /// All types of a name, by number.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Type<'_>> {
        let first = self.first[chain(name)];
        let next = |id: &u32| Some(self.next[*id as usize]).filter(|id| *id > 0);
        let chain = std::iter::successors(Some(first).filter(|id| *id > 0), next);
        let found = chain.filter_map(|id| self.get(id));
        found.filter(move |of| self.name(of.name) == name)
    }

    /// All types, by number.
    pub fn all(&self) -> impl Iterator<Item = Type<'_>> {
        (1..).map_while(|id| self.get(id))
    }

    /// The name at an offset of the strings; empty if there is none, or none that is text.
    pub fn name(&self, offset: u32) -> &str {
        let (start, end) = self.strings;
        let strings = &self.bytes[start..end];
        let rest = strings.get(offset as usize..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        std::str::from_utf8(&rest[..len]).unwrap_or_default()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*word))
}

/// The chain of a name: FNV-1a.
fn chain(name: &str) -> usize {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash ^ hash >> 16) as usize % CHAINS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct pair { int first; int second; }`, a function `pair` of a parameter `from`, and `int`.
    fn small() -> Vec<u8> {
        let strings = b"\0int\0pair\0first\0second\0from\0";
        let types: [&[u32]; 4] = [
            &[1, 1 << 24, 4, 32],
            &[5, 4 << 24 | 2, 8, 10, 1, 0, 16, 1, 32],
            &[0, 13 << 24 | 1, 0, 23, 1],
            &[5, 12 << 24, 3],
        ];
        let types: Vec<u8> = types
            .concat()
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        let (types_len, strings_len) = (types.len(), strings.len());
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for field in [24, 0, types_len, types_len, strings_len] {
            bytes.extend(u32::try_from(field).expect("small").to_ne_bytes());
        }
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn types_are_found_by_name_in_their_order() {
        let types = Types::of(small()).expect("BTF");
        let ids: Vec<_> = types.named("pair").map(|of| (of.id, of.kind)).collect();
        assert_eq!(ids, [(2, Kind::STRUCT), (4, Kind::FUNC)]);
        assert_eq!(types.named("first").count(), 0);
        assert_eq!(types.named("").count(), 0);
        assert_eq!(types.all().count(), 4);
        let pair = types.get(2).expect("a struct");
        let members: Vec<_> = pair
            .words::<3>()
            .map(|[name, ..]| types.name(name))
            .collect();
        assert_eq!(members, ["first", "second"]);
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_refused() {
        let whole = small();
        for length in 0..whole.len() {
            assert!(Types::of(whole[..length].to_vec()).is_err(), "{length}");
        }
        let mut unknown = whole;
        // The kind of the first type.
        unknown[24 + 7] = 31;
        let words = Types::of(unknown).err().expect("refused").to_string();
        assert!(words.contains("kind 31"), "{words}");
    }
}
