//! A unix socket of systemd's in place of the port: the first who asks starts the service.

use anyhow::Result;

use super::host;
use crate::guest::report::Figures;

const SOCKET: &str = "/run/daxscope/daxscope.sock";

pub fn activated(figures: &mut Figures) -> Result<()> {
    host::forget_drop_ins()?;
    host::systemctl("stop")?;
    host::drop_in("unix-socket.conf", &host::example("unix-socket.conf")?)?;
    host::run(&["systemctl", "start", "daxscope.socket"])?;
    let owner = host::run(&["stat", "--format=%U:%G %a", SOCKET])?;
    figures.equal("socket", "daxscope:daxscope 660", owner.trim());
    figures.equal(
        "before anybody asks",
        "inactive".to_owned(),
        host::property("ActiveState")?,
    );
    // It waits in the socket's queue until the service has attached its probes.
    let scrape = host::run(&[
        "curl",
        "--silent",
        "--show-error",
        "--max-time",
        "90",
        "--unix-socket",
        SOCKET,
        "http://localhost/metrics",
    ])?;
    figures.holds(
        "metrics by the socket",
        scrape.contains("daxscope_self_test_success 1"),
    );
    figures.equal("then", "active".to_owned(), host::property("ActiveState")?);
    let port = host::run(&["curl", "--silent", "http://127.0.0.1:9954/metrics"]);
    figures.holds("the port is closed", port.is_err());
    let nobody = host::run(&[
        "setpriv",
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
        "curl",
        "--silent",
        "--unix-socket",
        SOCKET,
        "http://localhost/metrics",
    ]);
    figures.holds("others are refused", nobody.is_err());
    host::run(&["systemctl", "stop", "daxscope.socket", host::UNIT])?;
    host::forget_drop_ins()
}
