//! The configuration that counts now, and the secrets by it: what SIGHUP and time change while the gateway runs.

use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use crate::config::Config;
use crate::error::Error;
use crate::keeper::{self, Keeper, LOOK_INTERVAL};
use crate::secrets::Secrets;
use crate::telemetry;

/// Both, on the main thread.
pub(crate) struct Live<'a> {
    config: Config,
    keeper: Keeper,
    load: &'a dyn Fn() -> Result<Config, Error>,
    look_at: Instant,
}

impl<'a> Live<'a> {
    /// As it was started with; `load` reads the configuration again.
    pub(crate) fn new(config: Config, keeper: Keeper, load: &'a dyn Fn() -> Result<Config, Error>) -> Live<'a> {
        Live { config, keeper, load, look_at: Instant::now() + LOOK_INTERVAL }
    }

    /// What counts now.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the configuration, certificate, key and token key again. What cannot change while the gateway runs is named, and stays.
    /// If anything is wrong, nothing changes. Returns the new set of secrets.
    pub(crate) fn reload(&mut self) -> Option<Arc<Secrets>> {
        let new = match (self.load)().and_then(|new| self.keeper.reload(&new, keeper::now_s()).map(|()| new)) {
            Ok(new) => new,
            Err(error) => {
                // Many mistakes are many lines, and here they are one event.
                warn!(error = error.to_string().replace("\n", ";"), "SIGHUP changed nothing");
                return None;
            }
        };
        let ignored = self.config.fixed_changes(&new);
        if !ignored.is_empty() {
            warn!(keys = ignored.join(" "), "changed in the configuration, and counts from the next start on");
        }
        telemetry::set_level(new.log.level);
        info!("SIGHUP: certificate, keys and log level are read again");
        (self.config.tls, self.config.login.token_key, self.config.log.level) =
            (new.tls, new.login.token_key, new.log.level);
        Some(self.keeper.secrets())
    }

    /// When [`Live::look`] is to be asked next.
    pub(crate) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// Does what is due by the time. Returns a new set of secrets if there is one.
    pub(crate) fn look(&mut self) -> Option<Arc<Secrets>> {
        self.look_at = Instant::now() + LOOK_INTERVAL;
        self.keeper.look(keeper::now_s()).then(|| self.keeper.secrets())
    }
}
