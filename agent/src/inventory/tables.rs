//! The page tables of a live pagemap's memory map, by the program `tables` of the kernel side: all that can be read of
//! kernel memory once the agent runs. It reads only what belongs to a pagemap in the table of live ones.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::Map,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use daxscope_common::tables::Piece;

use super::{Backing, Pagemap, backing::Surveyor, reader::errno};
use crate::{
    kernel::memory::{Memory, Page, Unreadable},
    load::Mapping,
};

const PROGRAM: &str = "tables";
const MAP: &str = "TABLES_PIECE";

/// Measures pagemaps that come up while the agent runs.
pub struct Tables {
    surveyor: Surveyor,
    /// Only one run at a time: there is one place for the answer.
    piece: Mutex<Mapping<Piece>>,
}

impl Tables {
    /// Loads the program, in an object that was given where the page tables are.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(object: &mut Ebpf, surveyor: Surveyor) -> Result<Self> {
        let program = object.program_mut(PROGRAM).context("no program `tables`")?;
        let program: &mut RawTracePoint = program.try_into()?;
        program
            .load()
            .context("the program `tables` cannot be loaded")?;
        let Some(Map::Array(map)) = object.map(MAP) else {
            anyhow::bail!("no map {MAP}");
        };
        // SAFETY: numbers, of the size of the map's value (agent/tests/contract.rs).
        let piece =
            unsafe { Mapping::of(map, 1, false) }.context("cannot map the answer of `tables`")?;
        Ok(Self {
            surveyor,
            piece: Mutex::new(piece),
        })
    }

    /// What backs the struct pages of a live pagemap.
    ///
    /// # Errors
    /// When it is coming up or going away, or its tables cannot be read.
    pub fn measure(
        &self,
        object: &Ebpf,
        pagemap: &Pagemap,
        more: impl FnMut() -> bool,
    ) -> Result<Backing> {
        let program = object.program(PROGRAM).context("no program `tables`")?;
        let piece = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = OfPagemap {
            program: program.try_into()?,
            piece: &piece,
            surveyor: &self.surveyor,
            start: pagemap.ranges[0].start,
        };
        self.surveyor.measure(&mut memory, pagemap, more)
    }

    /// Runs the program once, on a pagemap that is not there.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn runs(&self, object: &Ebpf) -> Result<()> {
        let program: &RawTracePoint = object
            .program(PROGRAM)
            .context("no program `tables`")?
            .try_into()?;
        let _piece = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
        program.test_run(RawTracePointRunOptions::new())?;
        Ok(())
    }
}

/// The memory map of one pagemap, of which only the page tables can be seen.
struct OfPagemap<'a> {
    program: &'a RawTracePoint,
    piece: &'a Mapping<Piece>,
    surveyor: &'a Surveyor,
    start: u64,
}

impl Memory for OfPagemap<'_> {
    fn page(&mut self, _address: u64) -> Result<&Page, Unreadable> {
        Err(Unreadable { errno: libc::EPERM })
    }

    fn follow(&mut self, address: u64) -> Option<Result<Piece, Unreadable>> {
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = self.start;
        options.args[1] = self.surveyor.physical(address);
        Some(match self.program.test_run(options) {
            Ok(result) => match result.return_value.cast_signed() {
                0 => Ok(self.piece.get()[0]),
                error => Err(Unreadable {
                    errno: error.wrapping_neg(),
                }),
            },
            Err(error) => Err(Unreadable {
                errno: errno(&error).unwrap_or(libc::EIO),
            }),
        })
    }
}
