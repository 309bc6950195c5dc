//! The terminal: ours while somebody looks, and as it was afterwards, however that ends.

use std::{
    io::{self, BufWriter, IsTerminal as _, Read as _, Stdout},
    mem::ManuallyDrop,
    os::fd::AsFd as _,
    panic,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, raise},
        signalfd::{SfdFlags, SignalFd},
    },
};
use ratatui::{
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, MoveTo, Show},
        execute,
        terminal::{
            Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
            enable_raw_mode,
        },
    },
};

use super::{
    keys::{Key, Keys},
    screen::Screen,
};

/// What ends us. Ctrl-C is a key, as long as the terminal is ours.
const ENDS: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];
/// What it is when the terminal goes away.
pub const HANG_UP: Signal = Signal::SIGHUP;
/// How long the rest of a key's bytes may take to come, over a slow line.
const SEQUENCE: Duration = Duration::from_millis(50);
/// Bytes of a frame that go out at once.
const FRAME: usize = 1 << 14;

/// A terminal that is ours.
pub struct Terminal {
    // Dropping it would show the cursor, as we do, but complain to a standard error that may be gone too, and panic.
    screen: ManuallyDrop<ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
    _ours: Ours,
    signals: SignalFd,
    keys: Keys,
}

/// What happened next.
#[derive(Debug, PartialEq, Eq)]
pub enum Wake {
    Keys(Vec<Key>),
    /// The terminal has another size, or somebody else wrote to it.
    Resized,
    /// What was waited for is due.
    Due,
    End(Signal),
}

/// Says no before anything else happens, where there is no terminal.
///
/// # Errors
/// When there is none.
pub fn ensure() -> Result<()> {
    ensure!(
        io::stdin().is_terminal() && io::stdout().is_terminal(),
        "top needs a terminal to show and to be steered; `daxscope trace` prints, `ssh -t` gives one"
    );
    Ok(())
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it is none, or signals cannot be waited for.
    pub fn open() -> Result<Self> {
        ensure()?;
        let mut waited: SigSet = ENDS.into_iter().collect();
        waited.add(Signal::SIGWINCH);
        waited.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&waited, flags).context("cannot wait for signals")?;
        let ours = Ours::take().context("cannot take the terminal")?;
        let out = BufWriter::with_capacity(FRAME, io::stdout());
        Ok(Self {
            screen: ManuallyDrop::new(ratatui::Terminal::new(CrosstermBackend::new(out))?),
            _ours: ours,
            signals,
            keys: Keys::default(),
        })
    }

    /// Shows a frame: writes what is not as before.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn show(&mut self, screen: &Screen) -> io::Result<()> {
        let frame = |frame: &mut ratatui::Frame| screen.draw(frame.area(), frame.buffer_mut());
        self.screen.draw(frame).map(|_| ())
    }

    /// Lets the next frame be written as a whole.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn redraw(&mut self) -> io::Result<()> {
        // `clear` would ask the terminal where its cursor is, and wait for the answer among the keys.
        let size = self.screen.size()?;
        self.screen.resize(size.into())
    }

    /// Gives the terminal back, and stops as a shell's job does until somebody lets us go on.
    ///
    /// # Errors
    /// When the terminal is gone then.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        raise(Signal::SIGTSTP)?;
        take()?;
        self.redraw()
    }

    /// Waits for what comes next; without `due`, for keys and signals only.
    ///
    /// # Errors
    /// When the terminal is gone. crossterm's own reader would turn round for ever then (0.29, `event/source/unix/mio.rs`),
    /// and it tells no signals but one.
    pub fn wait(&mut self, due: Option<Instant>) -> io::Result<Wake> {
        loop {
            let rest = self.keys.waits().then(|| Instant::now() + SEQUENCE);
            let until = rest.into_iter().chain(due).min();
            let stdin = io::stdin();
            let mut sources = [
                PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut sources, timeout(until)) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            let [typed, signalled] = sources.map(|source| source.any() == Some(true));
            if signalled && let Some(signal) = self.signals.read_signal()? {
                let ended = |end: &Signal| *end as u32 == signal.ssi_signo;
                let end = ENDS.into_iter().find(ended);
                return Ok(end.map_or(Wake::Resized, Wake::End));
            }
            let keys = if typed {
                let mut bytes = [0; 256];
                match stdin.lock().read(&mut bytes)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => self.keys.feed(&bytes[..n]),
                }
            } else if rest.is_some_and(|rest| rest <= Instant::now()) {
                self.keys.flush()
            } else {
                vec![]
            };
            if !keys.is_empty() {
                return Ok(Wake::Keys(keys));
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                return Ok(Wake::Due);
            }
        }
    }
}

/// Rounded up: to be woken too early would be to ask again and again.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now());
    let ms = left.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
}

/// The state of a terminal that shows frames; dropping it gives back what was there.
struct Ours;

impl Ours {
    fn take() -> io::Result<Self> {
        // Release builds end at a panic without dropping anything.
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            give_back();
            before(what);
        }));
        let ours = Self;
        take()?;
        Ok(ours)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    // Lines of a log would be written over frames.
    log::set_max_level(log::LevelFilter::Off);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, Hide)
}

fn give_back() {
    // Where it is gone there is nothing to give back, and nobody to be told. The kernel's own console has no second screen:
    // there it is left empty.
    let _ = execute!(
        io::stdout(),
        Clear(ClearType::All),
        MoveTo(0, 0),
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}
