//! Reading the object's maps.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, AsRawFd as _},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf, Pod,
    maps::{HashMap, Map, MapData, PerCpuArray, PerCpuHashMap},
    util::nr_cpus,
};
use aya_obj::generated::{bpf_attr, bpf_cmd};
use daxscope_common::{
    gup::{Gup, GupErrors, Pinned},
    lost::MapErrors,
    memremap::{MemmapInit, Memremap, Memunmap},
    session::Counts,
    vmemmap::Populate,
};

fn named<'a>(object: &'a Ebpf, name: &str) -> Result<&'a Map> {
    object
        .map(name)
        .with_context(|| format!("the eBPF object has no map {name}"))
}

/// Shapes that add up word by word.
///
/// # Safety
/// They are made of `u64` alone.
pub unsafe trait Counters: Pod {}
// SAFETY: `common` defines each as counters of 64 bits and arrays of them.
unsafe impl Counters for u64 {}
// SAFETY: as above.
unsafe impl Counters for Gup {}
// SAFETY: as above.
unsafe impl Counters for GupErrors {}
// SAFETY: as above.
unsafe impl Counters for Pinned {}
// SAFETY: as above.
unsafe impl Counters for Memremap {}
// SAFETY: as above.
unsafe impl Counters for Memunmap {}
// SAFETY: as above.
unsafe impl Counters for MemmapInit {}
// SAFETY: as above.
unsafe impl Counters for Populate {}
// SAFETY: as above.
unsafe impl Counters for MapErrors {}
// SAFETY: as above.
unsafe impl Counters for Counts {}

/// The sum over all CPUs at one index of a per-CPU array.
pub fn per_cpu<V: Counters>(object: &Ebpf, name: &str, index: usize) -> Result<V> {
    let map = named(object, name)?;
    // It has keys and values of these sizes, or there is an error.
    let _: PerCpuArray<&MapData, V> = map.try_into()?;
    let Map::PerCpuArray(data) = map else {
        bail!("{name} is no per-CPU array");
    };
    let index = u32::try_from(index)?;
    let found = sum(data, &index)?;
    found.with_context(|| format!("map {name} has no index {index}"))
}

/// The sum over all CPUs of one entry; `None` if there is none.
fn sum<K: Pod, V: Counters>(map: &MapData, key: &K) -> Result<Option<V>> {
    let words = size_of::<V>() / size_of::<u64>();
    let Some(mut values) = values::<K, V>(map, key)? else {
        return Ok(None);
    };
    let (total, others) = values.split_at_mut(words);
    for other in others.chunks_exact(words) {
        for (total, n) in total.iter_mut().zip(other) {
            *total = total.wrapping_add(*n);
        }
    }
    // SAFETY: as many words as the shape has, of which it is made; their alignment is its own.
    Ok(Some(unsafe { total.as_ptr().cast::<V>().read() }))
}

/// The values of all CPUs of one entry, one behind the other; `None` if there is none. aya would make three copies of them.
fn values<K: Pod, V: Counters>(map: &MapData, key: &K) -> Result<Option<Vec<u64>>> {
    let cpus = nr_cpus().map_err(|(path, error)| anyhow!("cannot read {path}: {error}"))?;
    let words = size_of::<V>() / size_of::<u64>();
    let mut values = vec![0u64; cpus * words];
    // SAFETY: a plain C union of integers, for which zero is a value.
    let mut attr = unsafe { std::mem::zeroed::<bpf_attr>() };
    // SAFETY: this command reads this member of the union.
    let lookup = unsafe { &mut attr.__bindgen_anon_2 };
    lookup.map_fd = map.fd().as_fd().as_raw_fd().unsigned_abs();
    lookup.key = std::ptr::from_ref(key) as u64;
    lookup.__bindgen_anon_1.value = values.as_mut_ptr() as u64;
    // SAFETY: the kernel reads a key, and writes a value for each possible CPU, a multiple of 8 bytes: there is room.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_MAP_LOOKUP_ELEM,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ENOENT) {
            return Ok(None);
        }
        return Err(error).context("cannot read a map");
    }
    Ok(Some(values))
}

/// A hash that changes while it is read, as a list without repetitions. The kernel restarts a walk whose current
/// key was removed, so a walk is bounded by twice the size of the map.
pub fn hash<K: Pod + Ord, V: Pod>(object: &Ebpf, name: &str, size: u32) -> Result<Vec<(K, V)>> {
    let map: HashMap<&MapData, K, V> = named(object, name)?.try_into()?;
    let mut found = BTreeMap::new();
    for key in map.keys().take(2 * size as usize) {
        let key = key.with_context(|| format!("cannot walk map {name}"))?;
        // A key that is gone by now is no error: what it stood for has ended.
        if let Ok(value) = map.get(&key, 0) {
            found.insert(key, value);
        }
    }
    Ok(found.into_iter().collect())
}

/// How many entries a hash has, per-CPU or not.
pub fn entries<K: Pod, V: Pod>(object: &Ebpf, name: &str, size: u32) -> Result<u64> {
    let map = named(object, name)?;
    let size = size as usize;
    let count = if let Map::PerCpuHashMap(_) = map {
        let map: PerCpuHashMap<&MapData, K, V> = map.try_into()?;
        map.keys().take(size).flatten().count()
    } else {
        let map: HashMap<&MapData, K, V> = map.try_into()?;
        map.keys().take(size).flatten().count()
    };
    Ok(count as u64)
}

/// As [`hash`], with the sum over all CPUs of each key.
pub fn per_cpu_hash<K: Pod + Ord, V: Counters>(
    object: &Ebpf,
    name: &str,
    size: u32,
) -> Result<BTreeMap<K, V>> {
    walk::<K, V, _>(object, name, size, sum::<K, V>)
}

/// As [`per_cpu_hash`], with the words of the values of each CPU, one behind the other.
pub fn each_cpu_hash<K: Pod + Ord, V: Counters>(
    object: &Ebpf,
    name: &str,
    size: u32,
) -> Result<BTreeMap<K, Vec<u64>>> {
    walk::<K, V, _>(object, name, size, values::<K, V>)
}

fn walk<K: Pod + Ord, V: Counters, T>(
    object: &Ebpf,
    name: &str,
    size: u32,
    read: impl Fn(&MapData, &K) -> Result<Option<T>>,
) -> Result<BTreeMap<K, T>> {
    let map = named(object, name)?;
    let keys: PerCpuHashMap<&MapData, K, V> = map.try_into()?;
    let Map::PerCpuHashMap(data) = map else {
        bail!("{name} is no per-CPU hash");
    };
    let mut found = BTreeMap::new();
    for key in keys.keys().take(2 * size as usize) {
        let key = key.with_context(|| format!("cannot walk map {name}"))?;
        if let Some(value) = read(data, &key)? {
            found.insert(key, value);
        }
    }
    Ok(found)
}
