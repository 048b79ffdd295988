//! Authorities and certificates, made for one test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};

/// Who certifies.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, in PEM.
pub struct Certificate {
    pub pem: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For these DNS names and URIs.
    pub fn certify(&self, names: &[&str]) -> Certificate {
        self.certify_with(names, |_| {})
    }

    /// That is over.
    pub fn certify_expired(&self, names: &[&str]) -> Certificate {
        self.certify_with(names, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        })
    }

    pub fn certify_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let name = |name: &&str| match name.contains("://") {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        };
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(name).collect();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certificate { pem: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Replaces a file in one step, for its owner alone.
pub fn write_private(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(beside, path).unwrap();
}

impl Certificate {
    /// Writes NAME.pem and NAME.key.pem.
    pub fn write(&self, folder: &Path, name: &str) {
        write_private(&folder.join(format!("{name}.pem")), &self.pem);
        write_private(&folder.join(format!("{name}.key.pem")), &self.key);
    }
}
