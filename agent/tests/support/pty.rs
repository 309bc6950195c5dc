//! A terminal with somebody before it: a program runs in it, keys are pressed, the screen is looked at.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    num::NonZero,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// Nothing takes so long: only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Pty {
    pub child: Child,
    master: File,
    // Open as long as we look: how the program left it can be seen when it has ended.
    slave: File,
    parser: vt100::Parser,
    before: Settings,
}

/// What `stty -a` tells.
#[derive(Debug, PartialEq, Eq)]
struct Settings([libc::tcflag_t; 4], [libc::cc_t; libc::NCCS]);

impl Pty {
    /// Runs a program on a new screen that says `before` already.
    pub fn run(mut command: Command, [columns, rows]: [u16; 2], before: &str) -> Self {
        let [master, slave] = open([columns, rows]);
        let file = || slave.try_clone().expect("another descriptor");
        command
            .env("TERM", "xterm-256color")
            .stdin(file())
            .stdout(file())
            .stderr(file());
        // SAFETY: system calls only, between fork and exec: a session of its own, with this terminal.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let mut parser = vt100::Parser::new(some(rows), some(columns), 0);
        parser.process(before.as_bytes());
        Self {
            before: settings(&slave),
            child: command.spawn().expect("it runs"),
            master,
            slave,
            parser,
        }
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("typed");
    }

    pub fn resize(&mut self, size: [u16; 2]) {
        let winsize = winsize(size);
        // SAFETY: `winsize` is what this request reads.
        let done = unsafe {
            libc::ioctl(
                self.master.as_raw_fd(),
                libc::TIOCSWINSZ,
                &raw const winsize,
            )
        };
        assert_eq!(done, 0);
        self.parser
            .screen_mut()
            .set_size(some(size[1]), some(size[0]));
    }

    pub fn kill(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: no pointers; the child has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Reads what comes until the screen is as expected.
    pub fn wait_for(&mut self, what: &str, seen: impl Fn(&vt100::Screen) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !seen(self.parser.screen()) {
            assert!(
                self.read(end.saturating_duration_since(Instant::now())),
                "never {what}:\n{}",
                self.parser.screen().contents()
            );
        }
    }

    /// The lines of the screen when nothing has come for a while.
    pub fn settled(&mut self) -> String {
        while self.read(Duration::from_millis(500)) {}
        lines(self.screen())
    }

    /// Waits for the end, and holds the terminal to how it was.
    pub fn end(mut self, before: &str) -> ExitStatus {
        // What is written to a terminal that nobody reads may have to wait.
        let end = Instant::now() + PATIENCE;
        let status = loop {
            self.read(Duration::from_millis(10));
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no end:\n{}", self.screen().contents());
        };
        while self.read(Duration::ZERO) {}
        let screen = self.parser.screen();
        assert!(
            !screen.alternate_screen() && !screen.hide_cursor(),
            "the screen is given back"
        );
        assert!(!screen.application_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.contents().trim_end(), before.trim_end());
        assert!(self.is_as_before(), "as stty had it");
        status
    }

    /// Whether keys come a line at a time and echoed, and all else that `stty` sets is as it was.
    pub fn is_as_before(&self) -> bool {
        settings(&self.slave) == self.before
    }

    /// The terminal goes away, as when a line breaks.
    pub fn hang_up(self) -> ExitStatus {
        let Self {
            mut child,
            master,
            slave,
            ..
        } = self;
        drop((master, slave));
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < end, "it lives on without a terminal");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether anything came in that time.
    fn read(&mut self, time: Duration) -> bool {
        let mut source = libc::pollfd {
            fd: self.master.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let ms = i32::try_from(time.as_millis()).expect("a short time");
        // SAFETY: one descriptor, which is open.
        if unsafe { libc::poll(&raw mut source, 1, ms) } != 1 {
            return false;
        }
        let mut bytes = [0; 4096];
        let n = self.master.read(&mut bytes).unwrap_or(0);
        self.parser.process(&bytes[..n]);
        n > 0
    }
}

/// The screen as text, without blanks at the ends of lines.
pub fn lines(screen: &vt100::Screen) -> String {
    let (_, columns) = screen.size();
    let rows = screen.rows(0, columns.get());
    rows.flat_map(|row| [row.trim_end().to_owned(), "\n".into()])
        .collect()
}

fn open(size: [u16; 2]) -> [File; 2] {
    let (mut master, mut slave) = (-1, -1);
    let winsize = winsize(size);
    // SAFETY: room for both descriptors; no name and no settings are asked for or given.
    let done = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const winsize,
        )
    };
    assert_eq!(
        done,
        0,
        "a pseudo-terminal: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: both are new, and nobody else's.
    [master, slave].map(|fd| {
        // SAFETY: it was opened just now.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        // SAFETY: as above.
        File::from(unsafe { OwnedFd::from_raw_fd(fd) })
    })
}

const fn winsize([columns, rows]: [u16; 2]) -> libc::winsize {
    libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn some(n: u16) -> NonZero<u16> {
    NonZero::new(n).expect("a size")
}

fn settings(terminal: &File) -> Settings {
    // SAFETY: a value of all zeros is one, and is filled in.
    let mut of: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: `of` is room for the answer.
    let done = unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut of) };
    assert_eq!(done, 0);
    Settings([of.c_iflag, of.c_oflag, of.c_cflag, of.c_lflag], of.c_cc)
}
