//! Rules about the source itself: the direction of dependencies, what the deciding crates may not touch, lengths, unsafe code,
//! and documents that must agree with the code. Lists in here change on purpose, never by the way.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use wire::{Code, frame_type};

/// All that these packages depend on outside of tests. A further name here is a decision: why not fifty lines of ours?
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("wire", &["flatbuffers", "thiserror"]),
    ("storage", &["crc32c", "thiserror", "wire"]),
    ("gateway/core", &["siphasher", "storage", "thiserror", "wire"]),
];

/// Of our own packages, what the others may use.
const OWN_DEPENDENCIES: &[(&str, &[&str])] = &[
    ("gateway", &["gateway-core", "shardwire-sdk", "storage", "wire"]),
    ("sdk/rust", &["wire"]),
    ("loadgen", &["shardwire-sdk", "wire"]),
    ("xtask", &[]),
];

const OWN_PACKAGES: &[&str] =
    &["bench", "gateway", "gateway-core", "gateway-tests", "loadgen", "shardwire-sdk", "storage", "wire", "xtask"];

/// Sources that decide and never do: no clock, socket, file, thread, lock, runtime or randomness, and no map whose order is chance.
const DECIDING: &[&str] = &["wire/src", "storage/src", "gateway/core/src"];

const NOT_IN_DECIDING: &[&str] = &[
    "Instant",
    "SystemTime",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::sync",
    "std::thread",
    "thread_local!",
    "RandomState",
    "DefaultHasher",
    "HashMap::new",
    "HashSet::new",
    "getrandom",
    "monoio",
    "async fn",
    "println!",
    "eprintln!",
];

/// The only files with `unsafe` in them.
const UNSAFE_FILES: &[&str] = &[
    "gateway/src/cpu.rs",
    "gateway/src/reactor/ring.rs",
    "wire/src/generated.rs",
    "wire/tests/frames/hostile/generated.rs",
];

/// Roots of crates that hold, or contain, an unsafe file: they deny and let that module in. All others forbid.
const UNSAFE_ROOTS: &[&str] = &["gateway/src/lib.rs", "wire/src/lib.rs"];

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that are longer, with their lines. The list may only shrink, and so may the numbers.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

#[test]
fn deciding_packages_depend_on_nothing_but_the_list() {
    for (package, allowed) in DEPENDENCIES {
        let found = dependencies(package);
        let allowed = allowed.iter().map(ToString::to_string).collect();
        assert_eq!(found, allowed, "[dependencies] of {package}: edit DEPENDENCIES on purpose");
    }
}

#[test]
fn own_packages_depend_in_one_direction() {
    for (package, allowed) in OWN_DEPENDENCIES {
        let found: Vec<_> = dependencies(package)
            .into_iter()
            .filter(|name| OWN_PACKAGES.contains(&name.as_str()))
            .filter(|name| !allowed.contains(&name.as_str()))
            .collect();
        assert!(found.is_empty(), "{package} must not depend on {found:?}");
    }
}

#[test]
fn deciding_sources_touch_no_machine() {
    let mut violations = String::new();
    for file in sources().iter().filter(|file| is_in(file, DECIDING)) {
        for (number, line) in code_lines(file) {
            for word in NOT_IN_DECIDING {
                if line.contains(word) {
                    let _ = writeln!(violations, "{}:{number}: {word}", file.name);
                }
            }
        }
    }
    assert!(violations.is_empty(), "these belong into the shell:\n{violations}");
}

#[test]
fn hash_maps_are_never_iterated_where_decisions_are_made() {
    let mut violations = String::new();
    for file in sources().iter().filter(|file| is_in(file, DECIDING)) {
        for map in hash_map_names(file) {
            for (number, line) in code_lines(file) {
                let walks = [".iter", ".keys", ".values", ".into_iter", ".drain", ".retain", ".extract_if"];
                if walks.iter().any(|walk| line.contains(&format!("{map}{walk}")))
                    || line.trim_start().starts_with("for ") && line.contains(&format!("{map} {{"))
                {
                    let _ = writeln!(violations, "{}:{number}: walks `{map}`", file.name);
                }
            }
        }
    }
    assert!(violations.is_empty(), "the order of a hash map is chance:\n{violations}");
}

#[test]
fn files_are_short() {
    let long: Vec<_> = sources()
        .iter()
        .filter(|file| !file.name.ends_with("generated.rs"))
        .map(|file| (file.text.lines().count(), file.name.clone()))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(long.is_empty(), "split these, none is above {FILE_LINES_MAX} lines: {long:?}");
}

#[test]
fn functions_fit_a_screen() {
    let mut long = BTreeMap::new();
    for file in sources().iter().filter(|file| !file.name.ends_with("generated.rs")) {
        for (name, lines) in functions(&file.text) {
            if lines > FUNCTION_LINES_MAX {
                long.insert((file.name.clone(), name), lines);
            }
        }
    }
    let known: BTreeMap<_, _> =
        LONG_FUNCTIONS.iter().map(|(file, name, lines)| ((file.to_string(), name.to_string()), *lines)).collect();
    assert_eq!(
        long, known,
        "a function has at most {FUNCTION_LINES_MAX} lines; LONG_FUNCTIONS names the exceptions exactly, and only shrinks"
    );
}

