//! The embedded object against `common` and the agent's list of probe points.

use std::{collections::BTreeSet, io::Write as _};

use aya_obj::{Object, ProgramSection};
use daxscope::{load::OBJECT, probes};
use daxscope_common::{
    geometry,
    gup::{Gup, GupErrors, PINNED_PAGEMAPS, Pinned},
    holders,
    layout::Layout,
    lost, memremap, point, reader, session,
    span::{GUP_IN_FLIGHT, GUP_SLOTS, REGION_IN_FLIGHT, Slot, Span},
    tables,
    vmemmap::{self, Populate},
};

/// The object; `None`, with the reason printed, where it could not be built.
fn object(test: &str) -> Option<Object> {
    if OBJECT.is_empty() {
        // Past the test harness, which keeps to itself what a passing test prints.
        let reason = "this build has no eBPF object (see the warning of agent/build.rs)";
        let _ = writeln!(std::io::stderr(), "skipped {test}: {reason}");
        return None;
    }
    Some(Object::parse(OBJECT).expect("the eBPF object parses"))
}

/// Name, size of a key and of a value in bytes, and entries of each map.
fn shapes() -> Vec<(&'static str, usize, usize, usize)> {
    let u32s = size_of::<u32>();
    let u64s = size_of::<u64>();
    vec![
        ("LOST", u32s, u64s, lost::NAMES.len()),
        (
            "MAP_ERRORS",
            u32s,
            size_of::<lost::MapErrors>(),
            lost::MAPS.len(),
        ),
        ("GEOMETRY_SLOTS", u32s, u32s, geometry::SHIFTS as usize),
        ("GEOMETRY_OWNERS", u32s, u32s, geometry::SLOTS),
        (
            "MEMREMAP",
            u32s,
            size_of::<memremap::Memremap>(),
            geometry::SLOTS,
        ),
        (
            "MEMUNMAP",
            u32s,
            size_of::<memremap::Memunmap>(),
            geometry::SLOTS,
        ),
        (
            "MEMMAP_INIT",
            u32s,
            size_of::<memremap::MemmapInit>(),
            geometry::SLOTS,
        ),
        (
            "MEMREMAP_PAGEMAPS",
            u64s,
            size_of::<memremap::Pagemap>(),
            memremap::PAGEMAPS as usize,
        ),
        (
            "REGION_SPANS",
            u64s,
            size_of::<Span>(),
            REGION_IN_FLIGHT as usize,
        ),
        (
            "VMEMMAP",
            u32s,
            size_of::<Populate>(),
            vmemmap::POINTS * geometry::SLOTS,
        ),
        (
            "GUP",
            u32s,
            size_of::<Gup>(),
            point::GUP_ENTRIES * geometry::SLOTS,
        ),
        (
            "GUP_ERRORS",
            u32s,
            size_of::<GupErrors>(),
            point::GUP_ENTRIES,
        ),
        ("TABLES_PIECE", u32s, size_of::<tables::Piece>(), 1),
        (
            "GUP_PAGEMAPS",
            u64s,
            size_of::<Pinned>(),
            PINNED_PAGEMAPS as usize,
        ),
        (
            "HOLDS",
            size_of::<holders::Key>(),
            size_of::<holders::Hold>(),
            holders::HOLDS as usize,
        ),
        ("HOLD_STACKS", u32s, 127 * u64s, holders::STACKS as usize),
        ("GUP_UNPINNED", u32s, u64s, geometry::SLOTS),
        ("READER_PAGE", u32s, reader::PAGE, 1),
        ("GUP_SLOTS", u32s, size_of::<Slot>(), GUP_SLOTS as usize),
        ("GUP_SPANS", u64s, size_of::<Span>(), GUP_IN_FLIGHT as usize),
    ]
}

/// As above, of a session.
fn shapes_of_sessions() -> Vec<(&'static str, usize, usize, usize)> {
    let (u32s, u64s) = (size_of::<u32>(), size_of::<u64>());
    vec![
        (
            "SESSION_GROUPS",
            size_of::<session::Key>(),
            size_of::<session::Counts>(),
            session::GROUPS as usize,
        ),
        (
            "SESSION_DURATIONS",
            size_of::<session::Key>(),
            size_of::<session::Durations>(),
            session::GROUPS as usize,
        ),
        (
            "SESSION_CALLS",
            u64s,
            size_of::<session::Call>(),
            session::CALLS as usize,
        ),
        (
            "SESSION_WANTED",
            size_of::<session::Wanted>(),
            u32s,
            session::WANTED as usize,
        ),
        ("SESSION_ARMED", u32s, u32s, 1),
        ("SESSION_TREE", u32s, u32s, session::TREE as usize),
        (
            "SESSION_KSTACKS",
            u32s,
            127 * u64s,
            session::STACKS as usize,
        ),
        (
            "SESSION_USTACKS",
            u32s,
            127 * u64s,
            session::STACKS as usize,
        ),
        ("SESSION_EVENTS", 0, 0, session::RING as usize),
        ("SESSION_LOST", u32s, u64s, session::lost::NAMES.len()),
    ]
}

