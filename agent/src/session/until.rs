//! How long a session lasts: a time, a command, or until somebody stops it.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Command, ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use super::{filters::duration, live::Live};

/// How long: of all verbs that attach.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = None::<&'static str>)]
pub struct UntilArgs {
    /// Watch for so long: 500ms, 10s, 5min; until Ctrl-C if left out
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "command")]
    pub time: Option<Duration>,
    /// Watch what this command and its descendants do, as long as it runs, and nothing else
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// The end of a session, while it is waited for.
pub struct Until {
    stops: [Signal; 3],
    end: Option<Instant>,
    ticks: Interval,
    command: Option<oneshot::Receiver<io::Result<ExitStatus>>>,
    ended: Option<ExitStatus>,
}

/// What happened next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is time for a reading.
    Tick,
    /// The session is over.
    End,
}

/// The signals that end a session.
///
/// # Errors
/// When they cannot be caught.
pub fn stops() -> io::Result<[Signal; 3]> {
    Ok([
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ])
}

impl Until {
    /// Begins the time, or the command, of a session that is attached. Signals are caught from before anybody is told of it:
    /// one must not lose what was seen, nor leave a command alone.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub async fn begin(
        args: &UntilArgs,
        stops: [Signal; 3],
        live: &mut Live,
        every: Duration,
    ) -> Result<Self> {
        let command = match &args.command[..] {
            [] => None,
            command => Some(run(command, live).await?),
        };
        let now = Instant::now();
        let mut ticks = interval_at(now + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            stops,
            end: args.time.map(|time| now + time),
            ticks,
            command,
            ended: None,
        })
    }

    /// Waits for what comes next. Ctrl-C is for the command too, whose end is waited for.
    ///
    /// # Errors
    /// When the command could not be run.
    pub async fn next(&mut self) -> Result<Next> {
        let [interrupt, terminate, hangup] = &mut self.stops;
        loop {
            let (end, command) = (self.end, self.command.as_mut());
            let has_command = command.is_some();
            let ended = async {
                match command {
                    Some(command) => command.await,
                    None => std::future::pending().await,
                }
            };
            let time = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => if !has_command { return Ok(Next::End) },
                _ = terminate.recv() => return Ok(Next::End),
                _ = hangup.recv() => return Ok(Next::End),
                () = time => return Ok(Next::End),
                status = ended => {
                    self.command = None;
                    let status = status.context("nobody waits for the command")?;
                    self.ended = Some(status.context("cannot run the command")?);
                    return Ok(Next::End);
                }
                _ = self.ticks.tick() => return Ok(Next::Tick),
            }
        }
    }

    /// The exit status that the command leaves us with, as a shell would tell it.
    #[must_use]
    pub fn status(&self) -> Option<ExitCode> {
        let status = self.ended?;
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))?;
        (code != 0).then(|| ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
    }
}

/// Starts a command that is watched from its first instruction, and waits for it elsewhere.
async fn run(
    command: &[String],
    live: &mut Live,
) -> Result<oneshot::Receiver<io::Result<ExitStatus>>> {
    let ((mut ready, tells), (goes, mut go)) = (io::pipe()?, io::pipe()?);
    let (tell, told) = (tells.as_raw_fd(), goes.as_raw_fd());
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]);
    // SAFETY: system calls only, between fork and exec.
    unsafe {
        child.pre_exec(move || {
            // The child waits until it is known, so that nothing of it is missed and nothing else is counted.
            let pid = libc::getpid().to_ne_bytes();
            let mut byte = 0u8;
            if libc::write(tell, pid.as_ptr().cast(), pid.len()) != 4
                || libc::read(told, (&raw mut byte).cast(), 1) != 1
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        let spawned = child.spawn();
        // Its ends of the pipes had to be open until there was a child.
        drop((tells, goes));
        let status = spawned.and_then(|mut child| child.wait());
        // Nobody waits any more where the session ended before its command.
        let _ = send.send(status);
    });
    let pid = tokio::task::spawn_blocking(move || {
        let mut pid = [0; 4];
        ready.read_exact(&mut pid).map(|()| u32::from_ne_bytes(pid))
    });
    // Without a child, why there is none comes the other way.
    if let Ok(pid) = pid.await? {
        live.root(pid)?;
        go.write_all(&[1]).context("cannot start the command")?;
    }
    Ok(receive)
}
