//! The throw-away certificate of `--dev`, so that TLS can be tried without asking anybody: a CA of its own, whose private key is
//! forgotten at once, and a certificate for this machine only.
//!
//! ```text
//! DATA/dev-ca.pem         for clients: --tls --ca DATA/dev-ca.pem
//! DATA/dev-cert.pem       for localhost, 127.0.0.1 and ::1
//! DATA/dev-cert-key.pem   its private key
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::crypto::CryptoProvider;
use tracing::info;

use crate::certificate::Certificate;
use crate::config::TlsFiles;
use crate::error::Error;
use crate::store::write_durably;

/// The files of the certificate; made when they are missing, or of no use now or in the next month. All three belong together: when
/// one is made, all are.
///
/// # Errors
/// When they cannot be made or written.
pub(crate) fn ensure(data_dir: &Path, provider: &CryptoProvider, now_s: u64) -> Result<TlsFiles, Error> {
    let files = TlsFiles { certificate: data_dir.join(CERTIFICATE), key: data_dir.join(KEY) };
    let is_good = data_dir.join(CA).is_file()
        && Certificate::load(&files, provider, now_s)
            .is_ok_and(|certificate| certificate.expiry_warning(now_s).is_none());
    if !is_good {
        let made = make(now_s).map_err(|error| Error::Certificate {
            path: files.certificate.clone(),
            message: format!("cannot make a certificate for --dev: {error}"),
        })?;
        // The certificate last: what is cut before it is made again.
        write_durably(data_dir, KEY, made.key.as_bytes())?;
        write_durably(data_dir, CA, made.ca.as_bytes())?;
        write_durably(data_dir, CERTIFICATE, made.certificate.as_bytes())?;
        info!("a new certificate for --dev; clients trust it by --tls --ca {}", data_dir.join(CA).display());
    }
    Ok(files)
}

struct Made {
    ca: String,
    certificate: String,
    key: String,
}

fn make(now_s: u64) -> Result<Made, rcgen::Error> {
    let mut ca = params("Shardwire development CA", now_s);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut server = params("Shardwire development", now_s);
    server.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &ca)?;
    Ok(Made { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

fn params(name: &str, now_s: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let at = |s: u64| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(s);
    // The clock of a virtual machine may be set back a little after this.
    params.not_before = at(now_s.saturating_sub(3600));
    params.not_after = at(now_s + LIFE_S);
    params
}

/// What clients are to trust.
pub(crate) const CA: &str = "dev-ca.pem";
const CERTIFICATE: &str = "dev-cert.pem";
const KEY: &str = "dev-cert-key.pem";
const LIFE_S: u64 = 365 * 24 * 3600;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tls_config::provider;

    const NOW_S: u64 = 1_800_000_000;
    const DAY_S: u64 = 24 * 3600;

    fn fingerprint(dir: &Path, now_s: u64) -> String {
        let files = ensure(dir, &provider(), now_s).unwrap();
        Certificate::load(&files, &provider(), now_s).unwrap().fingerprint
    }

    #[test]
    fn the_certificate_is_made_once_and_its_key_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let made = fingerprint(dir.path(), NOW_S);
        assert_eq!(fingerprint(dir.path(), NOW_S + 300 * DAY_S), made);
        assert_eq!(fs::metadata(dir.path().join(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_certificate_is_renewed_before_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let made = fingerprint(dir.path(), NOW_S);
        for days in [340, 1000] {
            assert_ne!(fingerprint(dir.path(), NOW_S + days * DAY_S), made, "{days} days");
        }
    }

    #[test]
    fn what_is_missing_or_broken_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        for name in [CA, CERTIFICATE, KEY] {
            let before = fingerprint(dir.path(), NOW_S);
            fs::remove_file(dir.path().join(name)).unwrap();
            let after = fingerprint(dir.path(), NOW_S);
            assert_ne!(after, before, "{name}");
            if name != CA {
                fs::write(dir.path().join(name), "x").unwrap();
                assert_ne!(fingerprint(dir.path(), NOW_S), after, "{name}");
            }
        }
    }
}