#[test]
fn maps_have_the_shapes_of_common() {
    let Some(object) = object("maps_have_the_shapes_of_common") else {
        return;
    };
    let maps = [shapes(), shapes_of_sessions()].concat();
    for &(name, key, value, entries) in &maps {
        let map = object
            .maps
            .get(name)
            .unwrap_or_else(|| panic!("no map {name}"));
        let shape = [map.key_size(), map.value_size(), map.max_entries()];
        let expected = [key, value, entries].map(|n| u32::try_from(n).expect("fits"));
        assert_eq!(
            shape, expected,
            "key size, value size and entries of {name}"
        );
    }
    // What else is there belongs to the loader: sections of globals, and the log.
    let ours: BTreeSet<_> = maps.iter().map(|(name, ..)| *name).collect();
    for name in object.maps.keys() {
        let others = name.starts_with(".rodata") || name == "AYA_LOGS";
        assert!(
            others || ours.contains(name.as_str()),
            "map {name} is not in this test"
        );
    }
    // An element of a per-CPU array must fit into PCPU_MIN_UNIT_SIZE (include/linux/percpu.h).
    assert!(maps.iter().all(|(_, _, value, _)| *value <= 32 << 10));
}

#[test]
fn every_point_has_its_programs_and_every_program_its_point() {
    let Some(object) = object("every_point_has_its_programs_and_every_program_its_point") else {
        return;
    };
    let mut expected = BTreeSet::new();
    for (_, point) in probes::points() {
        let ends: &[&str] = if point.returns {
            &["fentry", "fexit", "kprobe", "kretprobe"]
        } else {
            &["fentry", "kprobe"]
        };
        expected.extend(ends.iter().map(|end| format!("{end}_{}", point.name)));
    }
    // Attached to nothing (agent/src/inventory/{reader,tables}.rs).
    expected.extend(["reader", "tables"].map(str::to_owned));
    // Attached to a tracepoint (agent/src/probes/session.rs).
    expected.insert("session_fork".to_owned());
    let found: BTreeSet<_> = object.programs.keys().cloned().collect();
    assert_eq!(found, expected);
    for (name, program) in &object.programs {
        let kind = match program.section {
            ProgramSection::FEntry { .. } => "fentry",
            ProgramSection::FExit { .. } => "fexit",
            ProgramSection::KProbe => "kprobe",
            ProgramSection::KRetProbe => "kretprobe",
            ProgramSection::RawTracePoint => continue,
            _ => "something else",
        };
        assert!(
            name.split('_').next() == Some(kind),
            "{name} is in section {kind}"
        );
    }
}

#[test]
fn points_are_numbered_once_and_without_holes() {
    let numbers: BTreeSet<_> = probes::points().map(|(_, point)| point.number).collect();
    let all: BTreeSet<_> = (0..u32::try_from(point::POINTS).expect("fits")).collect();
    assert_eq!(numbers, all);
    assert_eq!(probes::points().count(), point::POINTS);
}

#[test]
fn a_session_can_be_handed_down() {
    let Some(mut object) = object("a_session_can_be_handed_down") else {
        return;
    };
    let wants = vec![0u8; size_of::<session::Session>()];
    let global = [("SESSION", (wants.as_slice(), true))]
        .into_iter()
        .collect();
    object
        .patch_map_data(global)
        .expect("SESSION has the size of common's");
}

#[test]
fn counts_are_read_in_their_order() {
    let of = |member: usize| member / size_of::<u64>();
    let order = [
        std::mem::offset_of!(session::Counts, calls),
        std::mem::offset_of!(session::Counts, pages),
        std::mem::offset_of!(session::Counts, errors),
        std::mem::offset_of!(session::Counts, sampled),
        std::mem::offset_of!(session::Counts, ns),
        std::mem::offset_of!(session::Counts, max_ns),
    ];
    assert_eq!(order.map(of), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn the_layout_can_be_handed_down() {
    let Some(mut object) = object("the_layout_can_be_handed_down") else {
        return;
    };
    let layout = vec![0u8; size_of::<Layout>()];
    let global = [("LAYOUT", (layout.as_slice(), true))]
        .into_iter()
        .collect();
    object
        .patch_map_data(global)
        .expect("LAYOUT has the size of common's");
}

#[test]
fn the_licence_lets_the_kernel_run_it() {
    let Some(object) = object("the_licence_lets_the_kernel_run_it") else {
        return;
    };
    assert_eq!(object.license.to_str(), Ok("Dual MIT/GPL"));
}
