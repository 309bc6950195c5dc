//! What the kernel itself says of the struct pages it initialised: `memmap_init_zone_device initialised N pages in Mms`
//! (`mm/mm_init.c`, `mm/page_alloc.c` before 6.6), a debug message since 5.14.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};

const CONTROL: &str = "/sys/kernel/debug/dynamic_debug/control";
const FUNCTION: &str = "memmap_init_zone_device";

/// The kernel's messages from now on.
pub struct Messages {
    log: File,
}

impl Messages {
    pub fn from_now() -> Result<Messages> {
        // Where the message is no debug message it is always printed, and this matches nothing.
        fs::write(CONTROL, format!("func {FUNCTION} +p"))
            .with_context(|| format!("cannot turn on the messages of {FUNCTION} in {CONTROL}"))?;
        let mut log = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .context("cannot read the kernel's messages")?;
        log.seek(SeekFrom::End(0))?;
        Ok(Messages { log })
    }

    /// Pages that the messages since then add up to.
    pub fn initialised(mut self) -> Result<u64> {
        let mut pages = 0;
        let mut record = [0; 8192];
        loop {
            // One message each.
            match self.log.read(&mut record) {
                Ok(length) => pages += pages_in(&String::from_utf8_lossy(&record[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(pages),
                Err(error) => return Err(error).context("cannot read the kernel's messages"),
            }
        }
    }
}

fn pages_in(message: &str) -> u64 {
    let said = message.split_once(&format!("{FUNCTION} initialised "));
    said.and_then(|(_, rest)| rest.split_once(" pages"))
        .and_then(|(pages, _)| pages.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::pages_in;

    #[test]
    fn pages_are_read_from_the_kernels_own_words() {
        let message = "7,812,7093210,-;memmap_init_zone_device initialised 262144 pages in 13ms\n";
        assert_eq!(pages_in(message), 262_144);
        assert_eq!(pages_in("6,1,0,-;initialised nothing\n"), 0);
    }
}
