//! Which NUMA node a page frame of RAM belongs to, from the memory blocks that sysfs shows.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

const NODES: &str = "/sys/devices/system/node";
const BLOCK_SIZE: &str = "/sys/devices/system/memory/block_size_bytes";

/// Where a page frame is at home, by its memory block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    Node(u32),
    /// In a block that several nodes share.
    Several,
    /// In no memory block.
    Nowhere,
}

/// Runs of page frames, each with one home, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes(Vec<Run>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// First frame, and the first behind the last.
    start: u64,
    end: u64,
    home: Home,
}

impl Nodes {
    /// Reads the running kernel's.
    ///
    /// # Errors
    /// When sysfs does not show them.
    pub fn read(page_shift: u32) -> Result<Self> {
        let size =
            fs::read_to_string(BLOCK_SIZE).with_context(|| format!("cannot read {BLOCK_SIZE}"))?;
        let size = u64::from_str_radix(size.trim(), 16)
            .with_context(|| format!("{BLOCK_SIZE} holds no number"))?;
        let mut blocks = vec![];
        for (node, path) in numbered(Path::new(NODES), "node")? {
            for (block, _) in numbered(&path, "memory")? {
                blocks.push((block, u32::try_from(node)?));
            }
        }
        Ok(Self::of(blocks, size >> page_shift))
    }

    /// From the numbers of blocks and their nodes.
    pub(crate) fn of(mut blocks: Vec<(u64, u32)>, frames: u64) -> Self {
        blocks.sort_unstable();
        let mut runs: Vec<Run> = vec![];
        for same in blocks.chunk_by(|a, b| a.0 == b.0) {
            let (block, node) = same[0];
            let home = match same.len() {
                1 => Home::Node(node),
                _ => Home::Several,
            };
            let start = block.saturating_mul(frames);
            let end = start.saturating_add(frames);
            match runs.last_mut() {
                Some(last) if last.end == start && last.home == home => last.end = end,
                _ => runs.push(Run { start, end, home }),
            }
        }
        Self(runs)
    }

    /// Where a page frame is at home.
    #[must_use]
    pub fn of_frame(&self, frame: u64) -> Home {
        let behind = self.0.partition_point(|run| run.start <= frame);
        let run = behind.checked_sub(1).and_then(|n| self.0.get(n));
        run.filter(|run| frame < run.end)
            .map_or(Home::Nowhere, |run| run.home)
    }
}

/// Entries of a folder that are a word and a number: `node0`, `memory12`.
fn numbered(folder: &Path, word: &str) -> Result<Vec<(u64, std::path::PathBuf)>> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut found = vec![];
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(word));
        if let Some(Ok(number)) = number.map(str::parse) {
            found.push((number, entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_blocks() {
        let nodes = Nodes::of(vec![(1, 0), (0, 0), (8, 1), (9, 1), (9, 0)], 32768);
        assert_eq!(nodes.0.len(), 3);
        assert_eq!(nodes.of_frame(0), Home::Node(0));
        assert_eq!(nodes.of_frame(65535), Home::Node(0));
        assert_eq!(nodes.of_frame(65536), Home::Nowhere);
        assert_eq!(nodes.of_frame(8 * 32768), Home::Node(1));
        assert_eq!(nodes.of_frame(9 * 32768), Home::Several);
        assert_eq!(nodes.of_frame(10 * 32768), Home::Nowhere);
    }
}
