//! Keys that seal what clients carry for the gateway, and only the gateway reads: resume tickets, and TLS sessions.
//!
//! A ring has the key that seals and the one before it, which still opens. A new key each `period` (see [`KeyFile`]): what is
//! sealed stays readable for one period at least and two at most. A ring is never changed, it is replaced; its file is
//! written first, so that no restart forgets a key that has sealed something.
//!
//! AES-256-GCM with random nonces of 96 bits: NIST SP 800-38D (8.3) allows a key 2^32 of them, for then the chance that two are
//! equal is below 2^-32. A ring asks to be rotated at 2^31 seals ([`KeyRing::is_due`]) and seals nothing at 2^32. The count starts
//! again with the process: eight runs that each come near the bound with the same key are at 2^-27.
//!
//! ```text
//! sealed:     0  4  key id              (little-endian, as all numbers)
//!             4 12  nonce
//!            16  n  ciphertext
//!          16+n 16  tag
//!
//! the file:   0  8  "SHRDKEYS"
//!             8  4  format version, 1
//!            12  4  number of keys, 1 or 2; the one that seals comes first
//!            16 48  for each key:  0 4 id, not 0 | 4 4 zero | 8 8 made, in seconds since 1970 | 16 32 secret
//!                4  crc32c of all before
//! ```

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use tracing::warn;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::store::write_durably;

/// One or two keys. Its `Debug` shows no secret.
pub(crate) struct KeyRing {
    current: Key,
    previous: Option<Key>,
    /// By `current`, in this process.
    seal_count: AtomicU64,
}

/// `id` is not 0.
struct Key {
    id: u32,
    made_s: u64,
    secret: Zeroizing<[u8; SECRET_LEN]>,
    cipher: RandomizedNonceKey,
}