#[test]
fn unsafe_code_is_in_the_named_files_only() {
    let mut violations = String::new();
    for file in sources() {
        let has_unsafe = code_lines(&file)
            .any(|(_, line)| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe"));
        if has_unsafe && !UNSAFE_FILES.contains(&file.name.as_str()) && file.name != "tests/tests/tidy.rs" {
            let _ = writeln!(violations, "{}: has `unsafe`", file.name);
        }
        let attribute = if UNSAFE_ROOTS.contains(&file.name.as_str()) {
            "#![deny(unsafe_code)]"
        } else {
            "#![forbid(unsafe_code)]"
        };
        if is_crate_root(&file.name) && !file.text.lines().any(|line| line == attribute) {
            let _ = writeln!(violations, "{}: lacks {attribute}", file.name);
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn nothing_is_left_unfinished() {
    let mut violations = String::new();
    for file in sources().iter().filter(|file| file.name != "tests/tests/tidy.rs") {
        for (number, line) in file.text.lines().enumerate() {
            for word in ["TODO", "FIXME", "XXX", "Under construction"] {
                if line.contains(word) {
                    let _ = writeln!(violations, "{}:{}: {word}", file.name, number + 1);
                }
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn every_code_and_frame_type_is_in_the_protocol() {
    let text = read("docs/protocol.md");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut missing = Vec::new();
    for code in Code::ALL {
        let number = code.number().to_string();
        let line_has_both = text.lines().any(|line| {
            let words: BTreeSet<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
            words.contains(number.as_str()) && line.contains(code.text().trim_end_matches('.'))
        });
        if !line_has_both {
            missing.push(format!("{number}: {}", code.text()));
        }
    }
    for (number, name) in frame_type::ALL {
        if !words.contains(name) || !text.contains(&format!("{number:#04x}")) {
            missing.push(format!("{number:#04x} {name}"));
        }
    }
    assert!(missing.is_empty(), "docs/protocol.md lacks {missing:#?}");
}

#[test]
fn the_readme_says_how_to_begin() {
    let text = read("README.md");
    for command in ["cargo run --release -- serve --dev", "cargo xtask test"] {
        assert!(text.contains(command), "README.md lacks `{command}`");
    }
}

#[test]
fn every_configuration_key_is_documented() {
    // As `gateway/src/config/key.rs` declares them: the first text of each declaration.
    let text = read("gateway/src/config/key.rs");
    let names: BTreeSet<_> =
        text.split(": Key =").skip(1).filter_map(|declaration| declaration.split('"').nth(1)).collect();
    assert!((20..=30).contains(&names.len()), "at most 30 keys, found {names:?}");
    let mut section = String::new();
    let mut documented = BTreeSet::new();
    for line in read("gateway/config.example.toml").lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ") {
            documented.insert(format!("{section}{name}"));
        }
    }
    let missing: Vec<_> = names.iter().filter(|name| !documented.contains(**name)).collect();
    assert!(missing.is_empty(), "gateway/config.example.toml lacks {missing:?}");
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let document = read("docs/operations.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<_> = rows.filter(|name| is_metric(name)).map(str::to_owned).collect();
    assert_eq!(metrics(), documented, "the metrics of the code, and those of docs/operations.md");
}

#[test]
fn alerts_and_the_dashboard_ask_for_metrics_that_exist() {
    let known = metrics();
    for name in ["deploy/prometheus-rules.yml", "deploy/grafana-dashboard.json"] {
        let text = read(name);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| is_metric(word));
        let asked: BTreeSet<_> = words.map(|word| word.trim_end_matches("_bucket").to_owned()).collect();
        assert!(asked.len() > 10, "{name} asks for {asked:?}");
        let unknown: Vec<_> = asked.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} asks for {unknown:?}");
    }
}

/// The names of all metrics in the code.
fn metrics() -> BTreeSet<String> {
    let code = read("gateway/src/admin/metrics.rs");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    code.split('"').filter(|name| is_metric(name)).map(str::to_owned).collect()
}

fn is_metric(word: &str) -> bool {
    word.starts_with("shardwire_") || word.starts_with("process_")
}

#[test]
fn every_warning_is_explained_to_operators() {
    let text = read("docs/operations.md");
    let mut missing = String::new();
    for file in sources().iter().filter(|file| file.name.starts_with("gateway/src/")) {
        let code: String = code_lines(file).map(|(_, line)| format!("{line}\n")).collect();
        for call in code.split("warn!(").skip(1).chain(code.split("error!(").skip(1)) {
            // The last text of the call, up to where it goes into details.
            let message = call.split(");").next().and_then(|call| call.split('"').nth_back(1)).unwrap_or_default();
            let gist = message.split(['{', ':', ';', ',']).next().unwrap_or_default().trim();
            if !text.contains(gist) {
                let _ = writeln!(missing, "{}: {gist}", file.name);
            }
        }
    }
    assert!(missing.is_empty(), "docs/operations.md does not say what to do about these:\n{missing}");
}

#[test]
fn documents_name_only_files_that_exist() {
    let mut missing = String::new();
    for document in documents() {
        for target in links(&document.text) {
            let path = document.path.parent().expect("a file has a folder").join(&target);
            if !path.exists() {
                let _ = writeln!(missing, "{}: links {target}", document.name);
            }
        }
        for path in document.text.split('`').skip(1).step_by(2) {
            let is_path = path.contains('/')
                && [".rs", ".md", ".toml", ".fbs"].iter().any(|end| path.ends_with(end))
                // From the root: a place on an operator's machine.
                && !path.starts_with('/')
                && !path.contains(['*', ' ', '<', '{']);
            if is_path && !root().join(path).exists() {
                let _ = writeln!(missing, "{}: names {path}", document.name);
            }
        }
    }
    assert!(missing.is_empty(), "\n{missing}");
}

#[test]
fn sources_name_only_documents_that_exist() {
    let mut missing = String::new();
    for file in sources() {
        for rest in file.text.split("docs/").skip(1) {
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"-_.".contains(c)).unwrap_or(rest.len());
            let name = rest[..end].trim_end_matches('.');
            if name.ends_with(".md") && !root().join("docs").join(name).exists() {
                let _ = writeln!(missing, "{}: names docs/{name}", file.name);
            }
        }
    }
    assert!(missing.is_empty(), "\n{missing}");
}

/// A file of the project.
struct File {
    /// From the top of the project.
    name: String,
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the project's folder")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sources() -> Vec<File> {
    files("rs")
}

fn documents() -> Vec<File> {
    files("md")
}

/// Every file with that ending, by name; built and fetched things are left out.
fn files(extension: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project can be read") {
            let entry = entry.expect("an entry of the project can be read");
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|end| end == extension) {
                let name = path.strip_prefix(root()).expect("it is inside").to_string_lossy().into_owned();
                let text = read(&name);
                found.push(File { name, path, text });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!found.is_empty(), "no .{extension} file was found");
    found
}

fn is_in(file: &File, folders: &[&str]) -> bool {
    folders.iter().any(|folder| Path::new(&file.name).starts_with(folder)) && !file.name.ends_with("generated.rs")
}

/// Lines up to the file's unit tests, without comments, with their numbers.
fn code_lines(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.text
        .lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

/// Names that the file declares with a hash map or set as their type.
fn hash_map_names(file: &File) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, line) in code_lines(file) {
        for kind in ["HashMap<", "HashSet<"] {
            if let Some((before, _)) = line.split_once(kind)
                && let Some((before, _)) = before.rsplit_once(": ")
            {
                let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
                names.insert(name.unwrap_or_default().to_owned());
            }
        }
    }
    names
}

/// The names in the `[dependencies]` of a package.
fn dependencies(package: &str) -> BTreeSet<String> {
    read(&format!("{package}/Cargo.toml"))
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(ToOwned::to_owned)
        .collect()
}

fn is_crate_root(name: &str) -> bool {
    name.ends_with("src/lib.rs") || name.ends_with("src/main.rs")
}

/// Every function with a body and its lines. It trusts rustfmt: a body closes at the column where its `fn` line begins.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = lines[first..]
            .iter()
            .position(|line| line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('}') || is_whole(rest)));
        found.push((name, end.map_or(1, |end| end + 1)));
    }
    found
}

