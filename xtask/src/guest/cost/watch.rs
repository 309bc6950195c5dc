//! Whoever watches while work is measured: started, attached, stopped.

use anyhow::{Result, ensure};

use crate::guest::agent::Agent;

/// What is running and will be stopped.
pub trait Watch {
    fn stop(self: Box<Self>) -> Result<()>;
}

/// `daxscope run` with these options, all attached.
pub fn agent(options: &[String]) -> Result<Box<dyn Watch>> {
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    Ok(Box::new(Agent::start(
        &words,
        ([127, 0, 0, 1], 9954).into(),
    )?))
}

impl Watch for Agent {
    fn stop(mut self: Box<Self>) -> Result<()> {
        self.signal(libc::SIGTERM)?;
        let status = self.wait()?;
        ensure!(status.success(), "daxscope run ended with {status}");
        Ok(())
    }
}
