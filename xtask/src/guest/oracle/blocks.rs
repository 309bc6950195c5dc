//! Memory that the kernel allocates to hold and to map struct pages: the sizes that `vmemmap_alloc_block` is asked for
//! (mm/sparse-vmemmap.c), seen by a kprobe of our own. It cannot be traced before 6.11 (`__meminit` was notrace).

use anyhow::{Context, Result};

use super::instance::Instance;
use super::traceable;

const SYMBOL: &str = "vmemmap_alloc_block";

/// Recording from now on.
pub struct Blocks(Instance);

impl Blocks {
    /// `None` where the function cannot be traced.
    pub fn watch() -> Result<Option<Blocks>> {
        if !traceable()?.contains(SYMBOL) {
            return Ok(None);
        }
        let mut instance = Instance::create("truth_blocks")?;
        instance.probe("asked", &format!("{SYMBOL} size=%di:u64"))?;
        // A GiB of a 2M geometry asks a thousand times, at some 60 bytes a record.
        instance.write("buffer_size_kb", "4096")?;
        instance.record()?;
        Ok(Some(Blocks(instance)))
    }

    /// Bytes asked for since the last call.
    pub fn bytes(&self) -> Result<u64> {
        let text = self.0.trace()?;
        self.0.write("trace", "")?;
        sizes(&text)
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
