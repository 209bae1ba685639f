//! The gateway's certificate and its key: read from PEM files, and looked at as closely as a client will, since a mistake that is
//! found here costs an operator a minute, and one that is found by clients costs their users the service.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;
use zeroize::Zeroizing;

use crate::config::TlsFiles;
use crate::error::Error;

/// A chain and the key that belongs to its first certificate: both good now.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// For rustls.
    pub(crate) key: Arc<CertifiedKey>,
    /// SHA-256 of the first certificate, as `openssl x509 -fingerprint -sha256` prints it.
    pub(crate) fingerprint: String,
    /// Not good from the second after this one on, since 1970.
    pub(crate) not_after_s: u64,
    /// What an operator may want to look at, although it works; each with its file.
    pub(crate) warnings: Vec<String>,
}

impl Certificate {
    /// Reads both files. `now_s` is in seconds since 1970.
    ///
    /// # Errors
    /// Names the file, what is wrong with it, and what helps.
    pub(crate) fn load(files: &TlsFiles, provider: &CryptoProvider, now_s: u64) -> Result<Certificate, Error> {
        let refuse_chain = |message| Error::Certificate { path: files.certificate.clone(), message };
        let refuse_key = |message| Error::Certificate { path: files.key.clone(), message };
        let mut warnings = Vec::new();
        let chain = read_chain(&files.certificate).map_err(|error| error.at(&files.certificate))?;
        let (key, is_open) = read_key(&files.key).map_err(|error| error.at(&files.key))?;
        if is_open {
            let path = files.key.display();
            warnings.push(format!("{path}: every user of this machine may read the private key: chmod o-r {path}"));
        }
        let parsed = parse_chain(&chain).map_err(refuse_chain)?;
        let (leaf, leaf_der) = (parsed.first().expect(NOT_EMPTY), chain.first().expect(NOT_EMPTY));
        check_form(leaf, leaf_der).map_err(refuse_chain)?;
        let not_after_s = check_time(leaf, now_s).map_err(refuse_chain)?;
        let notes = look_at_chain(&parsed, now_s);
        let key = provider.key_provider.load_private_key(key).map_err(|_| refuse_key(UNKNOWN_KEY.to_owned()))?;
        check_match(&chain, &key).map_err(refuse_key)?;
        check_order(&parsed).map_err(refuse_chain)?;
        warnings.extend(notes.into_iter().map(|note| format!("{}: {note}", files.certificate.display())));
        let fingerprint = fingerprint(leaf_der);
        Ok(Certificate { key: Arc::new(CertifiedKey::new(chain, key)), fingerprint, not_after_s, warnings })
    }

    /// What to tell an operator about the time that is left: nothing for longer than 30 days, then more and more urgently.
    pub(crate) fn expiry_warning(&self, now_s: u64) -> Option<String> {
        let left_s = self.not_after_s.saturating_sub(now_s);
        let until = date(self.not_after_s);
        match left_s / DAY_S {
            _ if left_s == 0 => {
                Some(format!("the certificate has expired ({until}): clients refuse it; renew it, then send SIGHUP"))
            }
            days @ 0..7 => Some(format!(
                "the certificate expires in less than {} (on {until}): renew it now, then send SIGHUP",
                if days == 0 { "a day".to_owned() } else { format!("{} days", days + 1) }
            )),
            days @ 7..30 => {
                Some(format!("the certificate expires in {days} days (on {until}): renew it, then send SIGHUP"))
            }
            _ => None,
        }
    }
}

/// What went wrong with one file.
enum FileError {
    /// The system did not give it.
    Io(std::io::Error),
    /// It is not what it should be.
    Content(String),
}

impl FileError {
    fn at(self, path: &Path) -> Error {
        match self {
            FileError::Io(cause) => Error::path(path, "read")(cause),
            FileError::Content(message) => Error::Certificate { path: path.to_owned(), message },
        }
    }
}

/// What stands in a PEM file.
type Sections = Vec<(SectionKind, Zeroizing<Vec<u8>>)>;

