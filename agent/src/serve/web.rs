//! The web configuration of Prometheus' exporter-toolkit, which operators have for other exporters already: TLS, clients'
//! certificates, users, headers, a limit of rate. What is in it is honoured or refused, never left out.
//!
//! Source: docs/web-configuration.md of prometheus/exporter-toolkit.

mod clients;
mod files;
mod rate;
mod section;
mod tls;
mod users;
mod yaml;

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail, ensure};
use hyper::header::{HeaderName, HeaderValue};

pub(super) use self::files::Files;
pub use self::users::Claim;
use self::{
    rate::Rate,
    section::{Section, hint, truth},
    tls::Tls,
    users::Users,
    yaml::Value,
};

static KEYS: [&str; 4] = [
    "tls_server_config",
    "http_server_config",
    "basic_auth_users",
    "rate_limit",
];
/// Headers that can be set, each with its values if they are few. Source: extraHTTPHeaders in the toolkit's web/handler.go.
static HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// A web configuration in force.
pub struct Web {
    path: PathBuf,
    pub(super) tls: Option<Tls>,
    pub(super) users: Option<Arc<Users>>,
    pub(super) rate: Option<Rate>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    files: Files,
}

impl Web {
    /// Reads a web configuration and the certificates that it names, relative to its own folder.
    ///
    /// # Errors
    /// The first thing in it that is wrong or cannot be honoured: `FILE: line N: KEY: why`, on one line.
    pub fn read(path: &Path) -> Result<Self> {
        let mut files = Files::default();
        let mut web = Self::parse(path, &mut files)?;
        web.files = files;
        Ok(web)
    }

    /// The same, noting what was read up to what is wrong.
    pub(super) fn parse(path: &Path, files: &mut Files) -> Result<Self> {
        Self::honoured(path, files).with_context(|| path.display().to_string())
    }

    fn honoured(path: &Path, files: &mut Files) -> Result<Self> {
        let text = files.read(path).context("cannot read it")?;
        let text = String::from_utf8(text).ok().context("it is not UTF-8")?;
        let mut file = Section::open("", yaml::parse(&text)?, &KEYS)?;
        let mut open = |name, keys: &[&str]| match file.take(name) {
            Some(node) => Section::open(name, node, keys).map(Some),
            None => Ok(None),
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        let tls = open("tls_server_config", &tls::KEYS)?;
        let http = open("http_server_config", &["http2", "headers"])?;
        let rate = open("rate_limit", &rate::KEYS)?;
        let tls = tls.map_or(Ok(None), |section| Tls::read(section, folder, files))?;
        let headers = http.map_or(Ok(vec![]), http_server)?;
        let rate = rate.map_or(Ok(None), Rate::read)?;
        let users = match file.take("basic_auth_users") {
            Some(node) => Users::read(any("basic_auth_users", node)?)?,
            None => None,
        };
        Ok(Self {
            path: path.to_owned(),
            tls,
            users: users.map(Arc::new),
            rate,
            headers,
            files: Files::default(),
        })
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it may be served where other hosts can reach it: connections are encrypted, or clients must say who they are.
    #[must_use]
    pub const fn guards(&self) -> bool {
        self.tls.is_some() || self.users.is_some()
    }

    /// TLS as rustls takes it; `None` without.
    pub(super) fn tls_config(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.tls.as_ref().map(|tls| tls.config.clone())
    }

    /// What is to be watched for changes.
    pub(super) fn take_files(&mut self) -> Files {
        std::mem::take(&mut self.files)
    }

    /// Until when the server's certificate is good; `None` without TLS.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.tls.as_ref().map(|tls| tls.expires)
    }

    /// What is read again when it changes. A process that gives up its view of the file system keeps their folders, since files
    /// are replaced, not written to.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.paths()
    }

    /// What is allowed, but should not stay so: in words, for the log.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut words = vec![];
        if self.expires().is_some_and(|end| end < SystemTime::now()) {
            words.push(format!(
                "{}: the certificate has expired",
                self.path.display()
            ));
        }
        if self.users.is_some() && self.tls.is_none() {
            words.push(format!(
                "{}: passwords come unencrypted: give tls_server_config together with basic_auth_users",
                self.path.display()
            ));
        }
        let key = self.tls.as_ref().and_then(|tls| tls.key.as_ref());
        if let Some(key) = key
            && key.metadata().is_ok_and(|of| of.mode() & 0o004 != 0)
        {
            words.push(format!(
                "{}: everybody may read this key: chmod o-r",
                key.display()
            ));
        }
        words
    }
}

/// A mapping whose keys are names that somebody chose.
fn any(name: &'static str, node: yaml::Node) -> Result<Section> {
    let keys = match &node.value {
        Value::Keys(keys) => keys.iter().map(|(key, _)| key.text.clone()).collect(),
        _ => vec![],
    };
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    Section::open(name, node, &keys)
}

fn http_server(mut section: Section) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let http2 = |text: &str| {
        ensure!(
            !truth(text)?,
            "HTTP/2 is not served, and Prometheus does without; set it to false, or leave it out"
        );
        Ok(())
    };
    section.made("http2", http2)?;
    let Some(node) = section.take("headers") else {
        return Ok(vec![]);
    };
    let names = HEADERS.map(|(name, _)| name);
    let mut headers = Section::open("http_server_config.headers", node, &names)?;
    let mut set = vec![];
    for (name, values) in HEADERS {
        let value = headers.made(name, |text| {
            if !values.is_empty() && !values.contains(&text) {
                bail!(
                    "{} is none of its values; {}",
                    text.escape_debug(),
                    hint(text, values)
                );
            }
            HeaderValue::from_str(text).context("it holds what no header can")
        })?;
        // Blank is: as if it were not there.
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            set.push((HeaderName::from_bytes(name.as_bytes())?, value));
        }
    }
    Ok(set)
}
