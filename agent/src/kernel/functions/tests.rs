use super::*;

const LIST: &str = "0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T first
ffffffff81000100 T pin_user_pages_fast
ffffffff81000200 t io_pin_pages
ffffffff81000300 t gup_fast_fallback.isra.0
ffffffff81000400 T vfs_read
ffffffff81000400 W __alias_of_vfs_read
ffffffff81000480 t kretprobe_trampoline
ffffffff81000500 T _etext
ffffffff82000000 D init_task
ffffffffc0001000 t umem_get\t[ib_uverbs]
ffffffffc0001100 d table\t[ib_uverbs]
ffffffffc0100000 t bpf_prog_6deef7357e7b4530_fexit\t[bpf]
ffffffffc0200000 t bpf_trampoline_6442\t[bpf]
";
const MODULES: &str = "ib_uverbs 8192 0 - Live 0xffffffffc0001000
dead 4096 1 ib_uverbs, Live 0x0000000000000000\n";

fn functions(addresses: &[u64]) -> Functions {
    Functions::from(LIST.as_bytes(), MODULES, addresses.iter().copied())
}

#[test]
fn an_address_lies_in_the_nearest_function_below() {
    for (address, words) in [
        (0xffff_ffff_8100_021f, "io_pin_pages+0x1f"),
        // Behind a call that does not return, at the end of its function.
        (0xffff_ffff_8100_0300, "io_pin_pages+0x100"),
        (0xffff_ffff_8100_0301, "gup_fast_fallback.isra.0+0x1"),
        (0xffff_ffff_8100_0410, "vfs_read+0x10"),
        (0xffff_ffff_8100_0480, "kretprobe_trampoline+0x0"),
        (0xffff_ffff_8100_0481, "kretprobe_trampoline+0x1"),
        (0xffff_ffff_8100_047f, "vfs_read+0x7f"),
        (0xffff_ffff_8100_0500, "kretprobe_trampoline+0x80"),
        (0xffff_ffff_c000_1180, "umem_get+0x180 [ib_uverbs]"),
        (
            0xffff_ffff_c010_0020,
            "bpf_prog_6deef7357e7b4530_fexit+0x20 [bpf]",
        ),
    ] {
        assert_eq!(functions(&[address]).words(address), words);
    }
}

#[test]
fn all_at_once_is_as_one_by_one() {
    let all: Vec<u64> = (0xffff_ffff_80ff_ff00..0xffff_ffff_8100_0600)
        .chain(0xffff_ffff_c000_0f00..0xffff_ffff_c000_1200)
        .rev()
        .step_by(7)
        .collect();
    let together = functions(&all);
    for address in &all {
        assert_eq!(
            together.words(*address),
            functions(&[*address]).words(*address)
        );
    }
}

#[test]
fn what_lies_in_no_function_is_unknown() {
    let outside = [
        0,
        0x7f00_0000_0000,
        0xffff_ffff_8100_0000,
        0xffff_ffff_8100_0501,
        0xffff_ffff_8200_0010,
        // Beyond the module's end.
        0xffff_ffff_c000_3001,
        // Beyond what is generated.
        u64::MAX,
    ];
    let functions = functions(&outside);
    for address in outside {
        assert_eq!(functions.words(address), UNKNOWN, "{address:x}");
    }
    let endless = LIST.replace("_etext", "etext_");
    let functions = Functions::from(endless.as_bytes(), "", [0xffff_ffff_8100_0410]);
    assert_eq!(functions.words(0xffff_ffff_8100_0410), UNKNOWN);
}

#[test]
fn the_caller_is_outside_of_gup_and_of_ourselves() {
    let (program, trampoline) = (0xffff_ffff_c010_0020, 0xffff_ffff_c020_0010);
    let (pin, fast) = (0xffff_ffff_8100_0110, 0xffff_ffff_8100_0310);
    let (caller, read) = (0xffff_ffff_8100_0250, 0xffff_ffff_8100_0410);
    let module = 0xffff_ffff_c000_1010;
    let all = [program, trampoline, pin, fast, caller, read, module];
    let trampolined = 0xffff_ffff_8100_0480;
    let functions = functions(&[&all[..], &[trampolined]].concat());
    let io = "io_pin_pages+0x50";
    for (stack, words) in [
        (&all[..], io),
        (&[caller, read], io),
        (&[pin, module, read], "umem_get+0x10 [ib_uverbs]"),
        // Not what comes after: that may have been anybody.
        (&[trampoline, 0x1234, caller], UNKNOWN),
        (&[pin], UNKNOWN),
        (&[trampolined], UNKNOWN),
        (&[trampolined, caller], io),
        (&[], UNKNOWN),
    ] {
        let caller = functions.caller(stack);
        let caller = caller.map_or(UNKNOWN.into(), |address| functions.words(address));
        assert_eq!(caller, words, "{stack:x?}");
    }
}

#[test]
fn hidden_addresses_are_unknown_with_the_reason() {
    let zeros: String = LIST
        .lines()
        .flat_map(|line| ["0000000000000000", &line[16..], "\n"])
        .collect();
    let functions = Functions::from(zeros.as_bytes(), MODULES, [0xffff_ffff_8100_0110]);
    assert_eq!(functions.words(0xffff_ffff_8100_0110), UNKNOWN);
    let reason = functions.hidden().expect("a reason");
    assert!(reason.contains("kptr_restrict"), "{reason}");
}
