//! The log of a gateway that serves: structured events, on standard error.
//!
//! Nobody who says something waits for whoever reads it. A line goes into a queue with [`LINES_MAX`] places, and a thread of its own
//! writes it. Where there is no place, the line is dropped and counted, and the number is told as soon as a line gets through again.
//! So a pipe that nobody empties costs its lines, and never a shard's time.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber, error, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};
use crate::error::Error;

/// From here on events are written to standard error, and a panic is one of them, the last.
///
/// # Errors
/// When the thread that writes cannot be started.
pub(crate) fn start(config: &LogConfig) -> Result<(), Error> {
    let (log, lines) = Log::new(LINES_MAX);
    let dropped = Arc::clone(&log.dropped);
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(&lines, &dropped, io::stderr()))
        .map_err(Error::system("start the thread that writes the log"))?;
    let filter = Ours::up_to(config.level);
    subscriber(config.format, filter.clone(), log.clone()).init();
    assert!(FILTER.set(filter).is_ok(), "the log is started once");
    assert!(LOG.set(log).is_ok(), "the log is started once");
    std::panic::set_hook(Box::new(end_on_panic));
    Ok(())
}

/// Whether [`start`] was called: before, and in commands that do not serve, people are told in plain words.
pub(crate) fn is_running() -> bool {
    LOG.get().is_some()
}

/// From here on what is less important than `level` is not written.
pub(crate) fn set_level(level: Level) {
    if let Some(filter) = FILTER.get() {
        filter.set(level);
        // What each place that speaks was told before is asked again.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// How many lines were dropped since the start.
pub(crate) fn dropped_lines() -> u64 {
    LOG.get().map_or(0, |log| log.dropped.load(Ordering::Relaxed))
}

/// Waits until all that was said is written, for [`FLUSH_TIMEOUT`] at most. For the end of the process.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(Instant::now() + FLUSH_TIMEOUT);
    }
}

/// The way into the queue.
#[derive(Clone)]
struct Log {
    queue: Sender<Line>,
    dropped: Arc<AtomicU64>,
}

/// What goes to the thread that writes.
enum Line {
    Text(Vec<u8>),
    /// Drop this once everything before it is written.
    Flush(Sender<()>),
}

impl Log {
    fn new(lines_max: usize) -> (Log, Receiver<Line>) {
        let (queue, lines) = bounded(lines_max);
        (Log { queue, dropped: Arc::default() }, lines)
    }

    fn flush(&self, deadline: Instant) {
        let (pending, is_done) = bounded(0);
        if self.queue.send_deadline(Line::Flush(pending), deadline).is_ok() {
            // Done or late: there is nothing else to be done about it.
            let _ = is_done.recv_deadline(deadline);
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Log;

    fn make_writer(&'a self) -> &'a Log {
        self
    }
}

/// Takes one line at a time, whole: that is how the formatter writes.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn subscriber(format: LogFormat, filter: Ours, log: Log) -> impl Subscriber + Send + Sync + use<> {
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(log);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter))
}

/// Lets our own events pass, up to a level that may change. What a library says about itself is for those who work on the gateway,
/// and nobody looked through it for names and payloads.
///
/// A level of our own and not the `reload` layer: that one has a lock, and shards come by here.
#[derive(Debug, Clone)]
struct Ours(Arc<AtomicUsize>);

impl Ours {
    fn up_to(level: Level) -> Ours {
        let filter = Ours(Arc::default());
        filter.set(level);
        filter
    }

    fn set(&self, level: Level) {
        let index = LEVELS.iter().position(|other| *other == level).expect("there are five levels");
        self.0.store(index, Ordering::Relaxed);
    }

    fn level(&self) -> Level {
        *LEVELS.get(self.0.load(Ordering::Relaxed)).expect("only indices are stored")
    }

    fn lets_pass(&self, event: &Metadata<'_>) -> bool {
        *event.level() <= self.level() && event.target().starts_with(env!("CARGO_CRATE_NAME"))
    }
}

impl<S> Filter<S> for Ours {
    fn enabled(&self, event: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.lets_pass(event)
    }

    fn callsite_enabled(&self, event: &'static Metadata<'static>) -> Interest {
        if self.lets_pass(event) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level().into())
    }
}

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// The thread that writes, and waits as long as it takes.
fn write_lines(lines: &Receiver<Line>, dropped: &AtomicU64, mut output: impl Write) {
    let mut told = 0;
    for line in lines {
        match line {
            Line::Flush(pending) => drop(pending),
            Line::Text(text) if output.write_all(&text).is_err() => {
                // Nobody is there any more, or the disk is full. It may be otherwise with the next line.
                dropped.fetch_add(1, Ordering::Relaxed);
            }
            Line::Text(_) => {
                let dropped = dropped.load(Ordering::Relaxed);
                if dropped != told {
                    told = dropped;
                    // If this finds no place either, the next line that gets through tells of it.
                    warn!(
                        dropped,
                        "lines of this log were dropped, so many since the start: standard error is not read fast enough"
                    );
                }
            }
        }
    }
}

/// What is our own mistake must not go on with half of the shards.
fn end_on_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    error!(place, thread = thread.name(), backtrace, "a mistake of the gateway itself, which ends: {message}");
    flush();
    std::process::abort();
}

