//! Every metric: its name, what it is, and where its value comes from. `docs/operations.md` says what to do when one moves; a test
//! holds the two against each other.

use gateway_core::{CodeCounts, FrameCounts, LaneClass, LoginResult, Proof};
use wire::{Code, frame_type};

use super::Stage;
use super::health::{LOG_STATES, log_state_name};
use super::process::Process;
use super::text::{Kind, Samples, family};
use crate::mesh::CLASS_COUNT;
use crate::snapshot::Snapshot;

/// What is not a shard's.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    /// Where the gateway is in its life.
    pub(crate) stage: Stage,
    /// What the system says of it.
    pub(crate) process: Process,
    /// Connections on which nobody has logged in.
    pub(crate) guest_count: u64,
    /// How many connections there may be.
    pub(crate) connection_count_max: u64,
    /// Logins and account requests that wait for a password to be hashed.
    pub(crate) hashes_waiting: u64,
    /// Passwords being hashed.
    pub(crate) hashes_running: u64,
    /// When the certificate expires, in seconds since 1970; 0 without one.
    pub(crate) certificate_expiry_s: u64,
    /// Lines that the gateway's own log had no room for.
    pub(crate) dropped_lines: u64,
}

/// One metric.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    source: Source,
}

enum Source {
    /// Of the process.
    Whole(fn(&Whole, &mut Samples<'_>)),
    /// Of each shard that answered.
    Shard(fn(&Snapshot, &mut Samples<'_>)),
}

/// The answer to a scrape. A shard that gave no answer is down in `shardwire_shard_up` and missing elsewhere.
pub(crate) fn render(whole: &Whole, shards: &[Option<Box<Snapshot>>]) -> String {
    let mut out = String::with_capacity(shards.len() * SHARD_LEN);
    family(&mut out, UP.0, Kind::Gauge, UP.1, |samples| {
        for (shard, answer) in shards.iter().enumerate() {
            samples.of_shard(shard);
            samples.value(u64::from(answer.is_some()));
        }
    });
    for metric in METRICS {
        family(&mut out, metric.name, metric.kind, metric.help, |samples| match metric.source {
            Source::Whole(write) => write(whole, samples),
            Source::Shard(write) => {
                for (shard, snapshot) in
                    shards.iter().enumerate().filter_map(|(shard, answer)| Some((shard, answer.as_ref()?)))
                {
                    samples.of_shard(shard);
                    write(snapshot, samples);
                }
            }
        });
    }
    out
}

const UP: (&str, &str) = ("shardwire_shard_up", "Whether the shard answered this scrape in time.");

macro_rules! metrics {
    ($($source:ident $kind:ident $name:literal $help:literal |$from:ident, $samples:ident| $write:expr;)*) => {
        const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            help: $help,
            source: Source::$source(|$from, $samples| $write),
        },)*];
    };
}

metrics! {
    Whole Gauge "shardwire_build_info" "1, with the version that runs."
        |_whole, samples| samples.labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    Whole Gauge "shardwire_stage" "Where the gateway is in its life: 1 for the stage it is in."
        |whole, samples| samples.state("stage", Stage::NAMES, whole.stage.name());
    Whole Gauge "shardwire_guest_connections" "Connections on which nobody has logged in."
        |whole, samples| samples.value(whole.guest_count);
    Whole Gauge "shardwire_connections_max" "Connections that there may be, by the limit on open files; guests may be a quarter of them."
        |whole, samples| samples.value(whole.connection_count_max);
    Whole Gauge "shardwire_store_free_bytes" "Bytes that the disk under the data directory still has."
        |whole, samples| known(samples, whole.process.free_len);
    Whole Gauge "shardwire_store_disk_bytes" "Bytes that the disk under the data directory has in all."
        |whole, samples| known(samples, whole.process.disk_len);
    Whole Gauge "shardwire_certificate_expiry_timestamp_seconds" "When the certificate for TLS expires, since 1970; missing without TLS."
        |whole, samples| known(samples, Some(whole.certificate_expiry_s).filter(|at| *at > 0));
    Whole Gauge "shardwire_password_hashes_waiting" "Logins and account requests that wait for a password to be hashed."
        |whole, samples| samples.value(whole.hashes_waiting);
    Whole Gauge "shardwire_password_hashes_running" "Passwords being hashed, or about to be."
        |whole, samples| samples.value(whole.hashes_running);
    Whole Counter "shardwire_log_lines_dropped_total" "Lines of the gateway's own log that were not written, because nobody took those before."
        |whole, samples| samples.value(whole.dropped_lines);

    Whole Counter "process_cpu_seconds_total" "CPU time of the process, user and system."
        |whole, samples| known_fraction(samples, whole.process.cpu_s);
    Whole Gauge "process_resident_memory_bytes" "Memory of the process."
        |whole, samples| known(samples, whole.process.resident_len);
    Whole Gauge "process_open_fds" "Open file descriptors."
        |whole, samples| known(samples, whole.process.open_fds);
    Whole Gauge "process_max_fds" "The limit on open file descriptors."
        |whole, samples| known(samples, whole.process.max_fds);
    Whole Gauge "process_threads" "Threads of the process."
        |whole, samples| known(samples, whole.process.threads);
    Whole Gauge "process_start_time_seconds" "When the process started, since 1970."
        |whole, samples| known_fraction(samples, whole.process.start_s);

    Shard Gauge "shardwire_connections" "Connections now, those that are ending included."
        |shard, samples| {
            samples.labelled(&[("transport", "plain")], shard.net.plain_count);
            samples.labelled(&[("transport", "tls")], shard.net.tls_count);
        };
    Shard Counter "shardwire_connections_accepted_total" "Connections taken."
        |shard, samples| samples.value(shard.net.accepted);
    Shard Counter "shardwire_accept_failures_total" "Connections that could not be taken: no descriptor or no memory was left."
        |shard, samples| samples.value(shard.net.accept_failures);
    Shard Gauge "shardwire_sessions" "Sessions now, those included that are logging in."
        |shard, samples| samples.value(shard.population.sessions);
    Shard Gauge "shardwire_users" "Users known: those who have a device, and those for whom something was stored."
        |shard, samples| samples.value(shard.population.users);
    Shard Gauge "shardwire_devices" "Registered devices of all users."
        |shard, samples| samples.value(shard.population.devices);
    Shard Counter "shardwire_logins_total" "Credentials checked, by kind and by what became of them."
        |shard, samples| logins(shard, samples);
    Shard Counter "shardwire_sessions_closed_total" "Connections that were sent GOAWAY, by code."
        |shard, samples| codes(&shard.traffic.closed, Code::ALL, samples);
    Shard Counter "shardwire_frames_received_total" "Frames that came, by type."
        |shard, samples| frames(&shard.traffic.received, samples);
    Shard Counter "shardwire_frames_malformed_total" "Frames that came and were none, or were too long."
        |shard, samples| samples.value(shard.traffic.malformed);
    Shard Counter "shardwire_frames_sent_total" "Frames written, by type."
        |shard, samples| frames(&shard.traffic.sent, samples);

    Shard Counter "shardwire_messages_accepted_total" "Messages taken from their senders, whatever became of them; retries and ephemeral ones do not count."
        |shard, samples| samples.value(shard.core.accepted);
    Shard Counter "shardwire_messages_acknowledged_total" "SEND_ACKs given, also those given again."
        |shard, samples| samples.value(shard.core.acknowledged);
    Shard Counter "shardwire_messages_refused_total" "Messages refused, by code."
        |shard, samples| codes(&shard.core.refused, REFUSALS, samples);
    Shard Counter "shardwire_messages_duplicate_total" "Messages that came again and were known."
        |shard, samples| samples.value(shard.core.retries);
    Shard Counter "shardwire_messages_ephemeral_total" "Ephemeral messages taken."
        |shard, samples| samples.value(shard.core.ephemeral);
    Shard Counter "shardwire_messages_delivered_total" "Messages written to devices, each device counted."
        |shard, samples| samples.value(shard.core.delivered);
    Shard Counter "shardwire_messages_spilled_total" "Messages given to the store, because a device was away, behind or slow."
        |shard, samples| samples.value(shard.core.spilled);
    Shard Gauge "shardwire_messages_under_way" "Messages that have no outcome yet, at their senders' shard."
        |shard, samples| samples.value(shard.population.under_way);
    Shard Gauge "shardwire_sessions_stalled" "Sessions that are not read from until there is room for their message on the way to another shard."
        |shard, samples| samples.value(shard.population.stalled);
    Shard Histogram "shardwire_message_safe_seconds" "From taking a message at its recipient's shard until all his devices confirmed it or it was durable."
        |shard, samples| samples.histogram(&shard.core.safe);
    Shard Histogram "shardwire_message_acknowledge_seconds" "From taking a message at its sender's shard until it was acknowledged."
        |shard, samples| samples.histogram(&shard.core.acknowledge);

    Shard Histogram "shardwire_turn_seconds" "How long the turns of the shard's loop took that found something to do."
        |shard, samples| samples.histogram(&shard.net.turn);
    Shard Gauge "shardwire_outbox_bytes" "Bytes written to connections that their sockets have not taken."
        |shard, samples| samples.value(shard.net.outbox_len);
    Shard Gauge "shardwire_lane_batches" "Batches from other shards that wait on the lanes to this one, by class."
        |shard, samples| lanes(&shard.lanes.batch_count, samples);
    Shard Gauge "shardwire_lane_held_envelopes" "Envelopes of this shard that found their lane full and wait, by class."
        |shard, samples| lanes(&shard.lanes.held_count, samples);

    Shard Gauge "shardwire_store_state" "What the shard's log can do: 1 for the state it is in."
        |shard, samples| samples.state("state", LOG_STATES, log_state_name(shard.log_status.state));
    Shard Histogram "shardwire_store_commit_seconds" "From queueing a batch's first record until the batch was durable."
        |shard, samples| samples.histogram(&shard.log.commit);
    Shard Counter "shardwire_store_records_total" "Records that became durable."
        |shard, samples| samples.value(shard.log.records);
    Shard Counter "shardwire_store_written_bytes_total" "Bytes of the batches that became durable."
        |shard, samples| samples.value(shard.log.committed_len);
    Shard Counter "shardwire_store_commit_failures_total" "Batches whose write or sync failed."
        |shard, samples| samples.value(shard.log.commit_failures);
    Shard Counter "shardwire_store_read_failures_total" "Reads of stored messages that failed."
        |shard, samples| samples.value(shard.log.read_failures);
    Shard Gauge "shardwire_store_inboxes" "Users for whom something is stored."
        |shard, samples| samples.value(shard.log_status.inbox_count);
    Shard Gauge "shardwire_store_segments" "Segments of the shard's log that hold something."
        |shard, samples| samples.value(shard.log_status.segment_count);
    Shard Gauge "shardwire_store_spare_segments" "Segments that wait to be used again."
        |shard, samples| samples.value(shard.log_status.spare_count);
    Shard Gauge "shardwire_store_file_bytes" "Bytes of the files of both."
        |shard, samples| samples.value(shard.log_status.file_len);
    Shard Gauge "shardwire_store_used_bytes" "Bytes of the segments up to where they are written."
        |shard, samples| samples.value(shard.log_status.used_len);
    Shard Gauge "shardwire_store_queue_bytes" "Bytes that wait for the log's next batch."
        |shard, samples| samples.value(shard.log_status.queue_len);
    Shard Gauge "shardwire_disk_operations_in_flight" "Disk operations begun and not ended."
        |shard, samples| samples.value(shard.disk_in_flight);
}

fn known(samples: &mut Samples<'_>, value: Option<u64>) {
    if let Some(value) = value {
        samples.value(value);
    }
}

fn known_fraction(samples: &mut Samples<'_>, value: Option<f64>) {
    if let Some(value) = value {
        samples.fraction(value);
    }
}

fn logins(shard: &Snapshot, samples: &mut Samples<'_>) {
    for proof in Proof::ALL {
        for result in LoginResult::ALL {
            let labels = [("credential", proof_name(proof)), ("result", result_name(result))];
            samples.labelled(&labels, shard.core.logins.of(proof, result));
        }
    }
}

fn proof_name(proof: Proof) -> &'static str {
    match proof {
        Proof::Token => "token",
        Proof::Password => "password",
        Proof::Ticket => "ticket",
    }
}

