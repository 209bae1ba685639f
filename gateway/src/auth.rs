//! Who may log in: JSON Web Tokens signed with Ed25519, checked against the operator's public key.
//!
//! A check costs some 50 µs and runs on the shard's thread, a few in each turn ([`CHECK_TIME_PER_TURN`]): to pass it to another
//! thread and be woken by the answer costs as much, and where each CPU has its shard there is no idle one to do it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use gateway_core::Credential;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use wire::Code;

use crate::error::Error;
use crate::store::write_durably;

/// For how long a shard checks credentials in one turn; the rest waits for the next. Bounds what a storm of logins adds to the
/// latency of those who are in, and leaves the logins a share of a shard that is busy.
pub(crate) const CHECK_TIME_PER_TURN: Duration = Duration::from_millis(2);

/// Checks credentials.
#[derive(Clone)]
pub(crate) struct Verifier {
    key: Option<DecodingKey>,
    validation: Validation,
}

impl Verifier {
    /// Takes tokens that the holder of this public key's private half signed. PEM, as `openssl pkey -pubout` writes it.
    pub(crate) fn from_public_key(path: &Path) -> Result<Verifier, Error> {
        let pem = fs::read(path).map_err(Error::path(path, "read the key"))?;
        match DecodingKey::from_ed_pem(&pem) {
            Ok(key) => Ok(Verifier::new(Some(key))),
            Err(_) => Err(Error::Key {
                path: path.to_owned(),
                message: if EncodingKey::from_ed_pem(&pem).is_ok() {
                    "this is the private key, the gateway wants the public one: \
                     openssl pkey -in KEY -pubout -out PUBLIC"
                        .to_owned()
                } else {
                    "not an Ed25519 public key in PEM: openssl genpkey -algorithm ed25519 -out KEY, \
                     then openssl pkey -in KEY -pubout -out PUBLIC"
                        .to_owned()
                },
            }),
        }
    }

    /// Takes tokens of the development key of a data directory; makes that key when there is none.
    pub(crate) fn from_dev_key(dir: &Path) -> Result<Verifier, Error> {
        let path = dir.join(DEV_KEY);
        if !path.try_exists().map_err(Error::path(&path, "read"))? {
            make_dev_key(dir)?;
        }
        let text = fs::read(&path).map_err(Error::path(&path, "read the key"))?;
        let pair =
            pem::parse(text).ok().and_then(|pem| Ed25519KeyPair::from_pkcs8(pem.contents()).ok()).ok_or_else(|| {
                Error::Key {
                    path,
                    message:
                        "not an Ed25519 private key in PEM; remove it, and the next start with --dev makes a new one"
                            .to_owned(),
                }
            })?;
        Ok(Verifier::new(Some(DecodingKey::from_ed_der(pair.public_key().as_ref()))))
    }

    /// Takes no tokens.
    pub(crate) fn without_key() -> Verifier {
        Verifier::new(None)
    }

    /// Whether `credential` proves that its bearer is `user`; if not, the code to tell him.
    pub(crate) fn verify(&self, user: &str, credential: &Credential) -> Result<(), Code> {
        let token = match credential {
            Credential::Token(token) => token,
            Credential::Password(_) | Credential::Ticket(_) => {
                return Err(Code::CredentialUnsupported);
            }
        };
        let Some(key) = &self.key else { return Err(Code::CredentialUnsupported) };
        match jsonwebtoken::decode::<Subject>(token.as_bytes(), key, &self.validation) {
            Ok(token) if token.claims.sub == user => Ok(()),
            Ok(_) => Err(Code::WrongUser),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(Code::CredentialExpired),
            Err(_) => Err(Code::BadCredential),
        }
    }

    fn new(key: Option<DecodingKey>) -> Verifier {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        Verifier { key, validation }
    }
}

/// A token for `user` that is good for `ttl`, signed with the private key in the file `key`.
pub(crate) fn mint(key: &Path, user: &str, ttl: Duration) -> Result<String, Error> {
    let pem = fs::read(key).map_err(Error::path(key, "read the key"))?;
    let bad = |_| Error::Key {
        path: key.to_owned(),
        message: "not an Ed25519 private key in PEM: openssl genpkey -algorithm ed25519 -out KEY makes one".to_owned(),
    };
    let signer = EncodingKey::from_ed_pem(&pem).map_err(bad)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    let claims = Claims { sub: user, exp: now.saturating_add(ttl).as_secs() };
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &signer).map_err(bad)
}

/// The private half of the key that `--dev` uses, inside the data directory.
pub(crate) const DEV_KEY: &str = "dev-key.pem";

/// How far the clock of a token's or a ticket's maker may be off, in seconds.
pub(crate) const LEEWAY_S: u64 = 5;

/// What is read of a token; `exp` (required), `nbf` and `aud` (refused, since nobody said which to expect) are looked at by
/// [`Validation`].
#[derive(Deserialize)]
struct Subject {
    sub: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
}

