//! The daemon as a service: what it may still do once it serves, and what it says to whoever started it.

mod confined;
mod service;

pub use confined::{others_read_maps, try_bpf};

use crate::guest::report::Report;

pub fn all(report: &mut Report) {
    report.check("daemon/confined", confined::confined);
    report.check("daemon/not-confined", confined::kept);
    report.check("daemon/notifies", service::notifies);
    report.check("daemon/handed-over", service::handed_over);
    report.check("daemon/ready", service::ready);
    report.check("daemon/reload", service::reload);
}
