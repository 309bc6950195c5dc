//! Landlock (5.13): of files, only those that a scrape reads; no TCP connection and no new port (6.7); no other process's
//! abstract sockets, no signals to others (6.12).

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
    make_bitflags,
};

/// Names of devices, `nr_*` counters, our own resources, whether threads live.
const READ: [&str; 2] = ["/sys", "/proc"];
/// The newest that was read of; a kernel that knows less does less.
const KNOWN: ABI = ABI::V6;

/// Restricts this thread, and those that it starts.
pub(super) fn restrict(files: &[PathBuf]) -> Result<String, String> {
    let status = rules(files).map_err(|error| format!("cannot be set: {error}"))?;
    match status {
        RulesetStatus::FullyEnforced => Ok("files, TCP, sockets and signals".to_owned()),
        RulesetStatus::PartiallyEnforced => {
            Ok("what this kernel's Landlock can: files at least".to_owned())
        }
        RulesetStatus::NotEnforced => Err(
            "not in this kernel, or not switched on (lsm=landlock,... on its command line)".into(),
        ),
    }
}

fn rules(files: &[PathBuf]) -> Result<RulesetStatus, landlock::RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    let read = READ.iter().map(Path::new);
    for path in read.chain(files.iter().map(PathBuf::as_path)) {
        // What is not there cannot be read later either.
        if let Ok(opened) = PathFd::new(path) {
            let access = if path.is_dir() {
                make_bitflags!(AccessFs::{ReadFile | ReadDir})
            } else {
                BitFlags::from(AccessFs::ReadFile)
            };
            rules = rules.add_rule(PathBeneath::new(opened, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset)
}
