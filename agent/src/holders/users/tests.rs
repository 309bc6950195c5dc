use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// A made-up `/proc`. `/dev/null` stands for a dax device: whoever looks must come by its number, 1:3.
struct Proc(PathBuf);

impl Proc {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("daxscope-proc-{}-{n}", std::process::id());
        Self(std::env::temp_dir().join(folder))
    }

    fn process(&self, pid: u32, comm: &[u8], maps: &str) -> PathBuf {
        let folder = self.0.join(pid.to_string());
        for part in ["fd", "map_files", "ns", "root"] {
            fs::create_dir_all(folder.join(part)).expect("a folder");
        }
        fs::write(folder.join("comm"), [comm, b"\n"].concat()).expect("comm");
        fs::write(folder.join("maps"), maps).expect("maps");
        folder
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NULL: &str = "/dev/null";

fn wanted() -> Vec<Wanted> {
    let wanted = |device: &str, numbers: &[Number]| Wanted {
        device: device.into(),
        numbers: numbers.to_vec(),
    };
    vec![
        wanted("dax0.0", &[(1, 3)]),
        wanted("pmem1", &[(259, 0), (259, 7)]),
    ]
}

fn found(users: &Users) -> Vec<(&str, u32, u64, u64)> {
    let processes = users.processes.iter();
    processes
        .map(|user| (user.device.as_str(), user.pid, user.mapped, user.open))
        .collect()
}

#[test]
fn a_dax_device_is_found_by_its_number_whatever_its_path() {
    let proc = Proc::new();
    let maps = "\
00400000-00600000 rw-s 00000000 00:05 93    /srv/elsewhere
00800000-00a00000 rw-s 00200000 00:05 93    /srv/elsewhere
00c00000-00d00000 r--p 00000000 00:05 93    /srv/elsewhere
00e00000-00f00000 rw-s 00000000 00:01 5     /dev/zero (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0    [stack]
";
    let one = proc.process(7, b"one\x1b", maps);
    // Asked once for both mappings: the second has no link.
    symlink(NULL, one.join("map_files/400000-600000")).expect("a link");
    symlink(NULL, one.join("fd/3")).expect("a link");
    symlink(NULL, one.join("fd/4")).expect("a link");
    symlink("/proc/self/exe", one.join("fd/5")).expect("a link");
    proc.process(8, b"other", "");
    let users = search(&proc.0, &wanted(), &[]);
    assert_eq!(found(&users), [("dax0.0", 7, 4 << 20, 2)]);
    assert_eq!(users.processes[0].process, "one\\x1b");
    assert_eq!(users.unseen, 0, "what is gone meanwhile is no loss");
}

#[test]
fn without_map_files_the_process_s_own_path_must_do() {
    let proc = Proc::new();
    let maps = "00400000-00600000 rw-s 00000000 00:05 93    /null\n";
    let one = proc.process(7, b"one", maps);
    symlink(NULL, one.join("root/null")).expect("a link");
    let users = search(&proc.0, &wanted(), &[]);
    assert_eq!(found(&users), [("dax0.0", 7, 2 << 20, 0)]);
}

#[test]
fn files_of_a_file_system_are_found_by_what_it_is_on() {
    let proc = Proc::new();
    // 103 is 259.
    let maps = "7f0000000000-7f0000001000 r-xp 00000000 103:07 12    /mnt/a b (deleted)\n";
    proc.process(7, b"one", maps);
    let users = search(&proc.0, &wanted(), &[]);
    assert_eq!(found(&users), [("pmem1", 7, 4096, 0)]);

    // An open file on what this one is on.
    let own = proc.process(9, b"two", "");
    let file = own.join("comm");
    symlink(&file, own.join("fd/0")).expect("a link");
    let on = status(&file).expect("status").on;
    let wanted = [Wanted {
        device: "pmem3".into(),
        numbers: vec![on],
    }];
    let users = search(&proc.0, &wanted, &[]);
    assert_eq!(found(&users), [("pmem3", 9, 0, 1)]);
}

#[test]
fn a_device_that_sysfs_has_lost_is_found_by_what_dax_devices_share() {
    let proc = Proc::new();
    let one = proc.process(7, b"one", "");
    fs::write(proc.0.join("devices"), "Character devices:\n  1 dax\n").expect("devices");
    symlink(NULL, one.join("fd/3")).expect("a link");
    let going = |device: &str| Wanted {
        device: device.into(),
        numbers: vec![],
    };
    let wanted = [going("generic#0"), going("namespace0.0")];
    let users = search(&proc.0, &wanted, &[]);
    assert_eq!(found(&users), [("namespace0.0", 7, 0, 1)]);
    // It is another, which sysfs has.
    assert_eq!(found(&search(&proc.0, &wanted, &[(1, 3)])), []);
    // Nobody knows which.
    let wanted = [going("namespace0.0"), going("namespace1.0")];
    assert_eq!(found(&search(&proc.0, &wanted, &[])), []);
    // But by its name: what is mapped there is `/dev/null`.
    let maps = "00400000-00600000 rw-s 00000000 00:05 93    /dev/dax2.0 (deleted)\n";
    let two = proc.process(8, b"two", maps);
    symlink(NULL, two.join("map_files/400000-600000")).expect("a link");
    let wanted = [going("namespace0.0"), going("dax2.0")];
    let users = search(&proc.0, &wanted, &[]);
    assert_eq!(found(&users), [("dax2.0", 8, 2 << 20, 0)]);
}

#[test]
fn what_cannot_be_looked_at_is_counted_and_the_rest_is_told() {
    let proc = Proc::new();
    let maps = "7f0000000000-7f0000001000 r-xp 00000000 103:00 12    /mnt/a\n";
    let one = proc.process(7, b"one", maps);
    // A link to itself cannot be followed, by root either.
    symlink(one.join("fd/3"), one.join("fd/3")).expect("a link");
    symlink(NULL, one.join("fd/4")).expect("a link");
    let two = proc.process(8, b"two", "");
    fs::remove_file(two.join("maps")).expect("removes it");
    symlink(two.join("maps"), two.join("maps")).expect("a link");
    let users = search(&proc.0, &wanted(), &[]);
    assert_eq!(found(&users), [("dax0.0", 7, 0, 1), ("pmem1", 7, 4096, 0)]);
    assert_eq!(users.unseen, 2);
}

#[test]
fn mounts_are_told_once_for_each_namespace() {
    let proc = Proc::new();
    let mount = |pid, namespace: &str, path: &str| {
        let folder = proc.process(pid, b"x", "");
        symlink(namespace, folder.join("ns/mnt")).expect("a link");
        let line = format!("36 35 259:7 / {path} rw - ext4 /dev/pmem1p1 rw\n");
        let other = "37 35 8:1 / /boot rw - ext4 /dev/sda1 rw\n";
        fs::write(folder.join("mountinfo"), line + other).expect("mountinfo");
        folder
    };
    let own = mount(7, "mnt:[1]", "/mnt");
    symlink(own, proc.0.join("self")).expect("a link");
    mount(8, "mnt:[1]", "/never/asked");
    mount(9, "mnt:[2]", "/in\\040a\\033container");
    mount(10, "mnt:[2]", "/never/asked");
    let mounts = search(&proc.0, &wanted(), &[]).mounts;
    let told: Vec<_> = mounts
        .iter()
        .map(|mount| (mount.device.as_str(), mount.path.as_str(), mount.pid))
        .collect();
    let container = "/in a\\x1bcontainer";
    assert_eq!(
        told,
        [("pmem1", "/mnt", None), ("pmem1", container, Some(9))]
    );
}
