//! A user that systemd makes for as long as the service runs, in place of the package's own.

use anyhow::Result;

use super::{confined, host, service};
use crate::guest::report::Figures;

/// systemd's `DYNAMIC_UID_MIN` and `DYNAMIC_UID_MAX` (`meson_options.txt`).
const DYNAMIC: std::ops::RangeInclusive<u32> = 61_184..=65_519;

/// It starts, may do and counts what the packaged service does, and is ready where that is.
pub fn dynamic(figures: &mut Figures) -> Result<()> {
    let before = host::readyz()?;
    host::drop_in("dynamic-user.conf", &host::example("dynamic-user.conf")?)?;
    host::systemctl("restart")?;
    let uid = confined::uid(host::pid()?)?;
    figures.holds(
        &format!("user {uid} is of systemd's dynamic range"),
        DYNAMIC.contains(&uid),
    );
    confined::without_kprobes(figures)?;
    figures.equal("ready", &before["ready"], &host::readyz()?["ready"]);
    service::probes(figures)?;
    // By the group, which stays, it reads where a device lies.
    service::named(figures)?;
    service::counts(figures)?;
    host::forget_drop_ins()
}
