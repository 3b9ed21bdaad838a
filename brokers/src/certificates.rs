//! An authority of one day, and a certificate by it for 127.0.0.1 and `localhost`.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Files in PEM.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// What clients are to trust.
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    /// PKCS #8.
    pub(crate) key: PathBuf,
    /// Key and certificate in one file, as Kafka wants them.
    pub(crate) both: PathBuf,
}

impl Certificates {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let file = |name| folder.join(name);
        Self {
            authority: file("authority.pem"),
            certificate: file("certificate.pem"),
            key: file("key.pem"),
            both: file("key-and-certificate.pem"),
        }
    }

    pub(crate) fn write(&self) -> Result<(), String> {
        let Made { authority, certificate, key } =
            make().map_err(|error| format!("cannot make a certificate: {error}"))?;
        let both = format!("{key}{certificate}");
        for (file, text) in
            [(&self.authority, &authority), (&self.certificate, &certificate), (&self.key, &key), (&self.both, &both)]
        {
            fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        Ok(())
    }
}

struct Made {
    authority: String,
    certificate: String,
    key: String,
}

fn make() -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "Phalanx test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let certificate = params.signed_by(&key, &authority)?;
    Ok(Made { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}
