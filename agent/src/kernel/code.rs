//! What the machine code of a kernel function calls, told without decoding it.

/// Whether there is a direct call of a function in code that lies at an address, or a jump to it (a call as the last thing).
///
/// x86-64: E8 and E9, and the distance from the next instruction in 32 bits (Intel SDM, volume 2). Bytes that only look like
/// that would have to hold the one right distance, of 2^32.
#[must_use]
pub fn calls(code: &[u8], at: u64, function: u64) -> bool {
    let mut found = code.windows(5).zip(at..);
    found.any(|(bytes, at)| {
        let &[0xe8 | 0xe9, a, b, c, d] = bytes else {
            return false;
        };
        let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
        at.wrapping_add(5).wrapping_add_signed(distance) == function
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0xffff_ffff_8120_0000;

    #[test]
    fn calls_and_last_jumps_count_and_nothing_else() {
        // push rbx; call +0x100; ret
        let code = [0x53, 0xe8, 0x00, 0x01, 0x00, 0x00, 0xc3];
        assert!(calls(&code, AT, AT + 6 + 0x100));
        assert!(!calls(&code, AT, AT + 6 + 0x101));
        // jmp -0x200
        let code = [0xe9, 0x00, 0xfe, 0xff, 0xff];
        assert!(calls(&code, AT, AT + 5 - 0x200));
        assert!(!calls(&code[..4], AT, AT + 5 - 0x200));
        // lea of the same distance
        let code = [0x8d, 0x00, 0xfe, 0xff, 0xff];
        assert!(!calls(&code, AT, AT + 5 - 0x200));
    }
}
