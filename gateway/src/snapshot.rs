//! What a shard publishes of itself: plain numbers, copied at the end of a turn when somebody asks.

use gateway_core::{Counters, Population};
use storage::{LogCounters, LogStatus};

use crate::mesh::LaneLoad;
use crate::reactor::NetCounters;
use crate::traffic::Traffic;

/// One shard at one moment. Some KiB.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// Frames in and out.
    pub(crate) traffic: Traffic,
    /// What the core counted.
    pub(crate) core: Counters,
    /// How many the core holds.
    pub(crate) population: Population,
    /// What its log counted.
    pub(crate) log: LogCounters,
    /// How its log stands.
    pub(crate) log_status: LogStatus,
    /// What its sockets are and were.
    pub(crate) net: NetCounters,
    /// What waits on its lanes.
    pub(crate) lanes: LaneLoad,
    /// Disk operations begun and not ended.
    pub(crate) disk_in_flight: u64,
}

#[cfg(test)]
pub(crate) mod tests {
    use storage::LogState;

    use super::*;

    /// Of a shard that has just begun to serve.
    pub(crate) fn sample() -> Snapshot {
        Snapshot {
            traffic: Traffic::default(),
            core: Counters::default(),
            population: Population { sessions: 0, users: 0, devices: 0, under_way: 0, stalled: 0 },
            log: LogCounters::default(),
            log_status: LogStatus {
                state: LogState::Ok,
                segment_count: 1,
                spare_count: 0,
                file_len: 67_108_864,
                used_len: 8_192,
                queue_len: 0,
                inbox_count: 0,
            },
            net: NetCounters::default(),
            lanes: LaneLoad::default(),
            disk_in_flight: 0,
        }
    }
}
