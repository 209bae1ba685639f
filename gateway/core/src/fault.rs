//! Faults put in on purpose, which the simulation must find. Outside the feature `planted` none can be set.

/// A rule of `docs/delivery.md` taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SEND_ACK `stored` leaves when the record is queued, not when it is durable.
    AcknowledgeBeforeSafe,
    /// What should go to the log is dropped as if it had.
    SkipSpill,
    /// The newest entry of the window goes to the log first.
    WrongSpillOrder,
    /// After a restart ids come from the clock alone, whatever an earlier run had reserved.
    ForgetReservation,
    /// A device that catches up is called live while entries remain for it.
    LiveTooEarly,
    /// Refusals are decided after the message was delivered.
    RefuseAfterDeliver,
    /// A new device starts at the head of the inbox.
    NewDeviceAtHead,
    /// Credit is not looked at.
    DeliverPastCredit,
    /// A ticket from before its device signed out is taken.
    TakeOldTicket,
    /// GOAWAY 301 leaves before the sign-out is durable.
    SignOutBeforeDurable,
    /// Sessions whose login became void go on.
    VoidLeavesSessions,
    /// What a deleted account's inbox holds stays.
    PurgeLeavesInbox,
}

/// The fault in force, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted")]
    fault: Option<Fault>,
}

impl Planted {
    /// Whether this fault is in force. Without the feature this is `false` at compile time.
    #[cfg(feature = "planted")]
    pub(crate) fn is(self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether this fault is in force. Without the feature this is `false` at compile time.
    #[cfg(not(feature = "planted"))]
    pub(crate) fn is(self, _fault: Fault) -> bool {
        false
    }

    /// Puts a fault in.
    #[cfg(feature = "planted")]
    pub(crate) fn set(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }
}