/// The sections of a PEM file, and its mode.
fn read_pem(path: &Path) -> Result<(Sections, u32), FileError> {
    let refuse = |message: &str| Err(FileError::Content(message.to_owned()));
    // Before it is opened: to open a pipe waits for whoever writes to it.
    let metadata = fs::metadata(path).map_err(FileError::Io)?;
    if metadata.is_dir() {
        return refuse("this is a directory: name the PEM file in it");
    }
    if !metadata.is_file() {
        return refuse("this is not a file");
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let mut file = File::open(path).map_err(FileError::Io)?.take(PEM_LEN_MAX + 1);
    file.read_to_end(&mut bytes).map_err(FileError::Io)?;
    if bytes.is_empty() {
        return refuse("the file is empty");
    }
    if bytes.len() as u64 > PEM_LEN_MAX {
        return refuse("the file is longer than a mebibyte: this is no certificate and no key");
    }
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    if has(b"ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return refuse(
            "the private key is encrypted, and nobody is there to type its password: openssl pkey -in KEY -out PLAIN decrypts \
             it; then chmod 600 PLAIN",
        );
    }
    let mut sections = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&bytes) {
        let (kind, der) = section.map_err(|error| FileError::Content(format!("not PEM: {}", pem_text(&error))))?;
        sections.push((kind, Zeroizing::new(der)));
    }
    if sections.is_empty() && !has(b"-----BEGIN ") {
        return refuse(
            "not PEM: it has no line -----BEGIN …; a certificate in DER becomes PEM by openssl x509 -inform der, a key by \
             openssl pkey -inform der",
        );
    }
    Ok((sections, metadata.mode()))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let (sections, _) = read_pem(path)?;
    let has_key = sections.iter().any(|(kind, _)| is_private_key(*kind));
    let chain: Vec<_> = sections
        .into_iter()
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| CertificateDer::from(der.to_vec()))
        .collect();
    match chain.len() {
        0 if has_key => Err(FileError::Content(
            "no certificate is in here, but a private key: is the certificate in the other file?".to_owned(),
        )),
        0 => Err(FileError::Content("no certificate is in here (-----BEGIN CERTIFICATE-----)".to_owned())),
        1..=CHAIN_COUNT_MAX => Ok(chain),
        count => Err(FileError::Content(format!(
            "{count} certificates are in here: this is a collection, not the chain of one server"
        ))),
    }
}

