//! Puts the numbers of the running kernel's `bpf_rdonly_cast` and of `struct page` into the programs, where
//! `ebpf/src/field.rs` has left room for them. The loader of the object knows no calls of kernel functions.

use daxscope_common::layout::{CAST, CAST_TYPE};

use crate::kernel::facts::Cast;

/// `call imm`, of a helper; of a kernel function if the source register is `BPF_PSEUDO_KFUNC_CALL` (linux/bpf.h).
const CALL: [u8; 4] = [0x85, 0, 0, 0];
const CALL_KERNEL: [u8; 4] = [0x85, 2 << 4, 0, 0];
/// `r2 = imm`.
const MOVE: [u8; 4] = [0xb7, 2, 0, 0];

/// The object with the numbers in it.
pub fn put(object: &[u8], cast: &Cast) -> Vec<u8> {
    let mut object = object.to_vec();
    replace(&mut object, (CALL, CAST), (CALL_KERNEL, cast.function));
    replace(&mut object, (MOVE, CAST_TYPE), (MOVE, cast.kind));
    object
}

/// Replaces an instruction, all 8 bytes of it, wherever it stands.
fn replace(object: &mut [u8], from: ([u8; 4], u32), to: ([u8; 4], u32)) {
    let bytes = |(code, imm): ([u8; 4], u32)| [code, imm.to_le_bytes()].concat();
    let (from, to) = (bytes(from), bytes(to));
    // Sections of programs, and with them the instructions, are aligned to 8 bytes.
    for instruction in object.chunks_exact_mut(8) {
        if instruction == from {
            instruction.copy_from_slice(&to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(object: &[u8], code: [u8; 4], imm: u32) -> usize {
        let bytes = [code, imm.to_le_bytes()].concat();
        let found = object.chunks_exact(8).filter(|found| **found == bytes);
        found.count()
    }

    #[test]
    fn every_place_is_filled_and_nothing_else_changed() {
        let object = crate::load::OBJECT;
        let cast = Cast {
            function: 4711,
            kind: 42,
        };
        let filled = put(object, &cast);
        let places = count(object, CALL, CAST);
        assert_eq!(places, count(object, MOVE, CAST_TYPE));
        assert_eq!(places > 0, !object.is_empty());
        assert_eq!(count(&filled, CALL_KERNEL, 4711), places);
        assert_eq!(
            count(&filled, CALL, CAST) + count(&filled, MOVE, CAST_TYPE),
            0
        );
        let changed = object.chunks_exact(8).zip(filled.chunks_exact(8));
        assert_eq!(changed.filter(|(old, new)| old != new).count(), 2 * places);
    }
}
