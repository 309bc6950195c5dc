//! The attacked process, from outside.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    client::{self, Target},
    tls,
};

pub struct Process {
    child: Mutex<Child>,
    folder: PathBuf,
    target: Target,
}

/// What a process has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub files: usize,
    /// Bytes.
    pub resident: u64,
}

/// Floods hold thousands of connections open, at our end too.
pub fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

impl Process {
    /// With TLS and a user if `guarded`.
    pub fn start(guarded: bool) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("daxscope-attack-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
        command.arg("serve");
        let guard = guarded.then(|| tls::Guard::make(&folder));
        if let Some(guard) = &guard {
            command.arg(&guard.web);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|error| format!("the server says nothing: {error}"))?;
        let address = line
            .trim()
            .parse()
            .map_err(|_| format!("the server did not start: {line}"))?;
        let pid = child.id();
        Ok(Self {
            child: Mutex::new(child),
            folder,
            target: Target {
                pid,
                address,
                guard,
            },
        })
    }

    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// An error if it has ended.
    pub fn lives(&self) -> Result<(), String> {
        let mut child = self.child.lock().expect("not poisoned");
        match child.try_wait() {
            Ok(None) => Ok(()),
            end => Err(format!("the server has ended: {end:?}")),
        }
    }

    /// The least of a few moments: who asked last may not be quite gone in one of them.
    pub fn size(&self) -> Result<Size, String> {
        let mut least = self.size_now()?;
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.size_now()?;
            least.files = least.files.min(now.files);
            least.resident = least.resident.min(now.resident);
        }
        Ok(least)
    }

    fn size_now(&self) -> Result<Size, String> {
        let pid = self.child.lock().expect("not poisoned").id();
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_err(|error| error.to_string())?;
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
        let resident = status.lines().find_map(|line| {
            let kib = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
            kib.parse::<u64>().ok()
        });
        Ok(Size {
            files: files.count(),
            resident: resident.ok_or("no VmRSS")? << 10,
        })
    }

    /// Waits until nobody is connected but who asks, and threads that checked passwords have gone.
    pub fn calm(&self, target: &Target) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            self.lives()?;
            let open = client::figure(target, "daxscope_http_connections ")?;
            if open <= 1.0 {
                // tokio keeps such a thread for 10 s.
                let busy = self.threads()? > 1 && target.guard.is_some();
                if !busy {
                    return Ok(());
                }
            }
            if Instant::now() > end {
                return Err(format!(
                    "{open} connections are open long after all attacks"
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn threads(&self) -> Result<usize, String> {
        let pid = self.child.lock().expect("not poisoned").id();
        let threads =
            fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
        // One reads its standard input.
        Ok(threads.count() - 1)
    }

    /// Seconds of a processor that the server's thread has had.
    pub fn busy(&self) -> f64 {
        let pid = self.target.pid;
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat"));
        let busy = text
            .ok()
            .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Duration::from_nanos(busy.unwrap_or(0)).as_secs_f64()
    }

    pub fn stop(&self) -> Result<(), String> {
        let mut child = self.child.lock().expect("not poisoned");
        drop(child.stdin.take());
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            end => Err(format!("the server did not end well: {end:?}")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
