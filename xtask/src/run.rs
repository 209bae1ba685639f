//! Runs programs and says which one failed.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _, stdout},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{root, tally::Tally};

/// The cargo that runs this program, in the project's top folder, reading nothing from the terminal.
pub(crate) fn cargo() -> Program {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` set for this program is not meant for the packages that the next cargo builds.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if let Ok(root) = root() {
        command.current_dir(root);
    }
    command.stdin(Stdio::null());
    Program(command)
}

/// Whether `name --version` can be run.
pub(crate) fn is_installed(name: &str, args: &[&str]) -> bool {
    Command::new(name)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A program to run.
pub(crate) struct Program(Command);

impl Program {
    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Program {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Program {
        self.0.env(name, value);
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not exit with 0.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self.0.status().with_context(|| format!("starting {}", self.name()))?;
        ensure!(status.success(), "{} failed ({status})", self.name());
        Ok(())
    }

    /// Runs it to its end, passes on what it prints, and counts the tests it reports. The count is right even if it failed.
    ///
    /// # Errors
    /// When it cannot be started or read.
    pub(crate) fn run_tests(mut self) -> Result<(Tally, Result<()>)> {
        let name = self.name();
        let mut child = self.0.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {name}"))?;
        let mut output = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let (mut tally, mut line) = (Tally::default(), Vec::new());
        while output.read_until(b'\n', &mut line)? > 0 {
            stdout().lock().write_all(&line)?;
            tally.read(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        let status = child.wait().with_context(|| format!("waiting for {name}"))?;
        let end = if status.success() { Ok(()) } else { Err(anyhow::anyhow!("{name} failed ({status})")) };
        Ok((tally, end))
    }

    fn name(&self) -> String {
        let args = self.0.get_args().map(|arg| arg.to_string_lossy());
        let name = std::iter::once("cargo".into()).chain(args).collect::<Vec<_>>();
        format!("`{}`", name.join(" "))
    }
}
