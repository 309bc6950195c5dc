//! Reading the object's maps.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, Pod,
    maps::{HashMap, MapData, PerCpuArray, PerCpuHashMap},
};

fn named<'a>(object: &'a Ebpf, name: &str) -> Result<&'a aya::maps::Map> {
    object
        .map(name)
        .with_context(|| format!("the eBPF object has no map {name}"))
}

/// The values of all CPUs at one index of a per-CPU array.
pub fn per_cpu<V: Pod>(object: &Ebpf, name: &str, index: usize) -> Result<Vec<V>> {
    let map: PerCpuArray<&MapData, V> = named(object, name)?.try_into()?;
    let values = map
        .get(&u32::try_from(index)?, 0)
        .with_context(|| format!("cannot read map {name} at {index}"))?;
    Ok(values.iter().copied().collect())
}

/// A hash that changes while it is read, as a list without repetitions. The kernel restarts a walk whose current
/// key was removed, so a walk is bounded by twice the size of the map.
pub fn hash<K: Pod + Ord, V: Pod>(object: &Ebpf, name: &str, size: u32) -> Result<Vec<(K, V)>> {
    let map: HashMap<&MapData, K, V> = named(object, name)?.try_into()?;
    let mut found = std::collections::BTreeMap::new();
    for key in map.keys().take(2 * size as usize) {
        let key = key.with_context(|| format!("cannot walk map {name}"))?;
        // A key that is gone by now is no error: what it stood for has ended.
        if let Ok(value) = map.get(&key, 0) {
            found.insert(key, value);
        }
    }
    Ok(found.into_iter().collect())
}

/// How many entries a hash has.
pub fn entries<K: Pod, V: Pod>(object: &Ebpf, name: &str, size: u32) -> Result<u64> {
    let map: HashMap<&MapData, K, V> = named(object, name)?.try_into()?;
    Ok(map.keys().take(size as usize).flatten().count() as u64)
}

/// As [`hash`], with the values of all CPUs of each key.
pub fn per_cpu_hash<K: Pod + Ord, V: Pod>(
    object: &Ebpf,
    name: &str,
    size: u32,
) -> Result<Vec<(K, Vec<V>)>> {
    let map: PerCpuHashMap<&MapData, K, V> = named(object, name)?.try_into()?;
    let mut found = std::collections::BTreeMap::new();
    for key in map.keys().take(2 * size as usize) {
        let key = key.with_context(|| format!("cannot walk map {name}"))?;
        if let Ok(values) = map.get(&key, 0) {
            found.insert(key, values.iter().copied().collect());
        }
    }
    Ok(found.into_iter().collect())
}
