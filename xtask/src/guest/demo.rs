//! `xtask guest demo`: an agent that has something to show, left serving.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;

use super::agent::Agent;
use super::pin::{self, By, Memory, Plan};
use super::region::{self, PAGE};

/// The port that the host forwards.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9954);
const PAGES: u64 = 1 << 18;

pub fn main() -> Result<()> {
    let nonce = std::env::var("DAXSCOPE_NONCE").unwrap_or_else(|_| "no-nonce".to_owned());
    // The guest's only network is the forwarded port, which is on the host's loopback.
    let agent = Agent::start(&["--allow-insecure-remote"], LISTEN)?;
    println!("the agent serves on {}", agent.address);

    let devices = region::create_all()?;
    for device in &devices {
        println!(
            "{}: {} bytes, {} pages of {}",
            device.path.display(),
            device.bytes,
            device.struct_pages(),
            device.asked.name
        );
    }
    let pages = pin::threads() * By::ProcessVmReadv.usual_per_call();
    pin_from("system memory", &Memory::anonymous(pages)?)?;
    for device in &devices {
        pin_from(
            &device.path.to_string_lossy(),
            &Memory::device(&device.path, device.asked.bytes, pages)?,
        )?;
    }
    println!("DAXSCOPE-READY {nonce}");
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

fn pin_from(name: &str, memory: &Memory) -> Result<()> {
    for by in By::ALL {
        if by == By::IoUring && pin::register_errno(memory.at(0), PAGE)?.is_some() {
            println!("{name}: this kernel registers no such io_uring buffers");
            continue;
        }
        // The others cost more a page; the figures that the demo shows need no more of them.
        let pages = if by == By::ProcessVmReadv {
            PAGES
        } else {
            PAGES / 16
        };
        let plan = Plan::of_pages(by, pages, by.usual_per_call(), pin::threads());
        let (done, (), ()) = pin::run(&[plan], memory, || Ok(()))?;
        println!(
            "{name}: {} pages in {} calls by {} in {:.2} s",
            done.pages,
            done.calls,
            by.name(),
            done.took.as_secs_f64()
        );
    }
    Ok(())
}
