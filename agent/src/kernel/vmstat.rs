//! The kernel's own account of what daxscope counts too: `/proc/vmstat`.

use std::fs;

/// Counters that daxscope has a figure of its own for. Not every kernel has them all; each CPU adds up to a batch of
/// changes before they show (`vm_stat_diff`, mm/vmstat.c).
pub const COUNTERS: [&str; 3] = [MEMMAP, ACQUIRED, RELEASED];
/// Pages that hold struct pages added after boot, hot-added RAM's too; since 6.11 (commit 15995a352474).
pub const MEMMAP: &str = "nr_memmap_pages";
/// References by `FOLL_PIN` taken and given back, those undone inside a request included; since 5.7.
pub const ACQUIRED: &str = "nr_foll_pin_acquired";
pub const RELEASED: &str = "nr_foll_pin_released";

/// The values of [`COUNTERS`] at one moment, in their order; `None` for one that the kernel does not have.
pub type Values = [Option<u64>; COUNTERS.len()];

/// Reads them. Where nothing can be read, the kernel has none.
#[must_use]
pub fn read() -> Values {
    values(&fs::read_to_string("/proc/vmstat").unwrap_or_default())
}

fn values(text: &str) -> Values {
    COUNTERS.map(|name| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn a_counter_is_a_whole_word_and_may_be_missing() {
        let text = "nr_memmap_pages_x 1\nnr_memmap_pages 20480\nnr_foll_pin_acquired 7\n";
        assert_eq!(values(text), [Some(20480), Some(7), None]);
    }
}
