//! SIGHUP: the configuration is read again, and what can change without attaching anew is taken over.

use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;

use super::{live::Daemon, notify::Notify};
use crate::{
    config::{self, Effective, RunArgs},
    serve::{Server, web::Web},
};

/// Reads it again at each signal; never ends.
pub async fn reloads(
    mut signal: Signal,
    args: &RunArgs,
    mut effective: Effective,
    server: &Server,
    (notify, daemon): (&Notify, &Daemon),
) {
    while signal.recv().await.is_some() {
        notify.reloading();
        match config::resolve(args) {
            Ok(new) => take(&mut effective, &new, server),
            Err(error) => log::error!("the configuration stays as it was: {error}"),
        }
        notify.ready(&daemon.status());
    }
}

fn take(effective: &mut Effective, new: &Effective, server: &Server) {
    let change = effective.change(new);
    for words in &change.applied {
        log::info!("in force: {words}");
    }
    for words in &change.later {
        log::warn!("in force only after a restart: {words}");
    }
    match server.reload(&effective.config) {
        Ok(()) => log::info!("configuration read again"),
        Err(error) => log::error!("the web configuration stays as it was: {error:#}"),
    }
}

/// What must stay readable for that: folders, since files are replaced and not written to, and new drop-ins appear.
#[must_use]
pub fn folders(effective: &Effective, web: Option<&Web>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = effective.files.clone();
    files.push(config::FILE.into());
    files.extend(effective.config.web_config.clone());
    files.extend(web.into_iter().flat_map(Web::files).map(Path::to_owned));
    // A certificate is often a link into another folder.
    let behind: Vec<PathBuf> = files
        .iter()
        .filter_map(|file| file.canonicalize().ok())
        .collect();
    let mut folders: Vec<PathBuf> = files
        .iter()
        .chain(&behind)
        .map(|file| folder(file))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
