//! Memory that the kernel allocates to hold and to map struct pages: the sizes that `vmemmap_alloc_block` is asked for
//! (mm/sparse-vmemmap.c), seen by a kprobe of our own. It cannot be traced before 6.11 (`__meminit` was notrace).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{TRACEFS, traceable, write_tracefs};

const SYMBOL: &str = "vmemmap_alloc_block";
const EVENT: &str = "truth_blocks/asked";

/// Recording from now on, in a tracing instance of its own.
pub struct Blocks {
    instance: PathBuf,
}

impl Blocks {
    /// `None` where the function cannot be traced.
    pub fn watch() -> Result<Option<Blocks>> {
        if !traceable()?.contains(SYMBOL) {
            return Ok(None);
        }
        write_tracefs("kprobe_events", &format!("p:{EVENT} {SYMBOL} size=%di:u64"))?;
        let instance = Path::new(TRACEFS).join("instances/truth_blocks");
        fs::create_dir(&instance)
            .with_context(|| format!("cannot create {}", instance.display()))?;
        let blocks = Blocks { instance };
        // A GiB of a 2M geometry asks a thousand times, at some 60 bytes a record.
        blocks.write("buffer_size_kb", "4096")?;
        blocks.write(&format!("events/{EVENT}/enable"), "1")?;
        Ok(Some(blocks))
    }

    /// Bytes asked for since the last call.
    pub fn bytes(&self) -> Result<u64> {
        let path = self.instance.join("trace");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        self.write("trace", "")?;
        sizes(&text)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.instance.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let removed = self
            .write(&format!("events/{EVENT}/enable"), "0")
            .and_then(|()| Ok(fs::remove_dir(&self.instance)?))
            .and_then(|()| write_tracefs("kprobe_events", &format!("-:{EVENT}")));
        if let Err(error) = removed {
            eprintln!("the oracle's kprobe stays behind: {error:#}");
        }
    }
}

/// Sum of `size=N` over the lines of a trace; an overwritten record must not pass for none.
fn sizes(trace: &str) -> Result<u64> {
    let counts = trace
        .lines()
        .find_map(|line| line.split_once("entries-in-buffer/entries-written: "));
    if let Some((kept, written)) = counts
        .and_then(|(_, counts)| counts.split_whitespace().next())
        .and_then(|counts| counts.split_once('/'))
    {
        anyhow::ensure!(
            kept == written,
            "the trace of {SYMBOL} has room for {kept} of {written} records"
        );
    }
    let mut sum = 0;
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        let (_, size) = line
            .split_once("size=")
            .with_context(|| format!("no size in the trace line {line:?}"))?;
        sum += size
            .trim()
            .parse::<u64>()
            .with_context(|| format!("in the trace line {line:?}"))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn sizes_add_up_and_lost_records_are_refused() {
        let trace = "# entries-in-buffer/entries-written: 2/2   #P:2\n\
                     ndctl-1 [000] ..... 1.0: asked: (vmemmap_alloc_block+0x0/0x1) size=2097152\n\
                     ndctl-1 [000] ..... 1.0: asked: (vmemmap_alloc_block+0x0/0x1) size=4096\n";
        assert_eq!(sizes(trace).unwrap(), 2_101_248);
        assert!(sizes(&trace.replace("2/2", "2/3")).is_err());
        assert!(sizes("CPU:1 [LOST 3 EVENTS]\n").is_err());
        assert_eq!(sizes("# tracer: nop\n").unwrap(), 0);
    }
}
