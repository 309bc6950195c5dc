//! Memory of the running kernel, by a program that copies a page on request and is attached to nothing. Dropping the
//! [`Reader`] removes the program and its maps: after start-up nothing of the agent can read at will.

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    maps::Map,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use aya_obj::{
    Object,
    generated::bpf_map_type::{
        BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY,
        BPF_MAP_TYPE_PERCPU_HASH,
    },
};

use crate::{
    kernel::{
        memory::{Memory, Page, Unreadable},
        privileges::Privileges,
    },
    load::{Failure, Mapping, OBJECT, loader},
};

const PROGRAM: &str = "reader";
const MAP: &str = "READER_PAGE";

/// A loaded reader.
pub struct Reader {
    object: Ebpf,
    page: Mapping<Page>,
}

impl Reader {
    /// Loads it, from the agent's own object, whose other programs stay out and whose other maps are made tiny.
    ///
    /// # Errors
    /// When the kernel refuses, with the reason and the remedy.
    pub fn load() -> Result<Self> {
        ensure!(
            !OBJECT.is_empty(),
            "this daxscope was built without its eBPF object"
        );
        if let Some(missing) = Privileges::read().missing() {
            anyhow::bail!("{missing}");
        }
        let others = Object::parse(OBJECT).context("cannot parse the eBPF object")?;
        let mut loader = loader();
        for (name, map) in &others.maps {
            if name != MAP && !name.starts_with('.') && SHRINKABLE.contains(&map.map_type()) {
                loader.map_max_entries(name, 1);
            }
        }
        let refused = |error: &(dyn std::error::Error + 'static)| {
            anyhow::anyhow!("the reader cannot be loaded: {}", Failure::of(error))
        };
        let mut object = loader.load(OBJECT).map_err(|error| refused(&error))?;
        let program = object.program_mut(PROGRAM).context("no program `reader`")?;
        let program: &mut RawTracePoint = program.try_into()?;
        program.load().map_err(|error| refused(&error))?;
        let Some(Map::Array(map)) = object.map(MAP) else {
            anyhow::bail!("no map {MAP}");
        };
        // SAFETY: numbers, of the size of the map's value (agent/tests/contract.rs).
        let page =
            unsafe { Mapping::of(map, 1, false) }.context("cannot map the page of the reader")?;
        Ok(Self { object, page })
    }
}

const SHRINKABLE: [u32; 5] = [
    BPF_MAP_TYPE_ARRAY as u32,
    BPF_MAP_TYPE_HASH as u32,
    BPF_MAP_TYPE_LRU_HASH as u32,
    BPF_MAP_TYPE_PERCPU_ARRAY as u32,
    BPF_MAP_TYPE_PERCPU_HASH as u32,
];

impl Memory for Reader {
    fn page(&mut self, address: u64) -> Result<&Page, Unreadable> {
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = address;
        let refused = |error: &(dyn std::error::Error + 'static)| Unreadable {
            errno: errno(error).unwrap_or(libc::EIO),
        };
        let program: Result<&RawTracePoint, _> = self
            .object
            .program(PROGRAM)
            .ok_or(Unreadable { errno: libc::EIO })?
            .try_into();
        let program = program.map_err(|error| refused(&error))?;
        let result = program.test_run(options).map_err(|error| refused(&error))?;
        match result.return_value.cast_signed() {
            0 => Ok(&self.page.get()[0]),
            error => Err(Unreadable {
                errno: error.wrapping_neg(),
            }),
        }
    }
}

pub(super) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.raw_os_error();
        }
        next = error.source();
    }
    None
}