fn make_dev_key(dir: &Path) -> Result<(), Error> {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| Error::Key {
        path: dir.join(DEV_KEY),
        message: "the cryptographic library made no key".to_owned(),
    })?;
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()));
    write_durably(dir, DEV_KEY, pem.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn setup() -> (tempfile::TempDir, Verifier) {
        let dir = tempfile::tempdir().unwrap();
        let verifier = Verifier::from_dev_key(dir.path()).unwrap();
        (dir, verifier)
    }

    fn token(text: &str) -> Credential {
        Credential::Token(text.into())
    }

    /// A token of the directory's key with any claims, which are written as TOML.
    fn claims(dir: &Path, toml: &str) -> Credential {
        let pem = fs::read(dir.join(DEV_KEY)).unwrap();
        let key = EncodingKey::from_ed_pem(&pem).unwrap();
        let claims: toml::Table = toml::from_str(toml).unwrap();
        token(&jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key).unwrap())
    }

    #[test]
    fn a_minted_token_is_good_for_its_user_and_no_other() {
        let (dir, verifier) = setup();
        let minted = mint(&dir.path().join(DEV_KEY), "alice", HOUR).unwrap();
        assert_eq!(verifier.verify("alice", &token(&minted)), Ok(()));
        assert_eq!(verifier.verify("alicf", &token(&minted)), Err(Code::WrongUser));
    }

    #[test]
    fn an_expired_token_is_told_as_expired() {
        let (dir, verifier) = setup();
        let expired = claims(dir.path(), "sub = 'alice'\nexp = 1000000000");
        assert_eq!(verifier.verify("alice", &expired), Err(Code::CredentialExpired));
    }

    #[test]
    fn a_token_that_says_too_little_or_too_much_is_refused() {
        let (dir, verifier) = setup();
        for toml in [
            "sub = 'alice'",
            "exp = 9000000000",
            "sub = 'alice'\nexp = 'tomorrow'",
            "sub = 'alice'\nexp = 9000000000\nnbf = 8000000000",
            "sub = 'alice'\nexp = 9000000000\naud = 'another service'",
        ] {
            let credential = claims(dir.path(), toml);
            assert_eq!(verifier.verify("alice", &credential), Err(Code::BadCredential), "{toml}");
        }
        let good = claims(dir.path(), "sub = 'alice'\nexp = 9000000000");
        assert_eq!(verifier.verify("alice", &good), Ok(()));
    }

    #[test]
    fn a_token_of_another_key_or_algorithm_is_refused() {
        let (_dir, verifier) = setup();
        let (other, _) = setup();
        let foreign = mint(&other.path().join(DEV_KEY), "alice", HOUR).unwrap();
        // {"alg":"none"} . {"sub":"alice","exp":9000000000} .
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTAwMDAwMDAwMH0.";
        for bad in [foreign.as_str(), unsigned, "", "...", "a.b.c"] {
            assert_eq!(verifier.verify("alice", &token(bad)), Err(Code::BadCredential), "{bad}");
        }
    }

    #[test]
    fn a_cut_or_changed_token_is_refused() {
        let (dir, verifier) = setup();
        let minted = mint(&dir.path().join(DEV_KEY), "alice", HOUR).unwrap();
        for len in 0..minted.len() {
            assert_eq!(verifier.verify("alice", &token(&minted[..len])), Err(Code::BadCredential), "{len} bytes");
        }
    }

    #[test]
    fn passwords_and_tickets_are_not_supported() {
        let (_dir, verifier) = setup();
        for credential in [Credential::Password("secret".into()), Credential::Ticket(vec![1, 2, 3].into())] {
            assert_eq!(verifier.verify("alice", &credential), Err(Code::CredentialUnsupported));
        }
    }

    #[test]
    fn the_development_key_is_made_once_and_for_its_owner_only() {
        let (dir, _) = setup();
        let path = dir.path().join(DEV_KEY);
        let made = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        Verifier::from_dev_key(dir.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), made);
    }

    #[test]
    fn a_private_key_given_as_the_public_one_is_named_as_that() {
        let (dir, _) = setup();
        let error = Verifier::from_public_key(&dir.path().join(DEV_KEY)).err().unwrap();
        assert!(error.to_string().contains("-pubout"), "{error}");
    }

    #[test]
    fn a_public_key_in_pem_is_taken() {
        let (dir, _) = setup();
        let pem = pem::parse(fs::read(dir.path().join(DEV_KEY)).unwrap()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pem.contents()).unwrap();
        // RFC 8410: the fixed head of a SubjectPublicKeyInfo for Ed25519.
        let mut der = vec![48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];
        der.extend_from_slice(pair.public_key().as_ref());
        let path = dir.path().join("public.pem");
        fs::write(&path, pem::encode(&pem::Pem::new("PUBLIC KEY", der))).unwrap();
        let verifier = Verifier::from_public_key(&path).unwrap();
        let minted = mint(&dir.path().join(DEV_KEY), "bob", HOUR).unwrap();
        assert_eq!(verifier.verify("bob", &token(&minted)), Ok(()));
    }
}
