//! A server of a made host, and clients of it. Each test file takes of it what it needs.

#![allow(dead_code, reason = "not all is of use to each")]

#[path = "made.rs"]
mod made;

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use daxscope::{
    config::{Config, Limits, Listen},
    serve::{Server, listener::Listener, web::Web},
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

pub use self::made::Made;

/// A server of this process, on a port and a unix socket.
pub struct Served {
    pub folder: PathBuf,
    pub port: SocketAddr,
    pub source: Arc<Made>,
    pub server: Arc<Server>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Served {
    /// `web` writes a web configuration into the folder, if it returns one.
    pub fn new(
        name: &str,
        source: Made,
        limits: Limits,
        web: impl FnOnce(&Path) -> Option<String>,
    ) -> Self {
        let folder = std::env::temp_dir().join(format!("daxscope-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("web.yml");
        let text = web(&folder);
        if let Some(text) = &text {
            fs::write(&path, text).expect("writes");
        }
        let web = text.map(|_| Web::read(&path).expect("a web configuration"));
        let config = Config {
            limits,
            web_config: web.is_some().then_some(path),
            ..Config::default()
        };
        let source = Arc::new(source);
        let server = Server::new(&config, web, source.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (sender, ports) = std::sync::mpsc::channel();
        let socket = Listen::Unix(folder.join("socket"));
        let serving = server.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let port = Listen::Tcp(([127, 0, 0, 1], 0).into());
                let port = Listener::bind(&port, 0).expect("a port");
                let socket = Listener::bind(&socket, 0o600).expect("a socket");
                sender.send(port.at().clone()).expect("somebody waits");
                serving
                    .serve(vec![port, socket], async {
                        let _ = stopped.await;
                    })
                    .await;
            });
        });
        let Ok(Listen::Tcp(port)) = ports.recv() else {
            panic!("no port");
        };
        Self {
            folder,
            port,
            source,
            server,
            _stop: stop,
        }
    }

    pub fn plain(name: &str, source: Made) -> Self {
        Self::new(name, source, Limits::default(), |_| None)
    }

    pub fn get(&self, path: &str, headers: &[&str]) -> Answer {
        let stream = TcpStream::connect(self.port).expect("connects");
        asked(stream, &request(path, headers)).expect("answers")
    }

    pub fn by_tls(
        &self,
        client: &ClientConfig,
        path: &str,
        headers: &[&str],
    ) -> std::io::Result<Answer> {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(client.clone()), name).expect("a client");
        let stream = TcpStream::connect(self.port)?;
        asked(StreamOwned::new(client, stream), &request(path, headers))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }
}

pub fn request(path: &str, headers: &[&str]) -> String {
    let mut lines = headers.join("\r\n");
    if !headers.is_empty() {
        lines += "\r\n";
    }
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

pub fn asked(
    mut stream: impl std::io::Read + std::io::Write,
    request: &str,
) -> std::io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    let mut all = vec![];
    stream.read_to_end(&mut all)?;
    let end = all.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        head,
        body: all.split_off(end + 4),
    })
}
