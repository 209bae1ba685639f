//! What all connections of a client share: whom it trusts, what it offers, which sessions it can resume.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, RootCertStore};

use super::TlsError;

/// How a client does TLS: version 1.3 only, and only with a peer that proves its name by a certificate which one of the given
/// ones has signed. Clones share their sessions.
#[derive(Clone)]
pub struct TlsConfig {
    config: Arc<ClientConfig>,
}

impl TlsConfig {
    /// Trusts the certificates in a PEM file, and nothing else: one's own authority, the gateway's own certificate if that has
    /// signed itself and is not marked as an authority, or a bundle of many.
    ///
    /// # Errors
    /// [`TlsError::Roots`]: the file cannot be read, has no certificate, or has one that is none.
    pub fn from_ca_file(path: &Path) -> Result<TlsConfig, TlsError> {
        let wrong = |what: String| TlsError::Roots { what: format!("{}: {what}", path.display()) };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        TlsConfig::from_ca_pem(&pem).map_err(|error| match error {
            TlsError::Roots { what } => wrong(what),
            error => error,
        })
    }

    /// The same from the file's content.
    ///
    /// # Errors
    /// [`TlsError::Roots`].
    pub fn from_ca_pem(pem: &[u8]) -> Result<TlsConfig, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates =
            certificates.map_err(|error| TlsError::Roots { what: format!("not a PEM file: {error}") })?;
        if certificates.is_empty() {
            let is_key = pem.windows(KEY_MARK.len()).any(|part| part == KEY_MARK);
            let hint = if is_key { " (it has a key: the certificate is wanted)" } else { "" };
            return Err(TlsError::Roots { what: format!("there is no certificate in PEM in it{hint}") });
        }
        TlsConfig::from_certificates(certificates)
    }

    /// Trusts these certificates, in DER, and nothing else.
    ///
    /// # Errors
    /// [`TlsError::Roots`] when there is none, or one that is none.
    pub fn from_certificates(
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<TlsConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(certificates) {
            let added = roots.add(certificate);
            added.map_err(|error| TlsError::Roots { what: format!("certificate {number} in it is none: {error}") })?;
        }
        if roots.is_empty() {
            return Err(TlsError::Roots { what: "no certificate to trust was given".to_owned() });
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has cipher suites of TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::in_memory_sessions(SERVERS_MAX);
        Ok(TlsConfig { config: Arc::new(config) })
    }

    /// The same, with a memory of its own for one session: for a program that plays many clients, where each should resume its own
    /// session as if it were alone. About 500 bytes, and as much again once there is a session.
    #[must_use]
    pub fn with_own_session(&self) -> TlsConfig {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(Arc::new(LastSession::default()));
        TlsConfig { config: Arc::new(config) }
    }

    pub(super) fn shared(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

/// The newest session with whichever server there is.
#[derive(Debug, Default)]
struct LastSession(Mutex<Option<Tls13ClientSessionValue>>);

impl ClientSessionStore for LastSession {
    fn set_kx_hint(&self, _server: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server: ServerName<'static>, value: Tls13ClientSessionValue) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the other side must speak on top of TLS.
pub(super) const ALPN: &[u8] = b"shardwire/1";
/// How many servers' sessions are remembered.
const SERVERS_MAX: usize = 32;
const KEY_MARK: &[u8] = b"PRIVATE KEY-----";
