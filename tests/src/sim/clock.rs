//! Simulated time: one clock that never goes back, and one that an operator sets.

use gateway_core::Now;

/// Both clocks. They run at the same speed; the wall clock jumps when told to.
#[derive(Debug, Clone)]
pub struct Clock {
    mono_us: u64,
    wall_us: u64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl Clock {
    /// Starts at a round moment, so that traces are easy to read.
    pub fn new() -> Clock {
        Clock { mono_us: 1_000_000, wall_us: 1_000_000_000_000 }
    }

    /// Both times.
    pub fn now(&self) -> Now {
        Now { mono_us: self.mono_us, wall_us: self.wall_us }
    }

    /// The clock that never goes back, in microseconds.
    pub fn mono_us(&self) -> u64 {
        self.mono_us
    }

    /// Lets time pass.
    pub fn advance(&mut self, us: u64) {
        self.mono_us += us;
        self.wall_us += us;
    }

    /// Sets the wall clock, so many microseconds back or forth.
    pub fn jump(&mut self, us: u64, is_back: bool) {
        self.wall_us = if is_back { self.wall_us.saturating_sub(us) } else { self.wall_us + us };
    }
}
