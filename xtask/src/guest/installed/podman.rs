//! podman as an administrator sets it up and types it, on a host without a network.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::host;

/// Settings of an engine that runs a pod as a node of Kubernetes would.
const NODE: &str = "/etc/containers/node.conf";
/// The profile of podman and CRI-O.
const PROFILE: &str = "/usr/share/containers/seccomp.json";
const NODE_PROFILE: &str = "/etc/containers/node-seccomp.json";

/// Layers are copied: the guest has no module for overlayfs. Containers are on the host's network, since there is no other.
pub fn configure() -> Result<()> {
    for (file, text) in [
        (
            "/etc/containers/storage.conf",
            "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n",
        ),
        (
            "/etc/containers/containers.conf",
            "[containers]\nnetns = \"host\"\n[engine]\nevents_logger = \"file\"\n",
        ),
    ] {
        host::write(Path::new(file), text)?;
    }
    Ok(())
}

/// What the kubelet asks of a runtime and `kube play` of 4.3 does not read: hostPID; and a profile like containerd's, which lets
/// `bpf` and `perf_event_open` through by the capabilities that go with them (its pull request 7301), and of the calls by which
/// the agent pins pages of its own only `vmsplice` in all its versions (`contrib/seccomp/seccomp_default.go`).
pub fn configure_node() -> Result<()> {
    let text =
        std::fs::read_to_string(PROFILE).with_context(|| format!("cannot read {PROFILE}"))?;
    let mut profile: Value = serde_json::from_str(&text)?;
    let rules = profile["syscalls"].as_array_mut().context("no rules")?;
    for (call, capabilities) in [
        ("bpf", vec!["CAP_BPF"]),
        ("perf_event_open", vec!["CAP_PERFMON"]),
        ("process_vm_readv", vec!["CAP_SYS_PTRACE"]),
        ("vmsplice", vec![]),
    ] {
        for rule in rules.iter_mut() {
            let names = rule["names"].as_array_mut().context("a rule of no calls")?;
            names.retain(|name| name != call);
        }
        rules.push(serde_json::json!({
            "names": [call], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {"caps": capabilities}, "excludes": {},
        }));
    }
    rules.retain(|rule| {
        rule["names"]
            .as_array()
            .is_some_and(|names| !names.is_empty())
    });
    host::write(Path::new(NODE_PROFILE), &profile.to_string())?;
    let settings = format!(
        "[containers]\nnetns = \"host\"\npidns = \"host\"\nseccomp_profile = \"{NODE_PROFILE}\"\n[engine]\nevents_logger = \"file\"\n"
    );
    host::write(Path::new(NODE), &settings)
}

/// Starts a pod, as a node of Kubernetes would.
pub fn play(pod: &str, configuration: &str) -> Result<()> {
    let settings = format!("CONTAINERS_CONF={NODE}");
    let podman = ["env", &settings, "podman", "kube", "play", "--network=host"];
    let what = ["--configmap", configuration, pod];
    host::run(&[podman.as_slice(), &what].concat()).map(drop)
}

/// A field of a container.
pub fn inspect(name: &str, field: &str) -> Result<String> {
    let format = format!("{{{{{field}}}}}");
    let value = host::run(&["podman", "inspect", "--format", &format, name])?;
    Ok(value.trim().to_owned())
}

/// What it wrote.
pub fn logs(name: &str) -> String {
    host::run(&["sh", "-c", "podman logs \"$1\" 2>&1", "sh", name])
        .unwrap_or_else(|error| format!("{error:#}"))
}

/// The process of a container, once it answers.
pub fn serving(name: &str) -> Result<u32> {
    host::until("a container that serves", || {
        let running = inspect(name, ".State.Running")?;
        ensure!(
            running == "true",
            "it does not run; it said: {}",
            logs(name)
        );
        host::readyz()
    })?;
    Ok(inspect(name, ".State.Pid")?.parse()?)
}
