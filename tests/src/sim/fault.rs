//! The faults that the simulation must catch, each with the profile that leads it to where it bites.

/// A rule taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Of the core.
    Core(gateway_core::Fault),
    /// Of the log.
    Storage(storage::Fault),
    /// Of the client: duplicates are dropped without a word.
    Sdk,
}

/// Every planted fault: its name, the fault, and the name of the profile to look for it with.
pub const ALL: &[(&str, Planted, &str)] = &[
    ("AcknowledgeBeforeSafe", Planted::Core(gateway_core::Fault::AcknowledgeBeforeSafe), "crashes"),
    ("SkipSpill", Planted::Core(gateway_core::Fault::SkipSpill), "calm"),
    ("WrongSpillOrder", Planted::Core(gateway_core::Fault::WrongSpillOrder), "storms"),
    ("ForgetReservation", Planted::Core(gateway_core::Fault::ForgetReservation), "clock jumps"),
    ("LiveTooEarly", Planted::Core(gateway_core::Fault::LiveTooEarly), "storms"),
    ("RefuseAfterDeliver", Planted::Core(gateway_core::Fault::RefuseAfterDeliver), "disk trouble"),
    ("NewDeviceAtHead", Planted::Core(gateway_core::Fault::NewDeviceAtHead), "many devices"),
    ("DeliverPastCredit", Planted::Core(gateway_core::Fault::DeliverPastCredit), "slow readers"),
    ("TakeOldTicket", Planted::Core(gateway_core::Fault::TakeOldTicket), "accounts"),
    ("SignOutBeforeDurable", Planted::Core(gateway_core::Fault::SignOutBeforeDurable), "accounts"),
    ("VoidLeavesSessions", Planted::Core(gateway_core::Fault::VoidLeavesSessions), "accounts"),
    ("PurgeLeavesInbox", Planted::Core(gateway_core::Fault::PurgeLeavesInbox), "accounts"),
    ("NoSyncInRecovery", Planted::Storage(storage::Fault::NoSyncInRecovery), "crashes"),
    ("DropDuplicateSilently", Planted::Sdk, "crashes"),
];

/// The fault of that name, and its profile.
pub fn by_name(name: &str) -> Option<(Planted, &'static str)> {
    ALL.iter().find(|(known, _, _)| *known == name).map(|(_, fault, profile)| (*fault, *profile))
}
