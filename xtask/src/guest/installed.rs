//! The proof of the package: installed in a Debian, started by systemd as PID 1, and asked what it does and may do.
//!
//! Every start costs an emulated guest ten seconds, so the checks follow one life of the package: an older version comes, it
//! is given another user, configured, upgraded, given kprobes, stopped by the watchdog, moved to a unix socket, removed and
//! purged.

mod confined;
mod container;
mod dynamic;
mod host;
mod life;
mod pod;
mod podman;
mod scraped;
mod service;
mod socket;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;

use super::report::Report;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9954);

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only this part
    #[arg(long, value_enum)]
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Part {
    Package,
    Container,
}

/// `xtask guest installed`.
pub fn main(args: &Args) -> Result<()> {
    let mut report = Report::new();
    if args.part != Some(Part::Container) {
        package(&mut report)?;
    }
    if args.part != Some(Part::Package) {
        report.check("container/image", container::image);
        report.check("container/run", container::run);
        report.check("container/profile", container::profile);
        report.check("container/pod", container::pod);
    }
    report.finish();
    Ok(())
}

fn package(report: &mut Report) -> Result<()> {
    let before = life::Traces::read()?;
    report.check("package/install", life::install);
    report.check("service/confined", confined::confined);
    report.check("service/probes", service::probes);
    report.check("service/region", service::region);
    report.check("service/counts", service::counts);
    report.check("service/two-agents", service::two);
    report.check("service/reload", service::reload);
    report.check("service/dynamic-user", dynamic::dynamic);
    report.check("package/upgrade", life::upgrade);
    report.check("prometheus/tls-and-password", scraped::scraped);
    report.check("service/kprobes", service::kprobes);
    report.check("service/watchdog", service::watchdog);
    report.check("service/unix-socket", socket::activated);
    report.check("package/remove", life::remove);
    report.check("package/purge", |figures| life::purge(figures, &before));
    Ok(())
}