/// The one key in the file, and whether everybody may read it.
fn read_key(path: &Path) -> Result<(PrivateKeyDer<'static>, bool), FileError> {
    let (sections, mode) = read_pem(path)?;
    let has_certificate = sections.iter().any(|(kind, _)| *kind == SectionKind::Certificate);
    let mut keys = sections.into_iter().filter(|(kind, _)| is_private_key(*kind));
    let Some((kind, der)) = keys.next() else {
        let but = if has_certificate { ", but a certificate: is the key in the other file?" } else { "" };
        return Err(FileError::Content(format!("no private key is in here (-----BEGIN PRIVATE KEY-----){but}")));
    };
    if keys.next().is_some() {
        return Err(FileError::Content(
            "several private keys are in here: leave the one of the certificate".to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem(kind, der.to_vec()).expect("its kind is that of a private key");
    Ok((key, mode & 0o004 != 0))
}

fn is_private_key(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
}

fn parse_chain<'a>(chain: &'a [CertificateDer<'static>]) -> Result<Vec<X509Certificate<'a>>, String> {
    (1..)
        .zip(chain)
        .map(|(number, der)| match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(certificate),
            Ok(_) => Err(format!("certificate {number} has something behind its end")),
            Err(error) => Err(format!("certificate {number} is damaged: {error}")),
        })
        .collect()
}

/// Whether TLS clients know what to do with the server's certificate.
fn check_form(leaf: &X509Certificate<'_>, der: &CertificateDer<'_>) -> Result<(), String> {
    if leaf.version() != X509Version::V3 {
        return Err("the certificate is of an old version of X.509, without room for the names of hosts, and clients refuse it: \
             openssl x509 -req makes such unless it is given extensions (-extfile, with subjectAltName)"
            .to_owned());
    }
    ParsedCertificate::try_from(der).map(|_| ()).map_err(|error| format!("the certificate cannot be used: {error}"))
}

/// Until when the certificate is good; an error when it is not good now.
fn check_time(leaf: &X509Certificate<'_>, now_s: u64) -> Result<u64, String> {
    let (not_before_s, not_after_s) = (seconds(leaf.validity.not_before), seconds(leaf.validity.not_after));
    if now_s > not_after_s {
        return Err(format!("the certificate expired on {}: renew it", date(not_after_s)));
    }
    if now_s < not_before_s {
        return Err(format!(
            "the certificate is not valid before {}, and now it is {}: is the clock of this machine right?",
            date(not_before_s),
            date(now_s)
        ));
    }
    Ok(not_after_s)
}

/// What some clients may refuse.
fn look_at_chain(chain: &[X509Certificate<'_>], now_s: u64) -> Vec<String> {
    let mut notes = Vec::new();
    let leaf = chain.first().expect(NOT_EMPTY);
    let names = leaf.subject_alternative_name().ok().flatten();
    let names_a_host = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
    if !names.is_some_and(|names| names.value.general_names.iter().any(names_a_host)) {
        notes.push("the certificate names no host (subjectAltName), and clients refuse that".to_owned());
    }
    if leaf.is_ca() {
        notes.push(
            "the certificate is marked as an authority, and many clients refuse that of a server: \
             openssl req -x509 … -addext basicConstraints=critical,CA:FALSE makes one that is not"
                .to_owned(),
        );
    }
    for (number, certificate) in (1..).zip(chain).skip(1) {
        let not_after_s = seconds(certificate.validity.not_after);
        if now_s > not_after_s {
            // Some chains carry one on purpose, for old clients.
            notes.push(format!("certificate {number} of the chain expired on {}", date(not_after_s)));
        }
    }
    notes
}

/// Each certificate is followed by its issuer's: clients may not look any further (RFC 8446, 4.4.2).
fn check_order(chain: &[X509Certificate<'_>]) -> Result<(), String> {
    for (number, pair) in (1..).zip(chain.windows(2)) {
        let [certificate, next] = pair else { unreachable!("a window of 2") };
        if certificate.issuer.as_raw() != next.subject.as_raw() {
            return Err(format!(
                "the chain is in the wrong order: certificate {number} was issued by \"{}\", but certificate {} is that of \"{}\"; \
                 the server's own comes first, then that of each one's issuer",
                certificate.issuer,
                number + 1,
                next.subject
            ));
        }
    }
    Ok(())
}

fn check_match(chain: &[CertificateDer<'static>], key: &Arc<dyn rustls::sign::SigningKey>) -> Result<(), String> {
    let matches = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(key)).keys_match()
    };
    let (leaf, others) = chain.split_first().expect(NOT_EMPTY);
    match matches(leaf) {
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(TlsError::InconsistentKeys(_)) => {
            match (2..).zip(others).find(|(_, certificate)| matches(certificate).is_ok()) {
                Some((number, _)) => Err(format!(
                    "this key belongs to certificate {number} of the chain: put the server's own certificate first"
                )),
                None => Err("this key does not belong to the certificate: take the two from the same order".to_owned()),
            }
        }
        Err(error) => Err(format!("the certificate cannot be used: {error}")),
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let pairs: Vec<_> = digest(&SHA256, certificate).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

fn seconds(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}

/// As a person reads it, to the minute.
pub(crate) fn date(s: u64) -> String {
    let time = i64::try_from(s).ok().and_then(|s| ASN1Time::from_timestamp(s).ok());
    time.map_or_else(
        || format!("second {s} of the epoch"),
        |time| {
            let time = time.to_datetime();
            let (year, month, day) = time.to_calendar_date();
            format!("{year}-{:02}-{day:02} {:02}:{:02} UTC", u8::from(month), time.hour(), time.minute())
        },
    )
}

fn pem_text(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { end_marker } => {
            format!("the line -----END {}----- is missing: the file was cut", String::from_utf8_lossy(end_marker))
        }
        PemError::IllegalSectionStart { .. } => "a line -----BEGIN … does not end as it should".to_owned(),
        PemError::Base64Decode(_) => "what stands between the BEGIN and END lines is not base64".to_owned(),
        other => other.to_string(),
    }
}

const UNKNOWN_KEY: &str = "the private key cannot be used: damaged, or of another kind than RSA (2048 to 8192 bits), ECDSA (P-256, \
     P-384, P-521) and Ed25519";
const NOT_EMPTY: &str = "a chain has a certificate";
const DAY_S: u64 = 24 * 3600;
/// A chain with many names is a few KiB.
const PEM_LEN_MAX: u64 = 1 << 20;
/// A client takes no longer ones than some ten.
const CHAIN_COUNT_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use aws_lc_rs::encoding::{AsBigEndian, AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use pem::Pem;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;
    use crate::tls_config::provider;

    /// The certificates made here are good from 1000 days after 1970 until 1100.
    const BEGIN_S: u64 = 1000 * DAY_S;
    const END_S: u64 = 1100 * DAY_S;
    const NOW_S: u64 = 1050 * DAY_S;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            Folder(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn files(&self) -> TlsFiles {
            TlsFiles { certificate: self.path("cert.pem"), key: self.path("key.pem") }
        }

        /// With a certificate and a key in it.
        fn with(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Folder {
            let folder = Folder::new();
            fs::write(folder.path("cert.pem"), certificate).unwrap();
            fs::write(folder.path("key.pem"), key).unwrap();
            fs::set_permissions(folder.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
            folder
        }

        fn load(&self) -> Result<Certificate, Error> {
            self.load_at(NOW_S)
        }

        fn load_at(&self, now_s: u64) -> Result<Certificate, Error> {
            Certificate::load(&self.files(), &provider(), now_s)
        }

        /// The message, which begins with the file `name`.
        fn refusal(&self, name: &str) -> String {
            let message = self.load().expect_err("it is refused").to_string();
            let path = format!("{}: ", self.path(name).display());
            message.strip_prefix(&path).unwrap_or_else(|| panic!("{message}")).to_owned()
        }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let day = |s: u64| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(s);
        (params.not_before, params.not_after) = (day(BEGIN_S), day(END_S));
        params
    }

    fn ca(name: &str, issuer: Option<&CertifiedIssuer<'static, KeyPair>>) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        match issuer {
            Some(issuer) => CertifiedIssuer::signed_by(params, key, issuer).unwrap(),
            None => CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// A certificate and its key, in PEM.
    fn pair() -> (String, String) {
        of(&KeyPair::generate().unwrap())
    }

    fn of(key: &KeyPair) -> (String, String) {
        (params("server").self_signed(key).unwrap().pem(), key.serialize_pem())
    }

    /// A server's certificate below an intermediate below a root, and its key.
    fn chain() -> ([String; 3], String) {
        let root = ca("root", None);
        let middle = ca("middle", Some(&root));
        let key = KeyPair::generate().unwrap();
        let server = params("server").signed_by(&key, &middle).unwrap();
        ([server.pem(), middle.pem(), root.pem()], key.serialize_pem())
    }

    fn pem_of(tag: &str, der: &[u8]) -> String {
        pem::encode(&Pem::new(tag, der))
    }

    #[test]
    fn a_certificate_and_its_key_are_taken() {
        let (certificate, key) = pair();
        let loaded = Folder::with(&certificate, &key).load().unwrap();
        assert_eq!(loaded.not_after_s, END_S);
        assert_eq!(loaded.key.cert.len(), 1);
        assert_eq!(loaded.warnings, Vec::<String>::new());
        // As `openssl x509 -fingerprint -sha256` shows it.
        let der = pem::parse(&certificate).unwrap();
        let hex: String = digest(&SHA256, der.contents()).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(loaded.fingerprint.replace(':', ""), hex);
        assert_eq!(loaded.fingerprint.len(), 32 * 3 - 1);
    }

    #[test]
    fn both_may_be_in_one_file_and_text_may_stand_around_them() {
        let (certificate, key) = pair();
        let both = format!("subject=CN = server\r\n{certificate}\nsome words\n{key}");
        assert!(Folder::with(&both, &both).load().is_ok());
    }

    #[test]
    fn a_chain_is_taken_in_its_order_only() {
        let ([server, middle, root], key) = chain();
        for good in [vec![&server], vec![&server, &middle], vec![&server, &middle, &root]] {
            let text: String = good.into_iter().map(String::as_str).collect();
            assert!(Folder::with(&text, &key).load().is_ok());
        }
        let message = Folder::with(format!("{server}{root}{middle}"), &key).refusal("cert.pem");
        assert!(
            message.contains("wrong order") && message.contains("\"CN=middle\"") && message.contains("\"CN=root\""),
            "{message}"
        );
        let message = Folder::with(format!("{middle}{server}"), &key).refusal("key.pem");
        assert!(message.contains("belongs to certificate 2"), "{message}");
    }

    #[test]
    fn keys_are_taken_in_each_usual_form_and_kind() {
        let rsa = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
        let pkcs8 = pem_of("PRIVATE KEY", pkcs8.as_ref());
        let (certificate, key) = of(&KeyPair::from_pem(&pkcs8).unwrap());
        assert!(Folder::with(&certificate, key).load().is_ok(), "RSA in PKCS#8");
        // RFC 5958: of 2048 bits, the RSAPrivateKey of PKCS#1 stands behind 26 bytes.
        let pkcs1 = pem_of("RSA PRIVATE KEY", &pem::parse(&pkcs8).unwrap().contents()[26..]);
        assert!(Folder::with(&certificate, pkcs1).load().is_ok(), "RSA in PKCS#1");

        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let pkcs8 = pem_of("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref());
        let (certificate, key) = of(&KeyPair::from_pem(&pkcs8).unwrap());
        assert!(Folder::with(&certificate, key).load().is_ok(), "ECDSA in PKCS#8");
        // RFC 5915: version 1, the number, the curve prime256v1, the point.
        let mut sec1 = vec![0x30, 0x77, 2, 1, 1, 4, 32];
        sec1.extend_from_slice(pair.private_key().as_be_bytes().unwrap().as_ref());
        sec1.extend_from_slice(&[0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0xa1, 68, 3, 66, 0]);
        sec1.extend_from_slice(pair.public_key().as_ref());
        assert!(Folder::with(&certificate, pem_of("EC PRIVATE KEY", &sec1)).load().is_ok(), "ECDSA in SEC1");

        for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P521_SHA512] {
            let (certificate, key) = of(&KeyPair::generate_for(algorithm).unwrap());
            assert!(Folder::with(certificate, key).load().is_ok(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_the_reason() {
        let folder = Folder::new();
        let message = folder.refusal("cert.pem");
        assert!(message.contains("No such file"), "{message}");
        fs::write(folder.path("cert.pem"), pair().0).unwrap();
        let message = folder.refusal("key.pem");
        assert!(message.contains("No such file"), "{message}");
        symlink(folder.path("key.pem"), folder.path("key.pem")).unwrap();
        let message = folder.refusal("key.pem");
        assert!(message.contains("cannot read"), "{message}");
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let (certificate, key) = pair();
        let folder = Folder::with(certificate, key);
        fs::remove_file(folder.path("key.pem")).unwrap();
        fs::create_dir(folder.path("key.pem")).unwrap();
        assert!(folder.refusal("key.pem").contains("directory"));
        fs::remove_dir(folder.path("key.pem")).unwrap();
        symlink("/dev/zero", folder.path("key.pem")).unwrap();
        assert!(folder.refusal("key.pem").contains("not a file"));
    }

    #[test]
    fn what_is_no_pem_is_refused_with_what_helps() {
        let (certificate, key) = pair();
        let der = pem::parse(&certificate).unwrap();
        let cut = &certificate[..certificate.len() / 2];
        let changed = certificate.replacen("MI", "M*", 1);
        for (text, hint) in [
            (&b""[..], "empty"),
            (b"hello", "not PEM"),
            (der.contents(), "-inform der"),
            (cut.as_bytes(), "was cut"),
            (changed.as_bytes(), "not base64"),
            (b"-----BEGIN CERTIFICATE", "BEGIN"),
            (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "damaged"),
            (&[b'x'; (1 << 20) + 1], "longer than"),
        ] {
            let message = Folder::with(text, &key).refusal("cert.pem");
            assert!(message.contains(hint), "{hint}: {message}");
        }
    }

    #[test]
    fn files_that_were_exchanged_are_told_as_that() {
        let (certificate, key) = pair();
        let message = Folder::with(&key, &certificate).refusal("cert.pem");
        assert!(message.contains("no certificate") && message.contains("other file"), "{message}");
        let message = Folder::with(&certificate, &certificate).refusal("key.pem");
        assert!(message.contains("no private key") && message.contains("other file"), "{message}");
    }

    #[test]
    fn an_encrypted_key_is_refused_with_the_command_that_decrypts_it() {
        let (certificate, key) = pair();
        let pkcs8 = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let old = pem_of("RSA PRIVATE KEY", b"some bytes").replacen(
            "-----\r\n",
            "-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-256-CBC,00\r\n\r\n",
            1,
        );
        for encrypted in [pkcs8, old] {
            let message = Folder::with(&certificate, encrypted).refusal("key.pem");
            assert!(message.contains("encrypted") && message.contains("openssl pkey"), "{message}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let message = Folder::with(pair().0, pair().1).refusal("key.pem");
        assert!(message.contains("does not belong"), "{message}");
        let (certificate, key) = pair();
        let message = Folder::with(certificate, format!("{key}{}", pair().1)).refusal("key.pem");
        assert!(message.contains("several"), "{message}");
    }

    #[test]
    fn a_certificate_of_an_old_version_is_refused_with_what_makes_a_new_one() {
        // openssl req -new, then openssl x509 -req without extensions: valid from 2026 to 2126.
        let old = "-----BEGIN CERTIFICATE-----
MIIBMzCB2QIUVZyxypUgLixTT8odXr+Djt7J2ncwCgYIKoZIzj0EAwIwGzEZMBcG
A1UEAwwQY2hhdC5leGFtcGxlLm9yZzAgFw0yNjExMjMxOTQ5MzFaGA8yMTI2MTAz
MDE5NDkzMVowGzEZMBcGA1UEAwwQY2hhdC5leGFtcGxlLm9yZzBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABNVZEfqt8TScRp5qSUV7ITc+2VIFwLjkuAks/IiGWcPa
PF3yRjWY+CA1i8OlkymQayYbfk6U1aQMxSkOkbyyjpYwCgYIKoZIzj0EAwIDSQAw
RgIhANp7K0WOhsueQJ0TLwkQkbZIJDAOT05FnDB58HCFV3hyAiEAuOn4//5U3fVH
Y1YGoTpRSp+4LaMriBgp5fSn7m1Yj0k=
-----END CERTIFICATE-----
";
        let message = Folder::with(old, pair().1).refusal("cert.pem");
        assert!(message.contains("-extfile"), "{message}");
    }

    #[test]
    fn a_key_that_rustls_cannot_use_is_refused_with_those_it_can() {
        let message = Folder::with(pair().0, pem_of("PRIVATE KEY", b"no key")).refusal("key.pem");
        assert!(message.contains("RSA (2048") && message.contains("Ed25519"), "{message}");
    }

    #[test]
    fn a_certificate_is_refused_before_and_after_its_time() {
        let (certificate, key) = pair();
        let folder = Folder::with(certificate, key);
        for good_s in [BEGIN_S, END_S] {
            assert!(folder.load_at(good_s).is_ok(), "{good_s}");
        }
        let early = folder.load_at(BEGIN_S - 1).unwrap_err().to_string();
        assert!(early.contains("not valid before 1972-09-27 00:00 UTC") && early.contains("clock"), "{early}");
        let late = folder.load_at(END_S + 1).unwrap_err().to_string();
        assert!(late.contains("expired on 1973-01-05 00:00 UTC"), "{late}");
    }

    #[test]
    fn the_end_is_told_a_month_before_and_more_urgently_in_the_last_week() {
        let (certificate, key) = pair();
        let loaded = Folder::with(certificate, key).load().unwrap();
        let told = |before_s: u64| loaded.expiry_warning(END_S - before_s);
        assert_eq!(told(30 * DAY_S), None);
        for (before_s, words) in [
            (30 * DAY_S - 1, "expires in 29 days"),
            (7 * DAY_S, "expires in 7 days"),
            (7 * DAY_S - 1, "less than 7 days"),
            (DAY_S - 1, "less than a day"),
            (0, "has expired"),
        ] {
            let warning = told(before_s).expect("it is near");
            assert!(warning.contains(words) && warning.contains("SIGHUP"), "{warning}");
        }
    }

    #[test]
    fn what_works_but_should_not_be_is_told() {
        let (certificate, key) = pair();
        let folder = Folder::with(certificate, &key);
        fs::set_permissions(folder.path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        let warnings = folder.load().unwrap().warnings;
        assert!(warnings[0].contains("chmod o-r") && warnings[0].contains("key.pem"), "{warnings:?}");

        let key = KeyPair::generate().unwrap();
        let mut nameless = params("server");
        nameless.subject_alt_names.clear();
        let folder = Folder::with(nameless.self_signed(&key).unwrap().pem(), key.serialize_pem());
        let warnings = folder.load().unwrap().warnings;
        assert!(warnings[0].contains("subjectAltName"), "{warnings:?}");

        let mut authority = params("server");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = Folder::with(authority.self_signed(&key).unwrap().pem(), key.serialize_pem());
        let warnings = folder.load().unwrap().warnings;
        assert!(warnings[0].contains("CA:FALSE"), "{warnings:?}");
    }

    #[test]
    fn an_old_certificate_further_up_the_chain_is_told() {
        let mut old = params("old");
        old.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        old.not_after = rcgen::date_time_ymd(1972, 10, 1);
        let old = CertifiedIssuer::self_signed(old, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = params("server").signed_by(&key, &old).unwrap();
        let folder = Folder::with(format!("{}{}", server.pem(), old.pem()), key.serialize_pem());
        let warnings = folder.load().unwrap().warnings;
        assert!(warnings[0].contains("certificate 2 of the chain expired on 1972-10-01"), "{warnings:?}");
    }
}
