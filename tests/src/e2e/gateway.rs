//! A gateway of the test's own, on a port of its own, with a data directory of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Keys, LIMIT, Process, shardwire_bin};

/// How a gateway is started.
#[derive(Debug, Clone)]
pub struct Setup {
    folder: Arc<TempDir>,
    data_dir: PathBuf,
    shards: Option<u16>,
    config: String,
    args: Vec<String>,
    wrapper: Vec<String>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup::new()
    }
}

impl Setup {
    /// Two shards, a fresh data directory, a key of its own (`--dev`), a port of its own.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new() -> Setup {
        let folder = tempfile::tempdir().expect("a temporary directory");
        Setup {
            data_dir: folder.path().join("data"),
            folder: Arc::new(folder),
            shards: Some(2),
            config: String::new(),
            args: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// So many shards; `None` leaves out the flag.
    #[must_use]
    pub fn shards(mut self, shards: Option<u16>) -> Setup {
        self.shards = shards;
        self
    }

    /// A line for the configuration file.
    #[must_use]
    pub fn config(mut self, line: &str) -> Setup {
        self.config.push_str(line);
        self.config.push('\n');
        self
    }

    /// A further flag.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Setup {
        self.args.push(arg.to_owned());
        self
    }

    /// Runs it under another program, which is given the command line behind these arguments.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Setup {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Keeps the data elsewhere.
    #[must_use]
    pub fn data_dir_at(mut self, path: &Path) -> Setup {
        self.data_dir = path.to_owned();
        self
    }

    /// Where the gateway keeps its data; it need not exist yet.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// The command line, not yet started.
    ///
    /// # Panics
    /// When the configuration file cannot be written.
    pub fn command(&self) -> Command {
        let config = self.folder.path().join("shardwire.toml");
        fs::write(&config, &self.config).expect("the temporary directory can be written");
        let mut command = match self.wrapper.split_first() {
            None => Command::new(shardwire_bin()),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(shardwire_bin());
                command
            }
        };
        command.args(["serve", "--dev", "--config"]).arg(config);
        command.arg("--data-dir").arg(self.data_dir());
        if let Some(shards) = self.shards {
            command.arg("--shards").arg(shards.to_string());
        }
        for flag in ["--listen", "--admin-listen"] {
            if !self.args.iter().any(|arg| arg == flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        command.args(&self.args);
        command
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&self) -> Gateway {
        let process = Process::start(self.command());
        let line = process.line(LIMIT).unwrap_or_else(|| panic!("it ended instead of serving:\n{}", process.stderr()));
        let (tcp, tls, shards) = ready(&line).unwrap_or_else(|| panic!("not a ready line: {line:?}"));
        Gateway { process, setup: self.clone(), tcp, tls, shards }
    }

    /// Starts it and expects that it refuses to serve: a status other than 0, nothing on stdout. Gives what it said on stderr.
    ///
    /// # Panics
    /// When it serves, or ends well.
    pub fn start_refused(&self) -> String {
        let mut process = Process::start(self.command());
        if let Some(line) = process.line(LIMIT) {
            panic!("it should have refused, but said {line:?}");
        }
        let status = process.wait(LIMIT);
        assert!(status.code().is_some_and(|code| code != 0), "it should have refused, but ended with {status}");
        process.stderr()
    }
}

/// `ready tcp=ADDR tls=ADDR shards=N`, with `-` for what is off.
fn ready(line: &str) -> Option<(Option<SocketAddr>, Option<SocketAddr>, u16)> {
    let fields = line.strip_prefix("ready ")?;
    let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let address = |text: &str| if text == "-" { Some(None) } else { text.parse().ok().map(Some) };
    Some((address(field("tcp")?)?, address(field("tls").unwrap_or("-"))?, field("shards")?.parse().ok()?))
}

/// A gateway that serves. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    setup: Setup,
    tcp: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    shards: u16,
}

impl Gateway {
    /// One with the defaults of [`Setup::new`].
    pub fn start() -> Gateway {
        Setup::new().start()
    }

    /// Where it listens for plain TCP.
    ///
    /// # Panics
    /// When it does not.
    pub fn addr(&self) -> SocketAddr {
        self.tcp.expect("it listens for plain TCP")
    }

    /// Where it listens for TLS.
    ///
    /// # Panics
    /// When it does not.
    pub fn tls_addr(&self) -> SocketAddr {
        self.tls.expect("it listens for TLS")
    }

    /// As its ready line says.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.setup.data_dir()
    }

    /// What signs tokens for it.
    pub fn keys(&self) -> Keys {
        Keys::of(&self.data_dir())
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it with SIGKILL, in the middle of whatever it does, and starts it again on the same data.
    #[must_use]
    pub fn kill_and_restart(mut self) -> Gateway {
        self.kill();
        self.setup.start()
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait(LIMIT);
    }

    /// Starts another one with the same setup; this one must have ended.
    #[must_use]
    pub fn start_again(&self) -> Gateway {
        self.setup.start()
    }

    /// Sends SIGTERM.
    pub fn ask_to_end(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end, or said more than its ready line on stdout.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = self.process.wait(limit);
        let further = self.process.line(LIMIT);
        assert_eq!(further, None, "one line on stdout is all there is");
        status
    }
}

/// Copies a data directory, for tests that spoil it.
///
/// # Panics
/// When it cannot.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let entry = entry.expect("its entries can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
