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
        let wants_tls = config.listen.tls.is_some();
        let certificate = if wants_tls { load_certificate(config, &provider, now_s)? } else { None };
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
        // Whatever it says of listeners: those there are stay.
        let certificate = if self.tls.is_some() { load_certificate(config, &self.provider, now_s)? } else { None };
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
                warn!(%error, "the old keys stay in use, for there are no new ones");
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

/// `None` where none is named, and none is to be made.
fn load_certificate(config: &Config, provider: &CryptoProvider, now_s: u64) -> Result<Option<Certificate>, Error> {
    let made;
    let files = match &config.tls {
        Some(files) => files,
        None if config.login.dev => {
            made = dev_certificate::ensure(&config.data_dir, provider, now_s)?;
            &made
        }
        None => return Ok(None),
    };
    Certificate::load(files, provider, now_s).map(Some)
}

/// How often [`Keeper::look`] is to be asked.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(60);
const DAY_S: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use gateway_core::Credential;

    use super::*;
    use crate::auth::{DEV_KEY, mint};
    use crate::config::{Flags, TlsFiles};

    const STORE: StoreId = StoreId([1; 16]);
    const NOW_S: u64 = 1_800_000_000;
    const HOUR_S: u64 = 3600;

    /// With `--dev`, a TLS listener, and tickets that are good for a day.
    fn config(dir: &Path) -> Config {
        let mut config = Config::load(Flags { dev: true, ..Flags::default() }).unwrap();
        config.data_dir = dir.to_owned();
        config.listen.tls = Some("127.0.0.1:0".parse().unwrap());
        config.login.ticket_ttl = Duration::from_secs(24 * HOUR_S);
        config
    }

    fn fingerprint(keeper: &Keeper) -> String {
        keeper.tls.as_ref().expect("there is a listener").1.fingerprint.clone()
    }

    /// A certificate of its own.
    fn other_files(dir: &Path) -> TlsFiles {
        fs::create_dir_all(dir).unwrap();
        dev_certificate::ensure(dir, &tls_config::provider(), NOW_S).unwrap()
    }

    #[test]
    fn without_a_tls_listener_no_certificate_is_wanted_or_made() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.listen.tls = None;
        let keeper = Keeper::new(&config, STORE, NOW_S).unwrap();
        assert!(keeper.secrets().tls.is_none());
        assert_eq!(keeper.expiry_s().load(Ordering::Relaxed), 0);
        assert!(!dir.path().join("dev-cert.pem").exists() && !dir.path().join("keys/tls-sessions").exists());
    }

    #[test]
    fn without_tickets_there_are_no_keys_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.login.ticket_ttl = Duration::ZERO;
        assert!(Keeper::new(&config, STORE, NOW_S).unwrap().secrets().tickets.is_none());
        assert!(!dir.path().join("keys/tickets").exists());
    }

    #[test]
    fn a_reload_takes_another_certificate_and_tells_when_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let mut keeper = Keeper::new(&config, STORE, NOW_S).unwrap();
        let before = fingerprint(&keeper);
        config.tls = Some(other_files(&dir.path().join("other")));
        keeper.reload(&config, NOW_S + HOUR_S).unwrap();
        assert_ne!(fingerprint(&keeper), before);
        assert_eq!(keeper.expiry_s().load(Ordering::Relaxed), keeper.tls.as_ref().unwrap().1.not_after_s);
    }

    #[test]
    fn a_reload_that_finds_one_thing_broken_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let mut keeper = Keeper::new(&config, STORE, NOW_S).unwrap();
        let before = fingerprint(&keeper);
        let token = mint(&dir.path().join(DEV_KEY), "alice", Duration::from_secs(HOUR_S)).unwrap();
        let takes_token = |keeper: &Keeper| {
            let token = Credential::Token(token.as_str().into());
            keeper.secrets().check("alice", "phone", &token, NOW_S * 1_000_000).is_ok()
        };
        assert!(takes_token(&keeper));
        // Another token key is there, and the certificate is broken.
        fs::remove_file(dir.path().join(DEV_KEY)).unwrap();
        let files = other_files(&dir.path().join("other"));
        fs::write(&files.key, "no key").unwrap();
        config.tls = Some(files);
        let error = keeper.reload(&config, NOW_S).unwrap_err().to_string();
        assert!(error.contains("dev-cert-key.pem"), "{error}");
        assert!(takes_token(&keeper) && fingerprint(&keeper) == before);
        // The other way round.
        config.tls = Some(other_files(&dir.path().join("good")));
        fs::write(dir.path().join(DEV_KEY), "no key").unwrap();
        let error = keeper.reload(&config, NOW_S).unwrap_err().to_string();
        assert!(error.contains(DEV_KEY), "{error}");
        assert!(takes_token(&keeper) && fingerprint(&keeper) == before);
        // Now both are good, and both count.
        fs::remove_file(dir.path().join(DEV_KEY)).unwrap();
        keeper.reload(&config, NOW_S).unwrap();
        assert!(!takes_token(&keeper) && fingerprint(&keeper) != before);
    }

    #[test]
    fn a_reload_without_a_certificate_keeps_the_one_there_is_and_makes_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.tls = Some(other_files(&dir.path().join("other")));
        let mut keeper = Keeper::new(&config, STORE, NOW_S).unwrap();
        let before = fingerprint(&keeper);
        // The file says that nobody should listen any more, which counts from the next start on.
        (config.tls, config.listen.tls, config.login.dev) = (None, None, false);
        keeper.reload(&config, NOW_S).unwrap();
        assert_eq!(fingerprint(&keeper), before);
        assert!(!dir.path().join("dev-cert.pem").exists());
    }

    #[test]
    fn an_expired_certificate_is_refused_by_a_reload_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let mut keeper = Keeper::new(&config, STORE, NOW_S).unwrap();
        let before = fingerprint(&keeper);
        config.tls = Some(other_files(&dir.path().join("other")));
        let error = keeper.reload(&config, NOW_S + 400 * DAY_S).unwrap_err().to_string();
        assert!(error.contains("expired on"), "{error}");
        assert_eq!(fingerprint(&keeper), before);
    }

    #[test]
    fn keys_are_renewed_when_it_is_time_and_what_they_sealed_stays_good() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::new(&config(dir.path()), STORE, NOW_S).unwrap();
        let ticket = Credential::Ticket(keeper.secrets().ticket("alice", "phone", 0, NOW_S * 1_000_000));
        let is_good = |keeper: &Keeper, s: u64| {
            keeper.secrets().check("alice", "phone", &ticket, (NOW_S + s) * 1_000_000).is_ok()
        };
        assert!(!keeper.look(NOW_S + HOUR_S));
        assert!(keeper.look(NOW_S + 12 * HOUR_S), "sessions");
        assert!(!keeper.look(NOW_S + 24 * HOUR_S - 1));
        assert!(keeper.look(NOW_S + 24 * HOUR_S), "both");
        assert!(is_good(&keeper, 24 * HOUR_S - 1));
        assert!(!is_good(&keeper, 24 * HOUR_S), "expired");
        // A restart finds the same keys.
        let keeper = Keeper::new(&config(dir.path()), STORE, NOW_S + 24 * HOUR_S).unwrap();
        assert!(is_good(&keeper, 24 * HOUR_S - 1));
    }

    #[test]
    fn keys_that_cannot_be_renewed_stay_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::new(&config(dir.path()), STORE, NOW_S).unwrap();
        let ticket = keeper.secrets().ticket("alice", "phone", 0, NOW_S * 1_000_000);
        for name in ["tickets.tmp", "tls-sessions.tmp"] {
            fs::create_dir(dir.path().join("keys").join(name)).unwrap();
        }
        assert!(!keeper.look(NOW_S + 24 * HOUR_S));
        let now_us = (NOW_S + HOUR_S) * 1_000_000;
        assert!(keeper.secrets().check("alice", "phone", &Credential::Ticket(ticket), now_us).is_ok());
    }
}
