//! A private CA on disk, and certificates for the fake service signed by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    date_time_ymd, BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::ServerConfig;

/// Which certificate the server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// For 127.0.0.1 and localhost, valid from 2020 to 2100.
    Good,
    /// The same, but valid in 2020 only.
    Expired,
    /// Valid, but for `wrong.example`.
    WrongName,
}

/// The CA: its certificate as a PEM file, and what is needed to sign.
#[derive(Debug)]
pub struct Authority {
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes `ca.pem` in the directory (created if absent). A `ca-key.pem` left there by an earlier start is used
    /// again, so that a client that trusts the earlier file goes on trusting.
    pub fn open(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let (file, key_file) = (directory.join("ca.pem"), directory.join("ca-key.pem"));
        let key = match fs::read_to_string(&key_file) {
            Ok(pem) => KeyPair::from_pem(&pem).unwrap(),
            Err(_) => KeyPair::generate().unwrap(),
        };
        fs::write(key_file, key.serialize_pem()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "fake Mackerel CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { file, issuer: Issuer::new(params, key) }
    }

    /// The CA's certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A server with a fresh leaf; TLS 1.2 and 1.3.
    pub fn server(&self, leaf: Leaf) -> Arc<ServerConfig> {
        let names: &[&str] = match leaf {
            Leaf::Good | Leaf::Expired => &["127.0.0.1", "localhost"],
            Leaf::WrongName => &["wrong.example"],
        };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "fake Mackerel");
        params.is_ca = IsCa::ExplicitNoCa; // rustls refuses a CA as the end entity
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if leaf == Leaf::Expired { 2021 } else { 2100 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }
}