fn result_name(result: LoginResult) -> &'static str {
    match result {
        LoginResult::Ok => "ok",
        LoginResult::Wrong => "wrong",
        LoginResult::Expired => "expired",
        LoginResult::Disabled => "disabled",
        LoginResult::TooMany => "too_many",
        LoginResult::Busy => "busy",
        LoginResult::NotTaken => "not_taken",
        LoginResult::Failed => "failed",
    }
}

fn codes(counts: &CodeCounts, all: &[Code], samples: &mut Samples<'_>) {
    for code in all {
        samples.labelled(&[("code", &snake_case(&format!("{code:?}")))], counts.of(*code));
    }
}

/// The codes of SEND_NACK.
const REFUSALS: &[Code] =
    &[Code::UnknownRecipient, Code::Blocked, Code::NotAMember, Code::BodyTooLarge, Code::StorageFull, Code::InboxFull];

fn frames(counts: &FrameCounts, samples: &mut Samples<'_>) {
    for (frame_type, name) in frame_type::ALL {
        samples.labelled(&[("type", &name.to_ascii_lowercase())], counts.of(*frame_type));
    }
}

fn lanes(counts: &[u64; CLASS_COUNT], samples: &mut Samples<'_>) {
    for (name, class) in LANE_CLASSES {
        samples.labelled(&[("class", name)], counts[*class as usize]);
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// The classes of lanes.
const LANE_CLASSES: &[(&str, LaneClass)] =
    &[("first_hop", LaneClass::FirstHop), ("fan_out", LaneClass::FanOut), ("outcome", LaneClass::Outcome)];

/// What one shard's samples take, roughly.
const SHARD_LEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn whole() -> Whole {
        Whole {
            stage: Stage::Serving,
            process: Process::now(std::path::Path::new("/")),
            guest_count: 1,
            connection_count_max: 100,
            hashes_waiting: 0,
            hashes_running: 0,
            certificate_expiry_s: 1_900_000_000,
            dropped_lines: 0,
        }
    }

    fn shard() -> Option<Box<Snapshot>> {
        Some(Box::new(crate::snapshot::tests::sample()))
    }

    #[test]
    fn names_follow_the_conventions() {
        let mut names = BTreeSet::from([UP.0]);
        for metric in METRICS {
            assert!(names.insert(metric.name), "{} twice", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.name.starts_with("shardwire_") || metric.name.starts_with("process_"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            if metric.kind == Kind::Histogram {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }

    #[test]
    fn every_metric_has_samples_and_no_sample_comes_twice() {
        let text = render(&whole(), &[shard(), shard()]);
        for name in METRICS.iter().map(|metric| metric.name).chain([UP.0]) {
            let is_sample =
                |line: &&str| line.starts_with(name) && line.as_bytes()[name.len()..].first() != Some(&b'#');
            assert!(text.lines().any(|line| is_sample(&line)), "{name} has no sample");
        }
        let mut series = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (labels, value) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(labels), "{labels} twice");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn a_shard_without_an_answer_is_down_and_has_no_other_sample() {
        let text = render(&whole(), &[shard(), None]);
        assert!(text.contains("shardwire_shard_up{shard=\"0\"} 1\nshardwire_shard_up{shard=\"1\"} 0\n"), "{text}");
        assert_eq!(text.matches("shard=\"1\"").count(), 1);
    }

    #[test]
    fn codes_are_labels_in_snake_case() {
        let mut snapshot = shard().unwrap();
        snapshot.net.plain_count = 7;
        let text = render(&whole(), &[Some(snapshot)]);
        assert!(text.contains("shardwire_messages_refused_total{shard=\"0\",code=\"not_a_member\"} 0\n"), "{text}");
        assert!(text.contains("shardwire_frames_sent_total{shard=\"0\",type=\"deliver_ack\"} 0\n"), "{text}");
        assert!(text.contains("shardwire_connections{shard=\"0\",transport=\"plain\"} 7\n"), "{text}");
        assert!(text.contains("shardwire_stage{stage=\"serving\"} 1\n"), "{text}");
    }
}