impl KeyRing {
    /// A ring of one new key. `now_s` is in seconds since 1970, here and below.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn fresh(now_s: u64) -> Result<KeyRing, Error> {
        Ok(KeyRing::of(Key::fresh(now_s)?, None))
    }

    /// The ring after this one: a new key, and this one's current as the previous.
    ///
    /// # Errors
    /// As [`KeyRing::fresh`].
    pub(crate) fn rotated(&self, now_s: u64) -> Result<KeyRing, Error> {
        let mut key = Key::fresh(now_s)?;
        while key.id == self.current.id {
            key = Key::fresh(now_s)?;
        }
        Ok(KeyRing::of(key, Some(self.current.again())))
    }

    /// Whether it is time for the next ring: the key is a period old, or has sealed too much.
    ///
    /// A key made a period and more in what is now the future tells of a clock that is, or was, wrong. If it is wrong now, a new
    /// key would push out one that is in use, at the latest when the clock is right again. So such a key counts as made when the
    /// one before it was a period old, and without one before it as new.
    pub(crate) fn is_due(&self, now_s: u64, period: Duration) -> bool {
        let made_s = if self.is_from_the_future(now_s, period) {
            self.previous.as_ref().map_or(now_s, |previous| previous.made_s.saturating_add(period.as_secs()))
        } else {
            self.current.made_s
        };
        now_s.saturating_sub(made_s) >= period.as_secs() || self.seal_count.load(Ordering::Relaxed) >= SEAL_COUNT_DUE
    }

    /// Whether the key was made a period and more after `now_s`.
    fn is_from_the_future(&self, now_s: u64, period: Duration) -> bool {
        self.current.made_s.saturating_sub(now_s) >= period.as_secs()
    }

    /// Seals `plain` for whoever opens it with the same `aad`; 32 bytes longer than `plain`. `None` when the key has sealed all
    /// that it may, or the system has no random bytes.
    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        if self.seal_count.fetch_add(1, Ordering::Relaxed) >= SEAL_COUNT_MAX {
            return None;
        }
        let mut body = Vec::with_capacity(plain.len() + TAG_LEN);
        body.extend_from_slice(plain);
        let nonce = self.current.cipher.seal_in_place_append_tag(Aad::from(aad), &mut body).ok()?;
        let mut sealed = Vec::with_capacity(HEAD_LEN + body.len());
        sealed.extend_from_slice(&self.current.id.to_le_bytes());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        Some(sealed)
    }

    /// What was sealed by a key of this ring with the same `aad`.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is known of `sealed` then, it may be anything.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (id, rest) = sealed.split_first_chunk().ok_or(OpenError::Forged)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::Forged)?;
        let id = u32::from_le_bytes(*id);
        let key = [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| key.id == id);
        let key = key.ok_or(OpenError::UnknownKey)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = match key.cipher.open_in_place(nonce, Aad::from(aad), &mut plain) {
            Ok(opened) => opened.len(),
            Err(_) => return Err(OpenError::Forged),
        };
        plain.truncate(len);
        Ok(plain)
    }

    fn of(current: Key, previous: Option<Key>) -> KeyRing {
        KeyRing { current, previous, seal_count: AtomicU64::new(0) }
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let keys: Vec<_> = [Some(&self.current), self.previous.as_ref()].into_iter().flatten().collect();
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_LEN_MAX));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(keys.len()).expect("1 or 2").to_le_bytes());
        for key in keys {
            bytes.extend_from_slice(&key.id.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&key.made_s.to_le_bytes());
            bytes.extend_from_slice(key.secret.as_slice());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Magic and format stand where no later format moves them: a newer file is called newer, not damaged.
    fn decode(bytes: &[u8]) -> Result<KeyRing, &'static str> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin with SHRDKEYS")?;
        let (format, _) = rest.split_first_chunk().ok_or("it is too short")?;
        if u32::from_le_bytes(*format) != FORMAT {
            return Err("this version of shardwire does not know its format");
        }
        let (body, crc) = bytes.split_last_chunk().ok_or("it is too short")?;
        if crc32c::crc32c(body).to_le_bytes() != *crc {
            return Err("its checksum is wrong");
        }
        let keys = body.get(16..).ok_or("it is too short")?.chunks_exact(KEY_LEN);
        if !keys.remainder().is_empty() || body.get(12..16) != Some(&(keys.len() as u64).to_le_bytes()[..4]) {
            return Err("its length is wrong");
        }
        let mut keys = keys.map(Key::decode);
        let current = keys.next().ok_or("it holds no key")??;
        let previous = keys.next().transpose()?;
        if keys.next().is_some() || previous.as_ref().is_some_and(|previous| previous.id == current.id) {
            return Err("it holds keys that no ring has");
        }
        Ok(KeyRing::of(current, previous))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("id", &self.current.id)
            .field("made_s", &self.current.made_s)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn fresh(made_s: u64) -> Result<Key, Error> {
        let mut random = Zeroizing::new([0; 4 + SECRET_LEN]);
        getrandom::fill(random.as_mut_slice())
            .map_err(|error| Error::system("get random bytes")(io::Error::other(error.to_string())))?;
        let (id, secret) = random.split_first_chunk().expect("36 bytes");
        let id = u32::from_le_bytes(*id).max(1);
        Ok(Key::of(id, made_s, Zeroizing::new(secret.try_into().expect("32 bytes"))))
    }

    fn of(id: u32, made_s: u64, secret: Zeroizing<[u8; SECRET_LEN]>) -> Key {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, secret.as_slice()).expect("any 32 bytes are a key");
        Key { id, made_s, secret, cipher }
    }

    fn again(&self) -> Key {
        Key::of(self.id, self.made_s, self.secret.clone())
    }

    fn decode(bytes: &[u8]) -> Result<Key, &'static str> {
        let fields = |bytes: &[u8]| {
            let (id, rest) = bytes.split_first_chunk::<4>()?;
            let (zero, rest) = rest.split_first_chunk::<4>()?;
            let (made_s, secret) = rest.split_first_chunk::<8>()?;
            let id = u32::from_le_bytes(*id);
            let secret = Zeroizing::new(secret.try_into().ok()?);
            (id != 0 && *zero == [0; 4]).then(|| Key::of(id, u64::from_le_bytes(*made_s), secret))
        };
        fields(bytes).ok_or("it holds keys that no ring has")
    }
}

