//! The object without its debug information, which is four fifths of it and was needed only to make its BTF.
//!
//! Sections keep their numbers, which symbols and relocations refer to; those that go become null sections. Formats: the ELF-64
//! Object File Format (relocatable files, no program headers).

const HEADER: usize = 64;
const SECTION: usize = 64;
const NULL: u32 = 0;
const NOBITS: u32 = 8;
const LINES_OF: &[u8] = b".BTF.ext\0";
/// BTF is not relocated: its places are those of its own sections.
const UNUSED: [&[u8]; 3] = [b".debug_", b".rel.debug_", b".rel.BTF"];

/// `None` if it is no relocatable ELF file of 64 bits in little-endian order.
pub fn strip(elf: &[u8]) -> Option<Vec<u8>> {
    let known = elf.starts_with(b"\x7fELF\x02\x01") && number(elf, 0x38, 2)? == 0;
    let (table, count) = (number(elf, 0x28, 8)?, number(elf, 0x3c, 2)?);
    if !known || number(elf, 0x3a, 2)? != SECTION {
        return None;
    }
    let mut sections = elf.get(table..table + count * SECTION)?.to_vec();
    let names = number(&sections, number(elf, 0x3e, 2)? * SECTION + 24, 8)?;
    let mut out = elf.get(..HEADER)?.to_vec();
    for section in sections.chunks_exact_mut(SECTION) {
        let name = elf.get(names + number(section, 0, 4)?..)?;
        if UNUSED.iter().any(|unused| name.starts_with(unused)) {
            section[4..].fill(0);
        }
        let kind = u32::try_from(number(section, 4, 4)?).ok()?;
        if kind == NULL || kind == NOBITS {
            continue;
        }
        let (start, len) = (number(section, 24, 8)?, number(section, 32, 8)?);
        out.resize(
            out.len().next_multiple_of(number(section, 48, 8)?.max(1)),
            0,
        );
        section[24..32].copy_from_slice(&(out.len() as u64).to_le_bytes());
        let data = elf.get(start..start + len)?;
        if name.starts_with(LINES_OF) {
            let functions = without_lines(data)?;
            section[32..40].copy_from_slice(&(functions.len() as u64).to_le_bytes());
            out.extend(functions);
        } else {
            out.extend(data);
        }
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table = (out.len() as u64).to_le_bytes();
    out[0x28..0x30].copy_from_slice(&table);
    out.extend(sections);
    Some(out)
}

/// A section `.BTF.ext` without the source lines of instructions (`struct btf_ext_header`, Documentation/bpf/btf.rst): they are
/// for who reads the verifier's log. Each program would keep those of its whole section, 8 MB in all, and the kernel would check
/// and move them along. `None` if it has more than functions and lines.
fn without_lines(data: &[u8]) -> Option<Vec<u8>> {
    let (header, functions) = (number(data, 4, 4)?, number(data, 12, 4)?);
    if number(data, 8, 4)? != 0 || number(data, 28, 4)? != 0 {
        return None;
    }
    let mut data = data.get(..header + functions)?.to_vec();
    // Offsets and lengths of lines, and of relocations, of which there are none.
    data[16..32].fill(0);
    Some(data)
}

fn number(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    let digits = bytes.get(at..at + len)?.iter().rev();
    Some(digits.fold(0, |number, byte| number << 8 | usize::from(*byte)))
}
