//! What is listened on: sockets that we bind, or that were bound for us.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::UnixStream as Knock,
        },
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::Listen;

/// Connections that the kernel keeps for us until they are accepted; it takes `net.core.somaxconn` (4096) if that is less.
/// A connection beyond it comes a second later, when the client's SYN is sent again.
const BACKLOG: i32 = 4096;

/// Bytes of an answer that the kernel may hold for a client that does not read; it doubles this for its own bookkeeping
/// (socket(7), `SO_SNDBUF`). Left alone it takes up to 4 MB each (`net.ipv4.tcp_wmem`).
const SEND: usize = 128 << 10;

/// A socket that listens.
pub struct Listener {
    socket: Kind,
    at: Listen,
    /// A file of ours, to be removed in the end.
    file: Option<PathBuf>,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// One client's end.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Who a client is, as far as its connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    Tcp(IpAddr),
    Unix,
}

impl Listener {
    /// Binds a socket. A unix socket gets `mode`, and takes the place of one that nobody listens on any more. To be called
    /// where tokio runs.
    ///
    /// # Errors
    /// When the place is taken or may not be used, in words.
    pub fn bind(at: &Listen, mode: u32) -> Result<Self> {
        match at {
            Listen::Tcp(address) => tcp(*address).with_context(|| {
                format!(
                    "cannot listen on {address}: choose another address with --listen, or stop what uses it"
                )
            }),
            Listen::Unix(path) => unix(path, mode)
                .with_context(|| format!("cannot listen on unix:{}", path.display())),
        }
    }

    /// A socket that systemd has bound and listens on (`LISTEN_FDS`). To be called where tokio runs.
    ///
    /// # Errors
    /// When it is not a stream socket that listens.
    pub fn adopt(socket: OwnedFd) -> Result<Self> {
        let reference = SockRef::from(&socket);
        if !reference.is_listener().unwrap_or(false) || reference.r#type()? != Type::STREAM {
            bail!(
                "a socket that was handed over is no stream socket that listens: in its unit, use ListenStream="
            );
        }
        reference.set_nonblocking(true)?;
        reference.set_send_buffer_size(SEND)?;
        let address = reference.local_addr()?;
        if let Some(at) = address.as_socket() {
            let socket = TcpListener::from_std(socket.into())?;
            return Ok(Self::new(Kind::Tcp(socket), Listen::Tcp(at)));
        }
        let Some(path) = address.as_pathname().map(Path::to_owned) else {
            bail!("a socket that was handed over is neither of the Internet nor a file");
        };
        let socket = UnixListener::from_std(socket.into())?;
        Ok(Self::new(Kind::Unix(socket), Listen::Unix(path)))
    }

    const fn new(socket: Kind, at: Listen) -> Self {
        Self {
            socket,
            at,
            file: None,
        }
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub const fn at(&self) -> &Listen {
        &self.at
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Kind::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((Stream::Tcp(stream), Peer::Tcp(peer.ip().to_canonical())))
            }
            Kind::Unix(socket) => Ok((Stream::Unix(socket.accept().await?.0), Peer::Unix)),
        }
    }
}

impl Stream {
    /// Ready once the client has said something, or has gone.
    pub(super) async fn speaks(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.readable().await?;
                // An answer is one or two writes: it must not wait for the client's acknowledgement.
                stream.set_nodelay(true)
            }
            Self::Unix(stream) => stream.readable().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // After privileges were dropped it may not be ours to remove; the next start does it.
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Peer {
    /// Whether it is a process of this host.
    #[must_use]
    pub const fn is_local(self) -> bool {
        match self {
            Self::Tcp(address) => address.is_loopback(),
            Self::Unix => true,
        }
    }

    /// What is counted as one client: of IPv6, whoever has the network, since one host may use all of its addresses.
    #[must_use]
    pub fn owner(self) -> Self {
        match self {
            Self::Tcp(IpAddr::V6(address)) if !address.is_loopback() => {
                let network = address.to_bits() >> 64 << 64;
                Self::Tcp(Ipv6Addr::from_bits(network).into())
            }
            other => other,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("this host"),
        }
    }
}

fn tcp(address: SocketAddr) -> Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of the process before us may still linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Clients' sockets have it from this one.
    socket.set_send_buffer_size(SEND)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from_std(socket.into())?;
    let at = Listen::Tcp(socket.local_addr()?);
    Ok(Listener::new(Kind::Tcp(socket), at))
}

fn unix(path: &Path, mode: u32) -> Result<Listener> {
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Before it has a name: the file never has more permissions than it shall have (unix_bind_bsd() in net/unix/af_unix.c
    // takes the socket's mode, less the umask). The second time is for what the umask took.
    let permissions = std::fs::Permissions::from_mode(mode);
    let file = std::fs::File::from(OwnedFd::from(socket.try_clone()?));
    file.set_permissions(permissions.clone())?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, permissions)?;
    socket.listen(BACKLOG)?;
    let socket = UnixListener::from_std(socket.into())?;
    let mut listener = Listener::new(Kind::Unix(socket), Listen::Unix(path.to_owned()));
    listener.file = Some(path.to_owned());
    Ok(listener)
}

/// Removes a socket that nobody listens on.
fn clear(path: &Path) -> Result<()> {
    let there = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    if !there.file_type().is_socket() {
        bail!("there is a file that is no socket: choose another path with --listen, or remove it");
    }
    match Knock::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).context("cannot remove the socket that was left there")
        }
        _ => bail!("something listens there: choose another path with --listen, or stop it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::Tcp(
            address
                .parse::<IpAddr>()
                .expect("an address")
                .to_canonical(),
        )
    }

    #[test]
    fn only_loopback_and_unix_peers_are_of_this_host() {
        for local in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(peer(local).is_local(), "{local}");
        }
        for far in [
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "2001:db8::1",
            "fe80::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(!peer(far).is_local(), "{far}");
        }
        assert!(Peer::Unix.is_local());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(
            peer("2001:db8::1").owner(),
            peer("2001:db8::ffff:2").owner()
        );
        assert_ne!(peer("2001:db8:0:1::1").owner(), peer("2001:db8::1").owner());
        assert_ne!(peer("192.0.2.1").owner(), peer("192.0.2.2").owner());
        assert_eq!(peer("::1").owner(), peer("::1"));
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = std::env::temp_dir().join(format!("daxscope-listen-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("s");
        let at = Listen::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).expect("binds"));
        let first = Listener::bind(&at, 0o620).expect("takes the place of one that is dead");
        let mode = std::fs::metadata(&path)
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o620);
        let Err(error) = Listener::bind(&at, 0o600) else {
            panic!("two on one path");
        };
        assert!(
            format!("{error:#}").contains("something listens there"),
            "{error:#}"
        );
        drop(first);
        assert!(!path.exists(), "removed with its listener");
        std::fs::write(&path, "precious").expect("writes");
        let Err(error) = Listener::bind(&at, 0o600) else {
            panic!("over a file");
        };
        assert!(format!("{error:#}").contains("no socket"), "{error:#}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