static LOG: OnceLock<Log> = OnceLock::new();
static FILTER: OnceLock<Ours> = OnceLock::new();

/// Lines that wait at most: some MiB.
const LINES_MAX: usize = 8192;
/// How long the end of the process waits for somebody who does not read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// What `speak` logs, as it would be written.
#[cfg(test)]
pub(crate) fn heard(level: tracing::Level, format: LogFormat, speak: impl FnOnce()) -> String {
    let (log, lines) = Log::new(100);
    tracing::subscriber::with_default(subscriber(format, Ours::up_to(level), log), speak);
    let mut output = Vec::new();
    write_lines(&lines, &AtomicU64::new(0), &mut output);
    String::from_utf8(output).unwrap()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use tracing::{debug, info};

    use super::*;

    /// Lets one line through for each permit.
    struct Gate(Receiver<()>, Sender<String>);

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let _ = self.1.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_has_level_message_and_fields() {
        let text = heard(Level::INFO, LogFormat::Text, || warn!(shard = 3, conn = 17, "look at this"));
        assert!(text.ends_with("  WARN look at this shard=3 conn=17\n"), "{text}");
    }

    #[test]
    fn json_is_an_object_a_line() {
        let text = heard(Level::INFO, LogFormat::Json, || {
            info!(shard = 3, "one\ntwo");
            info!("three");
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["level"], &lines[0]["message"], &lines[0]["shard"]),
            (&"INFO".into(), &"one\ntwo".into(), &3.into())
        );
        assert!(lines[1]["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn what_is_below_the_level_or_not_ours_is_not_written() {
        let text = heard(Level::INFO, LogFormat::Text, || {
            debug!("below");
            tracing::error!(target: "somebody_else", "not ours");
        });
        assert_eq!(text, "");
    }

    #[test]
    fn another_level_counts_from_then_on_and_libraries_never_pass() {
        let (log, lines) = Log::new(100);
        let filter = Ours::up_to(Level::WARN);
        tracing::subscriber::with_default(subscriber(LogFormat::Text, filter.clone(), log), || {
            for level in [Level::WARN, Level::INFO, Level::WARN] {
                filter.set(level);
                tracing::callsite::rebuild_interest_cache();
                info!(up_to = %level, "said");
                error!(target: "library", "said by another");
            }
        });
        let text: Vec<_> = lines
            .try_iter()
            .map(|line| match line {
                Line::Text(text) => String::from_utf8(text).unwrap(),
                Line::Flush(_) => String::new(),
            })
            .collect();
        assert_eq!(text.len(), 1, "{text:?}");
        assert!(text[0].contains("up_to=INFO"), "{text:?}");
    }

    /// Set for the process of its own that logs and panics.
    const CHILD: &str = "SHARDWIRE_TEST_PANICS";

    #[test]
    fn a_panic_is_the_last_line_and_ends_the_process_even_if_nobody_reads() {
        if std::env::var_os(CHILD).is_some() {
            start(&LogConfig { level: Level::INFO, format: LogFormat::Json }).unwrap();
            info!("before");
            panic!("planted");
        }
        let child = |stderr: Stdio| {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "telemetry::tests::a_panic_is_the_last_line_and_ends_the_process_even_if_nobody_reads",
                ])
                .arg("--nocapture")
                .env(CHILD, "1")
                .stdout(Stdio::null())
                .stderr(stderr)
                .spawn()
                .unwrap()
        };
        let output = child(Stdio::piped()).wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(6), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1]["message"].as_str().unwrap().ends_with("planted"), "{text}");
        assert!(lines[1]["place"].as_str().unwrap().contains("telemetry.rs"), "{text}");

        let (_reader, mut writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while writer.write(&[b'.'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        assert_eq!(child(writer.into()).wait().unwrap().signal(), Some(6));
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_was_dropped_is_told() {
        let (log, lines) = Log::new(2);
        let (dropped, dispatch_log) = (Arc::clone(&log.dropped), log.clone());
        let (permits, gate) = bounded(100);
        let (sender, written) = bounded(100);
        let filter = Ours::up_to(Level::INFO);
        let dispatch = tracing::Dispatch::new(subscriber(LogFormat::Text, filter, dispatch_log));
        let counted = Arc::clone(&dropped);
        let theirs = dispatch.clone();
        let writer = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&theirs, || write_lines(&lines, &counted, Gate(gate, sender)));
        });
        // The thread holds one at most, the queue two: of ten, at least seven find no place.
        tracing::dispatcher::with_default(&dispatch, || (0..10).for_each(|n| info!(n, "said")));
        assert!((7..=8).contains(&dropped.load(Ordering::Relaxed)));
        log.flush(Instant::now());
        (0..10).for_each(|_| permits.send(()).unwrap());
        // Told behind what was said before it, and so behind the first of these.
        (0..2).for_each(|_| log.flush(Instant::now() + Duration::from_secs(60)));
        let count = dropped.load(Ordering::Relaxed);
        assert!(written.try_iter().any(|line| line.contains(" WARN ") && line.contains(&format!("dropped={count}"))));
        // The thread itself holds a way into the queue, as in the gateway, and so does not end.
        drop(writer);
    }
}
