//! How much of the host the service could reach if it were taken over, by systemd's own account.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{on_path, read_text, workspace};
use crate::target_dir;

/// Drop-ins that go along, and how much exposure they may have: 0 to 10, less is better. The last is for hosts that want kprobes,
/// and pays for `CAP_SYS_ADMIN`.
const LIMITS: [(Option<&str>, f64); 4] = [
    (None, 1.5),
    (Some("dynamic-user.conf"), 1.5),
    (Some("unix-socket.conf"), 0.8),
    (Some("kprobes.conf"), 1.7),
];

pub fn judge() -> Result<()> {
    let tool = on_path("systemd-analyze").context("no systemd-analyze: run `cargo xtask setup`")?;
    let units = workspace().join("deploy/systemd");
    for (number, (drop_in, limit)) in LIMITS.into_iter().enumerate() {
        let root = target_dir()?.join("exposure").join(number.to_string());
        let _ = fs::remove_dir_all(&root);
        let home = root.join("etc/systemd/system");
        copy(&units, &home, "daxscope.service")?;
        if let Some(name) = drop_in {
            copy(&units, &home.join("daxscope.service.d"), name)?;
        }
        let mut analyze = Command::new(&tool);
        analyze
            .args(["security", "--offline=yes", "--no-pager", "--root"])
            .arg(&root)
            .arg("daxscope.service")
            .env("LC_ALL", "C.UTF-8");
        let said = read_text(&mut analyze)?;
        let score = score(&said).context("systemd-analyze names no exposure")?;
        println!(
            "exposure {score} of {limit}: {}",
            drop_in.unwrap_or("daxscope.service")
        );
        ensure!(
            score <= limit,
            "exposure {score} is above {limit} with {}\n{said}",
            drop_in.unwrap_or("no drop-in")
        );
    }
    Ok(())
}

fn copy(from: &Path, into: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(into)?;
    fs::copy(from.join(name), into.join(name)).with_context(|| format!("cannot copy {name}"))?;
    Ok(())
}

/// From `→ Overall exposure level for daxscope.service: 1.5 OK`.
fn score(said: &str) -> Option<f64> {
    let line = said
        .lines()
        .find(|line| line.contains("Overall exposure"))?;
    line.split(": ").nth(1)?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn the_score_is_in_the_last_line() {
        let said = "  NAME  EXPOSURE\n→ Overall exposure level for daxscope.service: 0.7 SAFE 😀\n";
        assert_eq!(score(said), Some(0.7));
        assert_eq!(score("nothing"), None);
    }
}
