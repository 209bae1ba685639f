//! Tells the load generator which commit it is built from, where that is known.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

fn main() {
    // It changes with every commit and every checkout.
    println!("cargo::rerun-if-changed=../.git/logs/HEAD");
    println!("cargo::rerun-if-changed=src");
    // A copy without its own history may lie inside somebody else's.
    let is_own = git(&["rev-parse", "--show-toplevel"])
        .and_then(|top| Some(Path::new(&top).canonicalize().ok()? == Path::new("..").canonicalize().ok()?));
    if is_own != Some(true) {
        return;
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        let is_clean =
            git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty());
        println!("cargo::rustc-env=LOADGEN_COMMIT={commit}{}", if is_clean { "" } else { "+" });
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
