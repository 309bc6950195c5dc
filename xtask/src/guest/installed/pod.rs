//! A pod of the `DaemonSet` that ships, in what podman reads of Kubernetes' language.

use std::fs;

use anyhow::{Context, Result};

/// What is between a kubelet and a pod, or is only named: podman would ask by a shell in the container whether it lives, and
/// would publish ports, which takes a network of its own.
const KUBELETS: [&str; 4] = [
    "startupProbe:",
    "livenessProbe:",
    "readinessProbe:",
    "ports:",
];

/// What a node of Kubernetes makes of `daemonset.yaml`, in a folder of manifests.
pub fn of(manifests: &str) -> Result<String> {
    let file = format!("{manifests}/daemonset.yaml");
    let text =
        fs::read_to_string(&file).with_context(|| format!("no {file}: boot with --debian"))?;
    from(&text)
}

fn from(daemon_set: &str) -> Result<String> {
    let (_, template) = daemon_set
        .split_once("\n  template:\n")
        .context("a DaemonSet without a template")?;
    let mut pod = String::from("apiVersion: v1\nkind: Pod\n");
    let mut lines = template
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .peekable();
    while let Some(line) = lines.next() {
        let depth = indent(line);
        if KUBELETS.contains(&line.trim()) {
            while lines.next_if(|line| indent(line) > depth).is_some() {}
            continue;
        }
        pod.push_str(line);
        pod.push('\n');
        if line == "metadata:" {
            pod.push_str("  name: daxscope\n");
        }
    }
    Ok(pod)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::from;

    #[test]
    fn the_template_is_a_pod_without_what_the_kubelet_does() {
        let set = "kind: DaemonSet\nspec:\n  template:\n    metadata:\n      labels: {}\n    spec:\n      containers:\n        \
                   - name: one\n          ports:\n            - name: metrics\n              containerPort: 1\n          image: two\n";
        let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: daxscope\n  labels: {}\nspec:\n  containers:\n    - name: one\n      \
                   image: two\n";
        assert_eq!(from(set).unwrap(), pod);
    }
}
