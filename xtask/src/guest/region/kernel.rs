//! What the kernel says of a region: numbers in sysfs, ranges in `/proc/iomem`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub fn sysfs_number(path: impl AsRef<Path>) -> Result<u64> {
    let path = path.as_ref();
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    number(text.trim()).with_context(|| format!("{} holds {text:?}, not a number", path.display()))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Bytes from `start` on that the kernel gives to `owners` without a gap.
pub fn claimed_bytes(start: u64, owners: &[&str]) -> Result<u64> {
    let iomem = fs::read_to_string("/proc/iomem").context("cannot read /proc/iomem")?;
    Ok(claimed_in(&iomem, start, owners))
}

/// The namespace keeps its info block, the dax device has the rest.
fn claimed_in(iomem: &str, start: u64, owners: &[&str]) -> u64 {
    let mut ranges: Vec<(u64, u64)> = iomem
        .lines()
        .filter_map(|line| {
            let (range, owner) = line.trim().split_once(" : ")?;
            let (first, last) = range.split_once('-')?;
            owners.contains(&owner).then_some(())?;
            Some((
                u64::from_str_radix(first, 16).ok()?,
                u64::from_str_radix(last, 16).ok()?,
            ))
        })
        .collect();
    ranges.sort_unstable();
    let end = ranges.iter().fold(
        start,
        |end, &(first, last)| if first <= end { end.max(last + 1) } else { end },
    );
    end - start
}

#[cfg(test)]
mod tests {
    use super::*;

    const IOMEM: &str = "\
140000000-17fffffff : Persistent Memory
  140000000-17fffffff : namespace1.0
180000000-1bfffffff : Persistent Memory
  180000000-1801fffff : namespace0.0
  180200000-1bfffffff : dax0.0
1c0000000-27fffffff : Persistent Memory
";

    #[test]
    fn a_namespace_and_its_device_claim_one_range() {
        assert_eq!(
            claimed_in(IOMEM, 0x1_8000_0000, &["namespace0.0", "dax0.0"]),
            1 << 30
        );
        assert_eq!(claimed_in(IOMEM, 0x1_8000_0000, &["namespace0.0"]), 2 << 20);
        assert_eq!(
            claimed_in(IOMEM, 0x1_8000_0000, &["dax0.0"]),
            0,
            "a gap ends the range"
        );
    }

    #[test]
    fn sysfs_numbers_are_hex_or_decimal() {
        assert_eq!(number("0x180000000"), Some(0x1_8000_0000));
        assert_eq!(number("4096"), Some(4096));
        assert_eq!(number("4K"), None);
    }
}
