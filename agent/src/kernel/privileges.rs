//! What this process may do, in words.

use std::fs;

use serde_json::{Value, json};

/// Bits of `include/uapi/linux/capability.h`.
const CAPABILITIES: [(&str, u32); 3] =
    [("CAP_SYS_ADMIN", 21), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// What decides whether probes may be loaded and attached.
#[derive(Debug)]
pub struct Privileges {
    /// Which of the capabilities that matter are effective.
    pub capabilities: Vec<&'static str>,
    /// The active lockdown mode; `None` where the kernel has none.
    pub lockdown: Option<String>,
    /// `kernel.perf_event_paranoid`: above 2, kprobes need `CAP_SYS_ADMIN` on Debian and Ubuntu.
    pub perf_event_paranoid: Option<i32>,
}

impl Privileges {
    #[must_use]
    pub fn read() -> Self {
        Self {
            capabilities: fs::read_to_string("/proc/self/status")
                .map_or_else(|_| vec![], |status| capabilities(&status)),
            lockdown: fs::read_to_string("/sys/kernel/security/lockdown")
                .ok()
                .and_then(|modes| lockdown(&modes)),
            perf_event_paranoid: fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
                .ok()
                .and_then(|value| value.trim().parse().ok()),
        }
    }

    /// What is missing for loading probes, and how to give it; `None` if nothing is.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        let has = |name| self.capabilities.contains(&name);
        let enough = has("CAP_SYS_ADMIN") || has("CAP_BPF") && has("CAP_PERFMON");
        if !enough {
            return Some(
                "loading probes needs CAP_BPF and CAP_PERFMON: run it with sudo, or give them to the binary with \
                 `setcap cap_bpf,cap_perfmon=ep daxscope`, or to its unit with `AmbientCapabilities=CAP_BPF CAP_PERFMON`",
            );
        }
        // A few programs would load even so, and see next to nothing.
        (self.lockdown.as_deref() == Some("confidentiality")).then_some(
            "lockdown=confidentiality forbids programs to read kernel memory (LOCKDOWN_BPF_READ_KERNEL): boot with \
             lockdown=integrity, or without",
        )
    }

    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "capabilities": self.capabilities,
            "lockdown": self.lockdown,
            "perf_event_paranoid": self.perf_event_paranoid,
        })
    }
}

/// From the text of `/proc/self/status`.
fn capabilities(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES
        .iter()
        .filter(|(_, bit)| effective >> bit & 1 == 1)
        .map(|(name, _)| *name)
        .collect()
}

/// From `none [integrity] confidentiality`.
fn lockdown(modes: &str) -> Option<String> {
    let (_, rest) = modes.split_once('[')?;
    rest.split_once(']').map(|(mode, _)| mode.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_bits_of_the_effective_mask() {
        assert_eq!(
            capabilities("CapPrm:\tffff\nCapEff:\t000000c000000000\n"),
            ["CAP_PERFMON", "CAP_BPF"]
        );
        assert!(capabilities("CapEff:\t0000000000000000\n").is_empty());
    }

    #[test]
    fn lockdown_is_the_bracketed_mode() {
        assert_eq!(
            lockdown("none [integrity] confidentiality\n").as_deref(),
            Some("integrity")
        );
        assert_eq!(lockdown(""), None);
    }
}
