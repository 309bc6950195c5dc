//! Certificates, and clients that have them.

use std::{fs, path::Path, sync::Arc};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// Certificates of one authority: for the server and for a client with a name.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        Self { issuer }
    }

    /// Certificate and key, in PEM.
    pub fn signed(&self, names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        let uri = "spiffe://daxscope/prometheus".try_into().expect("a name");
        params.subject_alt_names.push(SanType::URI(uri));
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        (made.pem(), key.serialize_pem())
    }

    /// Writes what a server needs.
    pub fn serve(&self, folder: &Path, names: &[&str]) {
        let (certificate, key) = self.signed(names);
        fs::write(folder.join("cert.pem"), certificate).expect("writes");
        fs::write(folder.join("key.pem"), key).expect("writes");
        fs::write(folder.join("ca.pem"), self.issuer.pem()).expect("writes");
    }

    pub fn client(
        &self,
        identity: Option<(String, String)>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate =
                    CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .expect("an identity")
            }
        }
    }
}
