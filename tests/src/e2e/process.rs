//! A program that runs beside the test, is read from, and never outlives it.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::until;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

/// The gateway's program, as `cargo xtask test` hands it over.
///
/// # Panics
/// When nothing was handed over.
pub fn shardwire_bin() -> PathBuf {
    bin("SHARDWIRE_BIN", "gateway", "shardwire")
}

/// The load generator's program, as `cargo xtask test` hands it over.
///
/// # Panics
/// When nothing was handed over.
pub fn loadgen_bin() -> PathBuf {
    bin("LOADGEN_BIN", "loadgen", "loadgen")
}

fn bin(variable: &str, package: &str, program: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| {
        panic!(
            "{variable} is not set: run `cargo xtask test`, \
             or `cargo build --release -p {package}` and {variable}=$PWD/target/release/{program}"
        )
    });
    let path = PathBuf::from(path);
    assert!(path.is_file(), "{variable} names {}, which is not there", path.display());
    path
}

/// A running program. Dropping it kills it; when the test has failed, what it said on stderr is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_ended: mpsc::Receiver<()>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`, with its three streams in the test's hands.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: Command) -> Process {
        let (ended, stderr_ended) = mpsc::channel();
        let mut process = Process::start_with(command, Stdio::piped(), stderr_ended);
        let mut errors = process.child.stderr.take().expect("stderr is piped");
        let kept = Arc::clone(&process.stderr);
        thread::spawn(move || {
            // Dropped at the end of the stream: that is what is waited for.
            let _ended: mpsc::Sender<()> = ended;
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = errors.read(&mut chunk) {
                let mut kept = kept.lock().expect("nobody panics while holding it");
                kept.extend_from_slice(&chunk[..len]);
            }
        });
        process
    }

    /// Starts `command`, whose stderr goes elsewhere.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with_stderr(command: Command, stderr: Stdio) -> Process {
        // Its sender is gone already: nothing is waited for.
        Process::start_with(command, stderr, mpsc::channel().1)
    }

    fn start_with(mut command: Command, stderr: Stdio, stderr_ended: mpsc::Receiver<()>) -> Process {
        let name = command.get_args().fold(command.get_program().to_owned(), |mut line, arg| {
            line.push(OsString::from(" "));
            line.push(arg);
            line
        });
        let name = name.to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Process { name, child, lines, stderr: Arc::default(), stderr_ended, status: None }
    }

    /// The next line on stdout, or `None` once stdout is closed.
    ///
    /// # Panics
    /// When none comes within `limit`.
    pub fn line(&self, limit: Duration) -> Option<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("{}: no line on stdout within {limit:?}", self.name)
            }
        }
    }

    /// The first line on stdout that `is_wanted`, whatever comes before.
    ///
    /// # Panics
    /// When none comes within `limit`, or stdout is closed first.
    pub fn line_where(&self, limit: Duration, is_wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.line(left) {
                Some(line) if is_wanted(&line) => return line,
                Some(_) => {}
                None => panic!("{}: stdout closed before the line came", self.name),
            }
        }
    }

    /// Types a line.
    ///
    /// # Panics
    /// When the program does not read.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Ends its input.
    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Sends a signal. A program that has ended already is left alone.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            // It is our child and not reaped yet, so the number is its own. It may have ended: then there is nothing to do.
            let _ = kill_process(self.pid(), signal);
        }
    }

    /// Waits for its end, and for the end of what it says.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).expect("the kernel has pidfds");
        let timeout = Timespec::try_from(limit).expect("a limit is short");
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        let ended = poll(&mut fds, Some(&timeout)).expect("a pidfd can be polled");
        assert!(ended == 1, "{}: still runs after {limit:?}", self.name);
        let status = self.child.wait().expect("a child can be waited for");
        self.status = Some(status);
        // All it said is read before anybody asks for it.
        let end = self.stderr_ended.recv_timeout(limit);
        assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected), "{}: its stderr stays open", self.name);
        status
    }

    /// What it said on stderr so far.
    pub fn stderr(&self) -> String {
        let bytes = self.stderr.lock().expect("nobody panics while holding it");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has said `text` on stderr.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn until_stderr_has(&self, text: &str) {
        until(&format!("{:?} on stderr of {}", text, self.name), || self.stderr().contains(text));
    }

    /// Memory it holds, in KiB.
    ///
    /// # Panics
    /// When it has ended.
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .expect("a living process has a VmRSS")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether each of its threads is being traced.
    ///
    /// # Panics
    /// When it has ended.
    pub fn is_traced(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        tasks.map_while(Result::ok).all(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
        })
    }

    /// Ends the program that traces it; it goes on untraced.
    ///
    /// # Panics
    /// When it is not traced.
    pub fn end_tracing(&self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        let tracer = tracer.and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
        let tracer = tracer.unwrap_or_else(|| panic!("{} is not traced", self.name));
        kill_process(tracer, Signal::KILL).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// How many descriptors it has open.
    ///
    /// # Panics
    /// When it has ended.
    pub fn descriptor_count(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
            .count()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Both fail only if it is gone already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("---- {}\n{}", self.name, self.stderr());
        }
    }
}
