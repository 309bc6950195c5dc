//! What guards a host, and what lets a Prometheus in: certificates, a password, and deploy/web.yml with them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::config::write;
use crate::command::workspace;

/// Stands in deploy/web.yml where a hash is to be.
const HASH: &str = "$2y$10$…";
const CLIENTS: &str =
    "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt\n";

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self(issuer))
    }

    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// Writes a certificate of a name or address, and its key.
    pub fn sign(&self, name: &str, certificate: &Path, key: &Path) -> Result<()> {
        let own = KeyPair::generate()?;
        let params = CertificateParams::new([name.to_owned()])?;
        write(certificate, &params.signed_by(&own, &self.0)?.pem())?;
        write(key, &own.serialize_pem())
    }
}

/// Fills the folder of a host: deploy/web.yml as it recommends itself, with the files that it names.
pub fn guard(
    folder: &Path,
    address: &str,
    authority: &Authority,
    password: &str,
    clients: bool,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    authority.sign(
        address,
        &folder.join("daxscope.crt"),
        &folder.join("daxscope.key"),
    )?;
    write(&folder.join("clients.crt"), &authority.certificate())?;
    let shipped = fs::read_to_string(workspace().join("deploy/web.yml"))?;
    let web = recommended(&shipped);
    for part in [HASH, CLIENTS] {
        ensure!(
            web.contains(part),
            "deploy/web.yml no longer recommends {part:?}"
        );
    }
    // As `htpasswd -nBC 10` makes it.
    let hash = bcrypt::hash_with_result(password, 10)?;
    let web = web.replace(HASH, &hash.format_for_version(bcrypt::Version::TwoY));
    let web = if clients {
        web
    } else {
        web.replace(CLIENTS, "")
    };
    write(&folder.join("web.yml"), &web)
}

/// What follows the heading, which ends with an empty comment, is no comment any more.
fn recommended(shipped: &str) -> String {
    let lines = shipped.lines().skip_while(|line| *line != "#");
    let bare = lines.map(|line| {
        line.strip_prefix("# ")
            .unwrap_or(line.trim_start_matches('#'))
    });
    bare.flat_map(|line| [line, "\n"]).collect()
}
