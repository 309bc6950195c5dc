//! Giving up privileges once all is attached: what serves strangers can read our maps and little else. Four layers, each of
//! which says whether it is in force; a kernel that lacks one is no error. None of them can be taken back.

mod capabilities;
mod landlock;
mod seccomp;
mod trials;

use std::path::PathBuf;

use nix::errno::Errno;

use crate::load::Probes;

/// What must stay possible.
pub struct Needs<'a> {
    /// Whose maps are read.
    pub probes: &'a Probes,
    /// Files and folders that are read again later: certificates, configuration.
    pub files: Vec<PathBuf>,
}

/// A layer, and whether it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub name: &'static str,
    /// What is in force, in words; or why it is not.
    pub state: Result<String, String>,
}

/// The names of the layers, in the order in which they come into force; each is of use without those after it.
pub const LAYERS: [&str; 4] = ["capabilities", "no_new_privs", "landlock", "seccomp"];

/// Gives up everything but `needs`, for this process. It must have no other threads: what they may do, some layers leave
/// as it is.
#[must_use]
pub fn confine(needs: &Needs) -> Vec<Layer> {
    let threads = alone();
    let only_alone = |state: Result<String, String>| threads.clone().and(state);
    let states = [
        only_alone(capabilities::drop(needs.probes)),
        only_alone(no_new_privs()),
        only_alone(landlock::restrict(&needs.files)),
        // Of all threads, whatever there are; and last, since it refuses what the others need.
        seccomp::filter().and_then(|words| trials::all_refused().map(|n| format!("{words}; {n}"))),
    ];
    LAYERS
        .into_iter()
        .zip(states)
        .map(|(name, state)| Layer { name, state })
        .collect()
}

/// All layers, left out because somebody asked for that.
#[must_use]
pub fn left_out() -> Vec<Layer> {
    let state = Err("left out by --no-drop".to_owned());
    let layer = |name| Layer {
        name,
        state: state.clone(),
    };
    LAYERS.map(layer).to_vec()
}

/// Programs that this process starts gain nothing by set-user-ID or file capabilities; seccomp and Landlock ask for it.
fn no_new_privs() -> Result<String, String> {
    // SAFETY: no pointers.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    Errno::result(result)
        .map(|_| "set".to_owned())
        .map_err(|errno| format!("prctl(PR_SET_NO_NEW_PRIVS): {errno}"))
}

/// An error if there are other threads.
fn alone() -> Result<(), String> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads == 1 {
        return Ok(());
    }
    Err(format!(
        "this process has {threads} threads, where one was expected"
    ))
}
