//! TLS (`tls_server_config`), as far as rustls can honour it; what it cannot is refused, not left out.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::{
    CipherSuite, NamedGroup, ProtocolVersion, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use x509_cert::{Certificate, der::Decode as _};

use super::{
    clients::OnlyNamed,
    files::Files,
    section::{Section, hint, truth},
    yaml::Word,
};

pub static KEYS: [&str; 13] = [
    "cert",
    "key",
    "client_ca",
    "cert_file",
    "key_file",
    "client_ca_file",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

/// Names of Go's crypto/tls. Those of TLS 1.3 cannot be chosen there either; they are always on.
static CIPHERS: [(&str, CipherSuite); 9] = [
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_128_GCM_SHA256,
    ),
    (
        "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_256_GCM_SHA384,
    ),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
];
static CURVES: [(&str, NamedGroup); 3] = [
    ("X25519", NamedGroup::X25519),
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
];
static VERSIONS: [(&str, ProtocolVersion); 2] = [
    ("TLS12", ProtocolVersion::TLSv1_2),
    ("TLS13", ProtocolVersion::TLSv1_3),
];

/// TLS of a web configuration.
pub struct Tls {
    pub config: Arc<ServerConfig>,
    /// Until when the certificate is good.
    pub expires: SystemTime,
    /// The file that its key was read from.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// `None` where nothing is said of TLS. Paths are relative to `folder`.
    ///
    /// # Errors
    /// The first thing that cannot be honoured, with its line and key.
    pub fn read(mut section: Section, folder: &Path, files: &mut Files) -> Result<Option<Self>> {
        if section.is_empty() {
            return Ok(None);
        }
        let mut pem = |inline, file| Pem::read(&mut section, inline, file, folder, files);
        let cert = pem("cert", "cert_file")?
            .context("tls_server_config: cert_file is missing (or cert)")?;
        let key =
            pem("key", "key_file")?.context("tls_server_config: key_file is missing (or key)")?;
        let authorities = pem("client_ca", "client_ca_file")?;
        let chain = cert.certificates()?;
        let private = PrivateKeyDer::from_pem_slice(&key.bytes)
            .ok()
            .with_context(|| {
                format!(
                    "{}: no private key in PEM is in it (one with a password cannot be read)",
                    key.at
                )
            })?;
        let provider = Arc::new(provider(&mut section)?);
        let versions = versions(&mut section)?;
        let server_first = section.made("prefer_server_cipher_suites", truth)?;
        let clients = clients(&mut section, authorities, &provider)?;
        let expires = expiry(&chain[0]).with_context(|| cert.at.clone())?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .context("tls_server_config: cipher_suites has none for these versions")?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, private)
            .with_context(|| format!("{}: it cannot be used with {}", key.at, cert.at))?;
        config.ignore_client_order = server_first.unwrap_or(true);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self {
            config: Arc::new(config),
            expires,
            key: key.file,
        }))
    }
}

/// PEM that stands in the configuration or in a file.
struct Pem {
    /// Where, for messages.
    at: String,
    bytes: Vec<u8>,
    file: Option<PathBuf>,
}

impl Pem {
    fn read(
        section: &mut Section,
        inline: &str,
        file: &str,
        folder: &Path,
        files: &mut Files,
    ) -> Result<Option<Self>> {
        let text = section.word(inline)?;
        let path = section.word(file)?;
        match (text, path) {
            (None, None) => Ok(None),
            (Some(text), None) => Ok(Some(Self {
                at: section.at(&text, inline),
                bytes: text.text.into_bytes(),
                file: None,
            })),
            (None, Some(path)) => {
                let at = section.at(&path, file);
                let path = folder.join(&path.text);
                let bytes = files
                    .read(&path)
                    .with_context(|| format!("{at}: cannot read {}", path.display()))?;
                Ok(Some(Self {
                    at: format!("{at}: {}", path.display()),
                    bytes,
                    file: Some(path),
                }))
            }
            (Some(_), Some(path)) => {
                bail!(
                    "{}: {inline} is given too; keep one of them",
                    section.at(&path, file)
                )
            }
        }
    }

    /// All of them; at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let all = CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        let all = all.unwrap_or_default();
        ensure!(
            !all.is_empty(),
            "{}: no certificate in PEM is in it",
            self.at
        );
        Ok(all)
    }
}

