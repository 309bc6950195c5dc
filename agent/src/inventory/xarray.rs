//! The pointers that an xarray holds (include/linux/xarray.h, lib/xarray.c), read from outside while others change it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use crate::kernel::{btf::Btf, memory::Memory};

/// Nodes that are visited at most. A range of memory takes a handful (`xa_store_range` uses the largest orders).
const NODES: u32 = 1 << 14;

/// Where the fields are, from BTF.
#[derive(Clone, Debug)]
pub struct Layout {
    pub head: u32,
    pub node_shift: u32,
    pub node_array: u32,
    pub node_slots: u32,
    /// Slots of a node: 64, or 16 on small machines.
    pub slots: u32,
}

impl Layout {
    /// # Errors
    /// When the BTF lacks one of them.
    pub fn of(btf: &Btf) -> Result<Self> {
        let offset = |of: &str, member: &str| {
            btf.offset(of, member)
                .with_context(|| format!("BTF has no {of}.{member}"))
        };
        let slots = btf.array_len("xa_node", "slots");
        let slots = slots.context("BTF has no xa_node.slots")?;
        ensure!(
            slots.is_power_of_two() && slots <= 64,
            "xa_node has {slots} slots"
        );
        Ok(Self {
            head: offset("xarray", "xa_head")?,
            node_shift: offset("xa_node", "shift")?,
            node_array: offset("xa_node", "array")?,
            node_slots: offset("xa_node", "slots")?,
            slots,
        })
    }

    /// The pointers in the array at an address, each with an index under which it is stored.
    ///
    /// # Errors
    /// When memory cannot be read, or is not an xarray at this moment.
    pub fn pointers(&self, memory: &mut impl Memory, array: u64) -> Result<BTreeMap<u64, u64>> {
        let mut found = BTreeMap::new();
        // Entries still to be looked at: themselves, their first index, and the shift of the node that holds them.
        let mut todo = vec![(
            memory.u64(array.wrapping_add(u64::from(self.head)))?,
            0,
            None,
        )];
        let mut nodes = 0;
        while let Some((entry, index, above)) = todo.pop() {
            match Entry::of(entry) {
                Entry::Nothing => {}
                Entry::Pointer => {
                    found.entry(entry).or_insert(index);
                }
                Entry::Node(node) => {
                    nodes += 1;
                    ensure!(nodes <= NODES, "more than {NODES} nodes");
                    self.push(memory, array, (node, index, above), &mut todo)?;
                }
                Entry::Strange => {
                    bail!("an entry is no pointer to a structure, or just going away")
                }
            }
        }
        Ok(found)
    }

    /// Appends the slots of a node that hold something.
    fn push(
        &self,
        memory: &mut impl Memory,
        array: u64,
        (node, index, above): (u64, u64, Option<u32>),
        todo: &mut Vec<(u64, u64, Option<u32>)>,
    ) -> Result<()> {
        let bits = self.slots.trailing_zeros();
        let mut bytes = [0; 1];
        memory.read(node.wrapping_add(u64::from(self.node_shift)), &mut bytes)?;
        let shift = u32::from(bytes[0]);
        // Strictly smaller at each level: this bounds the depth. A node that was freed and used anew fails here.
        let fits = shift < u64::BITS && shift.is_multiple_of(bits);
        ensure!(
            fits && above.is_none_or(|above| above.checked_sub(bits) == Some(shift)),
            "a node does not fit its level"
        );
        let owner = memory.u64(node.wrapping_add(u64::from(self.node_array)))?;
        ensure!(owner == array, "a node belongs to another array");
        let mut slots = [0; 64 * 8];
        let slots = &mut slots[..8 * self.slots as usize];
        memory.read(node.wrapping_add(u64::from(self.node_slots)), slots)?;
        for (n, slot) in (0u64..).zip(slots.chunks_exact(8)) {
            let slot = slot.try_into().map_or(0, u64::from_ne_bytes);
            if !matches!(Entry::of(slot), Entry::Nothing) {
                todo.push((slot, index | n << shift, Some(shift)));
            }
        }
        Ok(())
    }
}

/// What an entry is, by its two lowest bits (include/linux/xarray.h, `xa_mk_internal`).
enum Entry {
    /// Empty; or an internal entry that stands for no value: a sibling of the slot that holds the pointer of a longer
    /// range, or reserved (`XA_ZERO_ENTRY`).
    Nothing,
    Pointer,
    /// At this address.
    Node(u64),
    /// No structure's address; or `XA_RETRY_ENTRY`: the node is being freed.
    Strange,
}

const RETRY: u64 = 256 << 2 | 2;

impl Entry {
    fn of(entry: u64) -> Self {
        // Addresses of the kernel are in the upper half, on all architectures that have ZONE_DEVICE.
        let kernel = entry.cast_signed() < 0;
        match entry & 3 {
            0 if entry == 0 => Self::Nothing,
            0 if kernel && entry.is_multiple_of(8) => Self::Pointer,
            2 if kernel => Self::Node(entry - 2),
            2 if entry < 4096 && entry != RETRY => Self::Nothing,
            _ => Self::Strange,
        }
    }
}
