//! Tokens: good ones, and every kind of bad one.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};

/// The private key of a gateway's `--dev` mode.
#[derive(Debug, Clone)]
pub struct Keys {
    pem: Vec<u8>,
}

impl Keys {
    /// As it lies in a data directory.
    ///
    /// # Panics
    /// When there is none.
    pub fn of(data_dir: &Path) -> Keys {
        let path = data_dir.join("dev-key.pem");
        let pem = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Keys { pem }
    }

    /// A token for `user`, good for an hour.
    pub fn token(&self, user: &str) -> String {
        self.token_until(user, now_s() + 3600)
    }

    /// A token for `user` that ended an hour ago.
    pub fn expired_token(&self, user: &str) -> String {
        self.token_until(user, now_s() - 3600)
    }

    /// A token for `user` with that `exp`, in seconds since 1970.
    pub fn token_until(&self, user: &str, exp: u64) -> String {
        let user = user.escape_default();
        self.sign(&format!(r#"{{"sub":"{user}","exp":{exp}}}"#))
    }

    /// A token with these claims, a JSON object.
    ///
    /// # Panics
    /// When they are not JSON, or the key is of no use.
    pub fn sign(&self, claims: &str) -> String {
        let claims: serde_json::Value = serde_json::from_str(claims).expect("claims are JSON");
        let key = EncodingKey::from_ed_pem(&self.pem).expect("the gateway made the key");
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key).expect("a token can be signed")
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}