/// Why something was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// Sealed by a key that this ring never had, or has no more.
    UnknownKey,
    /// By none of these keys, or for another purpose, or changed on the way.
    Forged,
}

/// Where a ring lives, and how often its key changes.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    dir: PathBuf,
    name: &'static str,
    period: Duration,
}

impl KeyFile {
    /// The ring `name` of a data directory; a new key each `period`, which is at least a second.
    pub(crate) fn new(data_dir: &Path, name: &'static str, period: Duration) -> KeyFile {
        KeyFile { dir: data_dir.join(KEYS_DIR), name, period }
    }

    /// The ring as it was left, rotated if that is due; a new one if there is none.
    ///
    /// # Errors
    /// A file that is not as this process wrote it is refused, with what helps: damage is worth a look, and there may be a backup.
    /// Secrets that others could read are refused too.
    pub(crate) fn load(&self, now_s: u64) -> Result<Arc<KeyRing>, Error> {
        let path = self.path();
        let Some(bytes) = read_secret(&path)? else {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(Error::path(&self.dir, "make"))?;
            let parent = self.dir.parent().expect("it is in the data directory");
            File::open(parent).and_then(|dir| dir.sync_all()).map_err(Error::path(parent, "sync"))?;
            return self.write(KeyRing::fresh(now_s)?);
        };
        let ring = KeyRing::decode(&bytes).map_err(|reason| Error::Key {
            path: path.clone(),
            message: format!(
                "not a file of keys ({reason}): put it back from a backup, or remove it, and the gateway makes new keys; \
                 what the old ones sealed is void then ({})",
                self.name
            ),
        })?;
        if ring.is_from_the_future(now_s, self.period) {
            warn!(
                made_s = ring.current.made_s, now_s, path = %path.display(),
                "keys from the future: look at the clock; if it is right, remove the file, or they stay in use for long"
            );
        }
        let ring = Arc::new(ring);
        Ok(self.rotate_if_due(&ring, now_s)?.unwrap_or(ring))
    }

    /// The ring that comes after `ring`, if it is time for it. It is in the file when this returns.
    ///
    /// # Errors
    /// When it cannot be made or written; `ring` stays good.
    pub(crate) fn rotate_if_due(&self, ring: &KeyRing, now_s: u64) -> Result<Option<Arc<KeyRing>>, Error> {
        ring.is_due(now_s, self.period).then(|| self.write(ring.rotated(now_s)?)).transpose()
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    fn write(&self, ring: KeyRing) -> Result<Arc<KeyRing>, Error> {
        write_durably(&self.dir, self.name, &ring.encode())?;
        Ok(Arc::new(ring))
    }
}

/// The bytes of a file that only its owner may read; `None` when there is no such file.
fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::path(path, "read the keys")(error)),
    };
    let metadata = file.metadata().map_err(Error::path(path, "read the keys"))?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(Error::Key {
            path: path.to_owned(),
            message: format!(
                "others may read these secret keys (mode {:03o}): if nobody did, chmod 600 {path}; else remove the file, and the \
                 gateway makes new keys",
                metadata.mode() & 0o777,
                path = path.display()
            ),
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_LEN_MAX + 1));
    // No longer than that: what is too long is damaged, and need not come into memory.
    let read = file.by_ref().take(FILE_LEN_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(Error::path(path, "read the keys"))?;
    Ok(Some(bytes))
}

