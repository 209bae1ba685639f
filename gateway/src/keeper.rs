//! Keeps the [`Secrets`] of the gateway, on the main thread: makes them at the start, renews the keys of tickets and sessions when it is
//! time, reads certificate and token key again when told to, and warns before the certificate expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use storage::StoreId;
use tracing::{info, warn};

use crate::auth::Verifier;
use crate::certificate::{Certificate, date};
use crate::config::Config;
use crate::dev_certificate;
use crate::error::Error;
use crate::key_ring::{KeyFile, KeyRing};
use crate::secrets::Secrets;
use crate::ticket::Tickets;
use crate::tls_config::{self, SESSION_TTL};

/// The secrets, and where they come from.
pub(crate) struct Keeper {
    store: StoreId,
    provider: Arc<CryptoProvider>,
    verifier: Verifier,
    tickets: Option<(Ring, Duration)>,
    tls: Option<(Ring, Certificate)>,
    /// When the certificate expires, in seconds since 1970; 0 without one. For metrics.
    expiry_s: Arc<AtomicU64>,
    /// When the time left was last looked at.
    warned_s: u64,
}

/// Keys and their file.
struct Ring {
    file: KeyFile,
    keys: Arc<KeyRing>,
}

impl Keeper {
    /// Reads or makes everything that the configuration wants. `now_s` is in seconds since 1970, here and below.
    ///
    /// # Errors
    /// What keeps the gateway from starting: with the file's name and what helps.
    pub(crate) fn new(config: &Config, store: StoreId, now_s: u64) -> Result<Keeper, Error> {
        let provider = tls_config::provider();
        let ttl = config.login.ticket_ttl;
        let ring = |name, period| {
            let file = KeyFile::new(&config.data_dir, name, period);
            file.load(now_s).map(|keys| Ring { file, keys })
        };
        let certificate = load_certificate(config, &provider, now_s)?;
        let mut keeper = Keeper {
            store,
            verifier: load_verifier(config)?,
            tickets: if ttl.is_zero() { None } else { Some((ring("tickets", ttl)?, ttl)) },
            tls: match certificate {
                Some(certificate) => Some((ring("tls-sessions", SESSION_TTL)?, certificate)),
                None => None,
            },
            provider,
            expiry_s: Arc::default(),
            warned_s: 0,
        };
        keeper.on_new_certificate(now_s);
        Ok(keeper)
    }

    /// The present set.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        let tls = self.tls.as_ref().map(|(ring, certificate)| {
            tls_config::server_config(Arc::clone(&self.provider), certificate, Arc::clone(&ring.keys), self.store)
        });
        let tickets = self.tickets.as_ref().map(|(ring, ttl)| Tickets::new(Arc::clone(&ring.keys), self.store, *ttl));
        Arc::new(Secrets { tls, verifier: self.verifier.clone(), tickets })
    }

    /// When the certificate expires, in seconds since 1970, as it is at any time; 0 without TLS.
    pub(crate) fn expiry_s(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.expiry_s)
    }

    /// Reads certificate, its key and the token key again, from where `config` says.
    ///
    /// # Errors
    /// The first thing that is wrong. Nothing has changed then.
    pub(crate) fn reload(&mut self, config: &Config, now_s: u64) -> Result<(), Error> {
        let verifier = load_verifier(config)?;
        let certificate = load_certificate(config, &self.provider, now_s)?;
        // Nothing fails from here on.
        self.verifier = verifier;
        if let (Some((_, present)), Some(certificate)) = (&mut self.tls, certificate) {
            *present = certificate;
        }
        self.on_new_certificate(now_s);
        Ok(())
    }

    /// To be asked every [`LOOK_INTERVAL`]: renews keys that are due, and warns. True when there is a new set.
    pub(crate) fn look(&mut self, now_s: u64) -> bool {
        if now_s.abs_diff(self.warned_s) >= DAY_S {
            self.warn_of_expiry(now_s);
        }
        let mut is_new = false;
        for ring in self.tickets.iter_mut().map(|(ring, _)| ring).chain(self.tls.iter_mut().map(|(ring, _)| ring)) {
            is_new |= ring.renew_if_due(now_s);
        }
        is_new
    }

    fn on_new_certificate(&mut self, now_s: u64) {
        let Some((_, certificate)) = &self.tls else { return };
        for warning in &certificate.warnings {
            warn!("{warning}");
        }
        let (fingerprint, expires) = (&certificate.fingerprint, date(certificate.not_after_s));
        info!(fingerprint, expires, "the certificate for TLS");
        self.expiry_s.store(certificate.not_after_s, Ordering::Relaxed);
        self.warn_of_expiry(now_s);
    }

    fn warn_of_expiry(&mut self, now_s: u64) {
        self.warned_s = now_s;
        if let Some(warning) = self.tls.as_ref().and_then(|(_, certificate)| certificate.expiry_warning(now_s)) {
            warn!("{warning}");
        }
    }
}

impl Ring {
    fn renew_if_due(&mut self, now_s: u64) -> bool {
        match self.file.rotate_if_due(&self.keys, now_s) {
            Ok(Some(keys)) => {
                self.keys = keys;
                info!(file = %self.file.path().display(), "new keys");
                true
            }
            Ok(None) => false,
            Err(error) => {
                warn!("the old keys stay in use, for there are no new ones: {error}");
                false
            }
        }
    }
}

/// The time now, in seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn load_verifier(config: &Config) -> Result<Verifier, Error> {
    match &config.login.token_key {
        _ if config.login.dev => Verifier::from_dev_key(&config.data_dir),
        Some(path) => Verifier::from_public_key(path),
        None => Ok(Verifier::without_key()),
    }
}

/// `None` without a TLS listener.
fn load_certificate(config: &Config, provider: &CryptoProvider, now_s: u64) -> Result<Option<Certificate>, Error> {
    if config.listen.tls.is_none() {
        return Ok(None);
    }
    let made;
    let files = match &config.tls {
        Some(files) => files,
        None => {
            made = dev_certificate::ensure(&config.data_dir, provider, now_s)?;
            &made
        }
    };
    Certificate::load(files, provider, now_s).map(Some)
}

/// How often [`Keeper::look`] is to be asked.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(60);
const DAY_S: u64 = 24 * 3600;