fn expiry(certificate: &CertificateDer) -> Result<SystemTime> {
    let certificate = Certificate::from_der(certificate)
        .ok()
        .context("it is no certificate of X.509")?;
    let end = certificate.tbs_certificate().validity().not_after;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(end.to_unix_duration().as_secs()))
}

fn provider(section: &mut Section) -> Result<CryptoProvider> {
    let mut provider = ring::default_provider();
    let ciphers = section.list("cipher_suites", |name| known(name, &CIPHERS))?;
    if !ciphers.is_empty() {
        let fixed = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
        let mut suites: Vec<_> = provider
            .cipher_suites
            .iter()
            .copied()
            .filter(fixed)
            .collect();
        let chosen = ciphers.iter().filter_map(|wanted| {
            let mut all = provider.cipher_suites.iter().copied();
            all.find(|suite| suite.suite() == *wanted && !fixed(suite))
        });
        suites.extend(chosen.collect::<Vec<_>>());
        provider.cipher_suites = suites;
    }
    let curves = section.list("curve_preferences", |name| known(name, &CURVES))?;
    if !curves.is_empty() {
        let groups = curves.iter().filter_map(|wanted| {
            let mut all = provider.kx_groups.iter().copied();
            all.find(|group| group.name() == *wanted)
        });
        provider.kx_groups = groups.collect();
    }
    Ok(provider)
}

fn versions(section: &mut Section) -> Result<Vec<&'static SupportedProtocolVersion>> {
    let least = section.made("min_version", |name| known(name, &VERSIONS))?;
    let most = section.made("max_version", |name| known(name, &VERSIONS))?;
    let least = least.unwrap_or(ProtocolVersion::TLSv1_2);
    let most = most.unwrap_or(ProtocolVersion::TLSv1_3);
    let number = |version: ProtocolVersion| u16::from(version);
    let between = |version: &&&SupportedProtocolVersion| {
        (number(least)..=number(most)).contains(&number(version.version))
    };
    let versions: Vec<_> = [&TLS13, &TLS12].iter().filter(between).copied().collect();
    ensure!(
        !versions.is_empty(),
        "tls_server_config: max_version is below min_version"
    );
    Ok(versions)
}

/// How clients must identify themselves; `None`: not at all.
fn clients(
    section: &mut Section,
    authorities: Option<Pem>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>> {
    let names = section.list("client_allowed_sans", |name| Ok(name.to_owned()))?;
    let kind = section.word("client_auth_type")?;
    let at = |kind: &Word| section.at(kind, "client_auth_type");
    let must = match kind.as_ref().map_or("NoClientCert", |kind| &kind.text) {
        "NoClientCert" => {
            ensure!(
                authorities.is_none() && names.is_empty(),
                "tls_server_config: client_auth_type is missing: client_ca_file and client_allowed_sans need RequireAndVerifyClientCert"
            );
            return Ok(None);
        }
        "RequireAndVerifyClientCert" => true,
        "VerifyClientCertIfGiven" => false,
        other => {
            let at = kind.as_ref().map(at).unwrap_or_default();
            let kinds = [
                "NoClientCert",
                "RequireAndVerifyClientCert",
                "VerifyClientCertIfGiven",
            ];
            match other {
                "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => {
                    bail!(
                        "{at}: {other} verifies nothing, and is not served: take RequireAndVerifyClientCert"
                    )
                }
                _ => bail!("{at}: unknown; {}", hint(other, &kinds)),
            }
        }
    };
    let authorities = authorities.context(
        "tls_server_config: client_ca_file is missing (or client_ca): client_auth_type needs it",
    )?;
    ensure!(
        must || names.is_empty(),
        "tls_server_config: client_allowed_sans needs client_auth_type RequireAndVerifyClientCert: others let in clients without a certificate"
    );
    let mut roots = RootCertStore::empty();
    for authority in authorities.certificates()? {
        roots
            .add(authority)
            .with_context(|| authorities.at.clone())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = if must {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    let verifier = verifier.build().context(authorities.at)?;
    Ok(Some(if names.is_empty() {
        verifier
    } else {
        Arc::new(OnlyNamed::new(verifier, names))
    }))
}

/// What a name of Go's stands for.
fn known<T: Copy>(name: &str, all: &[(&str, T)]) -> Result<T> {
    if let Some((_, value)) = all.iter().find(|(known, _)| *known == name) {
        return Ok(*value);
    }
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    bail!(
        "{} is not served here; {}",
        name.escape_debug(),
        hint(name, &names)
    )
}