/// A line that begins at the function's own column and ends it: a body of one line, or a signature without a body.
fn is_whole(line: &str) -> bool {
    !line.starts_with([' ', '/', '#']) && (line.ends_with('}') || line.ends_with(';'))
}

fn function_name(line: &str) -> Option<String> {
    let mut words = line.trim_start().split(' ');
    let mut word = words.next()?;
    while word.starts_with("pub") || ["const", "async", "unsafe", "extern", "\"C\"", "default"].contains(&word) {
        word = words.next()?;
    }
    let name = words.next().filter(|_| word == "fn")?;
    Some(name.split(['(', '<']).next()?.to_owned())
}

/// What a Markdown text links to inside the project, without the anchor.
fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter_map(|target| target.split('#').next().map(ToOwned::to_owned))
        .collect()
}

#[test]
fn the_scan_for_functions_counts_bodies() {
    let text = "fn a() {}\nfn b(\n    c: u8,\n) -> u8 {\n    c\n}\n    fn d();\n    pub(crate) const fn e() {\n    }\n";
    let expected = [("a", 1), ("b", 5), ("d", 1), ("e", 2)];
    let expected: Vec<_> = expected.map(|(name, lines)| (name.to_owned(), lines)).into();
    assert_eq!(functions(text), expected);
}
