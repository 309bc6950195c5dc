//! What a guarded server needs, and what its clients do.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};

/// A certificate, a user and their web configuration.
#[derive(Clone)]
pub struct Guard {
    pub web: PathBuf,
    pub client: Arc<ClientConfig>,
    /// The user's `Authorization`.
    pub right: String,
}

impl Guard {
    pub fn make(folder: &Path) -> Self {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::write(folder.join("cert.pem"), made.cert.pem()).expect("writes");
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("writes");
        let hash = bcrypt::hash("right", 10).expect("hashes");
        let web = folder.join("web.yml");
        let text = format!(
            "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\nbasic_auth_users:\n  ann: {hash}\n"
        );
        fs::write(&web, text).expect("writes");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert)).expect("a root");
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            web,
            client: Arc::new(client),
            right: format!("Basic {}", BASE64_STANDARD.encode("ann:right")),
        }
    }
}
