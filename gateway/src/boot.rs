//! The composition root: opens what the gateway needs, in the order in which a mistake is cheapest to find.

use crate::auth::Verifier;
use crate::config::{Config, Login};
use crate::error::Error;
use crate::store::Store;

/// Serves until a signal comes.
pub(crate) fn serve(config: &Config) -> Result<(), Error> {
    let store = Store::open(&config.data_dir, config.shards, 1)?;
    let _verifier = match &config.login {
        Login::Dev => Verifier::from_dev_key(&config.data_dir)?,
        Login::TokenKey(path) => Verifier::from_public_key(path)?,
    };
    let _ = (store.identity(), store.shard_dir(0));
    Ok(())
}
