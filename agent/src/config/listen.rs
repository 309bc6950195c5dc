//! Places to serve on, as they are written.

use std::{fmt, net::SocketAddr, path::Path, str::FromStr};

use super::Listen;

/// What `sockaddr_un` has room for, without the NUL that ends it (include/uapi/linux/un.h).
const UNIX_PATH: usize = 107;

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                _ if path.contains('\0') => Err(format!("{text:?} has a NUL in its path")),
                _ if !Path::new(path).is_absolute() || path.ends_with('/') => Err(format!(
                    "{text:?} is no absolute path of a socket, as unix:/run/daxscope/daxscope.sock is"
                )),
                _ if path.len() > UNIX_PATH => Err(format!(
                    "{text:?} is too long: a socket's path has at most {UNIX_PATH} bytes"
                )),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        let address: Result<SocketAddr, _> = text.parse();
        address.map(Self::Tcp).map_err(|_| {
            let hint = if text.starts_with('/') {
                format!("for a unix socket write unix:{text}")
            } else if text.starts_with(':') {
                format!("for all addresses write 0.0.0.0{text}")
            } else {
                "write 127.0.0.1:9954, [::1]:9954 or unix:/PATH; names of hosts are not looked up"
                    .into()
            };
            format!("{text:?} is no address with a port: {hint}")
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}
