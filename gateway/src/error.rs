//! Why the gateway cannot start or go on: each message names the cause and what helps.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What stops the gateway. All of these are for the operator; none is a peer's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A path that could not be read, written or made.
    #[error("{path}: cannot {what}: {cause}")]
    Path {
        /// Where.
        path: PathBuf,
        /// Which operation, as a verb.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// What the operator set cannot be used: all of it that cannot, a line each.
    #[error("{0}")]
    Config(crate::config::Mistakes),
    /// A value that cannot be used.
    #[error("{0}")]
    Setting(String),
    /// The data directory holds something else than a store this version can use.
    #[error("{path}: {cause}")]
    Store {
        /// The data directory.
        path: PathBuf,
        /// What is wrong with it.
        cause: crate::store::StoreError,
    },
    /// The accounts cannot be used.
    #[error("{path}: {cause}")]
    Accounts {
        /// Their file.
        path: PathBuf,
        /// What is wrong with it.
        cause: crate::accounts::AccountStoreError,
    },
    /// Which logins are void cannot be told.
    #[error("{0}; nobody is served, since logins that are void would be taken")]
    Voids(String),
    /// A key file that holds no usable key.
    #[error("{path}: {message}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what helps.
        message: String,
    },
    /// A certificate, or its key, that clients would not take.
    #[error("{path}: {message}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what helps.
        message: String,
    },
    /// The address is taken.
    #[error(
        "cannot listen on {0}: the address is in use; another gateway or another program holds that port: \
         stop it, or choose another port with --listen"
    )]
    AddressInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The kernel gives no ring.
    #[error("{0}")]
    NoRing(String),
    /// Another resource of the machine.
    #[error("cannot {what}: {cause}")]
    System {
        /// Which operation, as a verb.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// A shard's store cannot be used.
    #[error("shard {shard}: {reason}")]
    Unusable {
        /// Which shard.
        shard: u16,
        /// What its log found.
        reason: String,
    },
    /// A drain that did not end in time. Nothing acknowledged is lost by that.
    #[error("the drain did not end in time: {0}. What was acknowledged is safe")]
    DrainTimeout(String),
}

impl Error {
    /// Names the path in an error of the file system.
    pub(crate) fn path<'a>(path: &'a Path, what: &'static str) -> impl FnOnce(io::Error) -> Error + 'a {
        move |cause| Error::Path { path: path.to_owned(), what, cause }
    }

    /// Names the operation in an error of the system.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |cause| Error::System { what, cause }
    }
}