/// Inside the data directory.
const KEYS_DIR: &str = "keys";
const MAGIC: &[u8; 8] = b"SHRDKEYS";
const FORMAT: u32 = 1;
const SECRET_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// Before the ciphertext: key id and nonce.
const HEAD_LEN: usize = 4 + NONCE_LEN;
const KEY_LEN: usize = 16 + SECRET_LEN;
const FILE_LEN_MAX: usize = 16 + 2 * KEY_LEN + 4;
/// Seals by one key: from the first number on a new one is wanted, the second is never passed.
const SEAL_COUNT_DUE: u64 = 1 << 31;
const SEAL_COUNT_MAX: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(100);
    const AAD: &[u8] = b"a purpose";

    fn file(dir: &tempfile::TempDir) -> KeyFile {
        KeyFile::new(dir.path(), "tickets", PERIOD)
    }

    fn opened(ring: &KeyRing, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        ring.open(AAD, sealed).map(|plain| plain.to_vec())
    }

    fn refusal(result: Result<Arc<KeyRing>, Error>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn what_was_sealed_is_opened() {
        let ring = KeyRing::fresh(0).unwrap();
        for plain in [&b""[..], b"x", &[7; 5000]] {
            let sealed = ring.seal(AAD, plain).unwrap();
            assert_eq!(sealed.len(), plain.len() + 32);
            assert_eq!(opened(&ring, &sealed), Ok(plain.to_vec()));
        }
    }

    #[test]
    fn the_same_is_never_sealed_to_the_same_bytes() {
        let ring = KeyRing::fresh(0).unwrap();
        assert_ne!(ring.seal(AAD, b"x"), ring.seal(AAD, b"x"));
    }

    #[test]
    fn another_purpose_or_ring_opens_nothing() {
        let (ring, other) = (KeyRing::fresh(0).unwrap(), KeyRing::fresh(0).unwrap());
        let sealed = ring.seal(AAD, b"secret").unwrap();
        assert_eq!(ring.open(b"another", &sealed).err(), Some(OpenError::Forged));
        assert_eq!(opened(&other, &sealed), Err(OpenError::UnknownKey));
    }

    #[test]
    fn a_changed_byte_or_a_cut_anywhere_is_noticed() {
        let ring = KeyRing::fresh(0).unwrap();
        let sealed = ring.seal(AAD, b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[index] ^= 1;
            assert!(opened(&ring, &bad).is_err(), "byte {index}");
            assert!(opened(&ring, &sealed[..index]).is_err(), "{index} bytes");
        }
    }

    #[test]
    fn a_ring_keeps_the_key_before_and_no_older_one() {
        let first = KeyRing::fresh(0).unwrap();
        let sealed = first.seal(AAD, b"secret").unwrap();
        let second = first.rotated(100).unwrap();
        assert_eq!(opened(&second, &sealed), Ok(b"secret".to_vec()));
        assert_eq!(opened(&first, &second.seal(AAD, b"x").unwrap()), Err(OpenError::UnknownKey));
        let third = second.rotated(200).unwrap();
        assert_eq!(opened(&third, &sealed), Err(OpenError::UnknownKey));
    }

    #[test]
    fn a_key_is_due_when_it_is_old_and_not_because_the_clock_goes_back() {
        let ring = KeyRing::fresh(1000).unwrap();
        assert_eq!(
            [1000, 1099, 1100, 901, 900, 0].map(|now_s| ring.is_due(now_s, PERIOD)),
            [false, false, true, false, false, false]
        );
    }

    #[test]
    fn a_key_from_the_future_is_due_when_the_one_before_is_two_periods_old() {
        let ring = KeyRing::fresh(1000).unwrap().rotated(9000).unwrap();
        assert_eq!(
            [0, 1000, 1199, 1200, 8900, 8901, 9099, 9100].map(|now_s| ring.is_due(now_s, PERIOD)),
            [false, false, false, true, true, false, false, true]
        );
    }

    #[test]
    fn a_start_with_a_wrong_clock_voids_nothing() {
        for wrong_s in [0, 1_000_000] {
            let dir = tempfile::tempdir().unwrap();
            let first = file(&dir).load(1000).unwrap();
            let old = first.seal(AAD, b"old").unwrap();
            let new = file(&dir).load(1100).unwrap().seal(AAD, b"new").unwrap();
            let wrong = file(&dir).load(wrong_s).unwrap().seal(AAD, b"wrong").unwrap();
            let found = file(&dir).load(1150).unwrap();
            assert_eq!(opened(&found, &new), Ok(b"new".to_vec()), "{wrong_s}");
            assert_eq!(opened(&found, &wrong), Ok(b"wrong".to_vec()), "{wrong_s}");
            // A clock far ahead makes the oldest key go too early, as it must for whoever only waits; never the one in use.
            assert_eq!(opened(&found, &old).is_ok(), wrong_s == 0);
        }
    }

    #[test]
    fn a_key_is_due_before_it_has_sealed_all_that_it_may_and_then_seals_nothing() {
        let ring = KeyRing::fresh(0).unwrap();
        ring.seal_count.store(SEAL_COUNT_DUE - 1, Ordering::Relaxed);
        assert!(!ring.is_due(0, PERIOD));
        assert!(ring.seal(AAD, b"x").is_some() && ring.is_due(0, PERIOD));
        ring.seal_count.store(SEAL_COUNT_MAX - 1, Ordering::Relaxed);
        assert!(ring.seal(AAD, b"x").is_some());
        assert!(ring.seal(AAD, b"x").is_none());
    }

    #[test]
    fn a_restart_finds_the_same_keys() {
        let dir = tempfile::tempdir().unwrap();
        let ring = file(&dir).load(0).unwrap();
        let old = ring.seal(AAD, b"old").unwrap();
        let ring = file(&dir).rotate_if_due(&ring, 100).unwrap().expect("it is due");
        let new = ring.seal(AAD, b"new").unwrap();
        let found = file(&dir).load(150).unwrap();
        assert_eq!(opened(&found, &old), Ok(b"old".to_vec()));
        assert_eq!(opened(&found, &new), Ok(b"new".to_vec()));
    }

    #[test]
    fn what_is_due_at_a_start_is_done_then_and_written() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = file(&dir).load(0).unwrap().seal(AAD, b"x").unwrap();
        let ring = file(&dir).load(100).unwrap();
        assert_eq!(ring.current.made_s, 100);
        assert_eq!(file(&dir).load(150).unwrap().current.id, ring.current.id);
        assert!(opened(&ring, &sealed).is_ok());
        assert!(opened(&file(&dir).load(200).unwrap(), &sealed).is_err());
    }

    #[test]
    fn the_file_is_for_its_owner_only_and_refused_when_it_was_not() {
        let dir = tempfile::tempdir().unwrap();
        file(&dir).load(0).unwrap();
        let path = file(&dir).path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o604, 0o640, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let message = refusal(file(&dir).load(0));
            assert!(message.contains("chmod 600") && message.contains("keys/tickets"), "{message}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let ring = file(&dir).load(0).unwrap();
        file(&dir).rotate_if_due(&ring, 100).unwrap();
        let path = file(&dir).path();
        let good = fs::read(&path).unwrap();
        let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
        bad.extend((0..good.len() * 8).map(|bit| {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        }));
        bad.push([good.as_slice(), b"\n"].concat());
        for bytes in bad {
            fs::write(&path, &bytes).unwrap();
            let message = refusal(file(&dir).load(100));
            assert!(message.contains("backup"), "{message}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn a_newer_format_is_told_as_that() {
        let dir = tempfile::tempdir().unwrap();
        file(&dir).load(0).unwrap();
        let path = file(&dir).path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = 9;
        fs::write(&path, &bytes).unwrap();
        let message = refusal(file(&dir).load(0));
        assert!(message.contains("version"), "{message}");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(file(&dir).path()).unwrap();
        let message = refusal(file(&dir).load(0));
        assert!(message.contains("keys/tickets"), "{message}");
    }

    #[test]
    fn a_ring_that_cannot_be_written_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let ring = file(&dir).load(0).unwrap();
        fs::create_dir(dir.path().join("keys/tickets.tmp")).unwrap();
        assert!(file(&dir).rotate_if_due(&ring, 100).is_err());
        assert_eq!(file(&dir).load(50).unwrap().current.id, ring.current.id);
    }

    #[test]
    fn no_secret_is_in_what_is_printed() {
        let ring = KeyRing::fresh(5).unwrap();
        let text = format!("{ring:?}");
        assert_eq!(text, format!("KeyRing {{ id: {}, made_s: 5, .. }}", ring.current.id));
    }
}
