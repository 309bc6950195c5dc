//! Paths of cgroups, by the numbers that the kernel gives them. Only those of version 2: a thread is in just one.

use std::{
    collections::HashMap,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{kernel::functions::UNKNOWN, text};

/// Where the hierarchy is mounted: alone, or below those of version 1 (`systemd.unified_cgroup_hierarchy=0`).
const PLACES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// A file of each cgroup of version 2, and of none else (Documentation/admin-guide/cgroup-v2.rst, Core Interface Files).
const MARK: &str = "cgroup.controllers";
/// The path of one that had been removed before anybody looked.
pub const GONE: &str = "[gone]";
/// The inode number of the root of them all: the first that kernfs gives (`kernfs_create_root`, fs/kernfs/dir.c).
const ROOT: u64 = 1;

/// The cgroups that were there when somebody asked.
pub struct Cgroups {
    root: PathBuf,
    /// What one that is not found is called: gone, unless we see only a part, as containers do.
    missing: &'static str,
    paths: HashMap<u64, String>,
}

impl Cgroups {
    /// Finds the hierarchy.
    ///
    /// # Errors
    /// When none is mounted where it should be.
    pub fn new() -> Result<Self> {
        Self::below(&PLACES)
    }

    fn below(places: &[&str]) -> Result<Self> {
        let mounted = |place: &&&str| Path::new(place).join(MARK).exists();
        let Some(root) = places.iter().find(mounted) else {
            bail!(
                "no cgroups of version 2 are mounted at {}, so threads cannot be told by them: \
                 mount -t cgroup2 none DIRECTORY shows them, at one of these",
                places.join(" or ")
            );
        };
        let all = fs::metadata(root).is_ok_and(|about| about.ino() == ROOT);
        Ok(Self {
            root: root.into(),
            missing: if all { GONE } else { UNKNOWN },
            paths: HashMap::new(),
        })
    }

    /// The path of a cgroup below the root of the hierarchy, as in `/proc/PID/cgroup`: `/system.slice/fio.service`, escaped;
    /// [`GONE`], or [`UNKNOWN`] if it may be outside of what is mounted here. `id` is as `bpf_get_current_cgroup_id` tells it.
    pub fn path(&mut self, id: u64) -> &str {
        self.learn([id]);
        &self.paths[&id]
    }

    /// Looks for all of some at once: asked one by one, each that is new costs a walk through all cgroups.
    pub fn learn(&mut self, ids: impl IntoIterator<Item = u64>) {
        let known = |id: &u64| self.paths.contains_key(id);
        let new: Vec<u64> = ids.into_iter().filter(|id| !known(id)).collect();
        if new.is_empty() {
            return;
        }
        let mut ahead = vec![self.root.clone()];
        while let Some(directory) = ahead.pop() {
            // What is removed while we walk is gone.
            let Ok(about) = fs::symlink_metadata(&directory) else {
                continue;
            };
            // On 64 bits the id is the inode number (`kernfs_id_ino`, include/linux/kernfs.h), and is not given again.
            let path = self.words(&directory);
            self.paths.insert(about.ino(), path);
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let below = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
            ahead.extend(below.map(|entry| entry.path()));
        }
        for id in new {
            self.paths.entry(id).or_insert_with(|| self.missing.into());
        }
    }

    fn words(&self, directory: &Path) -> String {
        let below = directory.strip_prefix(&self.root).unwrap_or(directory);
        format!("/{}", text::foreign(below.as_os_str().as_bytes()))
    }

    /// The number and the path of a cgroup that somebody names, by its path below the root or the whole one.
    ///
    /// # Errors
    /// When there is no such cgroup.
    pub fn find(&self, named: &str) -> Result<(u64, String)> {
        let named = Path::new(named);
        let below = named.strip_prefix(&self.root).unwrap_or(named);
        let below = below.strip_prefix("/").unwrap_or(below);
        let directory = self.root.join(below);
        let missing = || {
            let (name, root) = (below.display(), self.root.display());
            format!(
                "no cgroup /{name} below {root}; `systemd-cgls` lists them, /proc/PID/cgroup tells that of a process"
            )
        };
        // Without dots and links, which must not lead elsewhere.
        let directory = fs::canonicalize(directory).with_context(missing)?;
        let about = fs::metadata(&directory).with_context(missing)?;
        if !directory.starts_with(&self.root) || !directory.join(MARK).exists() {
            bail!(missing());
        }
        Ok((about.ino(), self.words(&directory)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory as the kernel shows cgroups, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("daxscope-{name}-{}", std::process::id()));
            let tree = Self(root);
            tree.add("");
            tree
        }

        fn add(&self, path: &str) -> u64 {
            let directory = self.0.join(path);
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join(MARK), "").expect("a file");
            fs::metadata(directory).expect("an inode").ino()
        }

        fn cgroups(&self) -> Cgroups {
            let place = self.0.to_str().expect("a plain path");
            Cgroups::below(&["/proc/none", place]).expect("cgroups")
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn paths_are_found_by_number_and_escaped() {
        let tree = Tree::new("paths");
        let (slice, odd) = (tree.add("a.slice"), tree.add("a.slice/x\n\x1b"));
        let mut cgroups = tree.cgroups();
        assert_eq!(cgroups.path(slice), "/a.slice");
        assert_eq!(cgroups.path(odd), "/a.slice/x\\x0a\\x1b");
        assert_eq!(cgroups.path(fs::metadata(&tree.0).expect("it").ino()), "/");
        // Made later.
        let late = tree.add("late");
        assert_eq!(cgroups.path(late), "/late");
    }

    #[test]
    fn what_was_removed_unseen_is_gone_and_what_was_seen_stays_known() {
        let tree = Tree::new("gone");
        let (seen, unseen) = (tree.add("seen"), tree.add("unseen"));
        let mut cgroups = tree.cgroups();
        fs::remove_dir_all(tree.0.join("unseen")).expect("removed");
        cgroups.learn([seen, unseen]);
        fs::remove_dir_all(tree.0.join("seen")).expect("removed");
        assert_eq!(cgroups.path(seen), "/seen");
        assert_eq!(cgroups.path(unseen), UNKNOWN, "it may be outside");

        let mut all = tree.cgroups();
        all.missing = GONE;
        assert_eq!(all.path(unseen), GONE);
    }

    #[test]
    fn a_named_cgroup_is_found_only_inside() {
        let tree = Tree::new("named");
        let id = tree.add("a/b");
        let cgroups = tree.cgroups();
        let whole = tree.0.join("a/b");
        for name in [
            "a/b",
            "/a/b",
            "a/b/",
            "a/../a/b",
            whole.to_str().expect("plain"),
        ] {
            let found = cgroups.find(name).expect(name);
            assert_eq!(found, (id, "/a/b".to_owned()), "{name}");
        }
        assert_eq!(cgroups.find("/").expect("the root").1, "/");
        fs::create_dir(tree.0.join("none")).expect("no cgroup");
        for name in ["a/c", "none", "../..", "a/b/cgroup.controllers"] {
            let error = format!("{:#}", cgroups.find(name).expect_err(name));
            assert!(error.contains("no cgroup"), "{name}: {error}");
        }
    }

    #[test]
    fn without_version_2_it_is_said() {
        let error = Cgroups::below(&["/proc/none"]).err().expect("none");
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
