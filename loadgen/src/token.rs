//! Tokens, as an operator's backend would sign them.

use anyhow::{Context as _, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::clock;

/// Signs tokens with one key.
pub(crate) struct Mint {
    key: EncodingKey,
    expires_s: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
}

impl Mint {
    /// `pem` is an Ed25519 private key, PKCS #8.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn new(pem: &str) -> Result<Mint> {
        let key = EncodingKey::from_ed_pem(pem.as_bytes());
        Ok(Mint {
            key: key.context("the token key is not an Ed25519 private key in PEM (PKCS #8)")?,
            expires_s: clock::wall_s() + TTL_S,
        })
    }

    /// About 25 µs.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub(crate) fn token(&self, user: &str) -> Result<String> {
        let claims = Claims { sub: user, exp: self.expires_s };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).context("cannot sign a token")
    }
}

/// A day: longer than any run.
const TTL_S: u64 = 86_400;
