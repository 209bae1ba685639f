//! What happened, line by line, in a replay.

/// Writes or is silent.
#[derive(Debug, Default)]
pub struct Trace {
    is_on: bool,
    /// Goes before each line: step and time.
    pub prefix: String,
}

impl Trace {
    /// One that prints.
    pub fn printing() -> Trace {
        Trace { is_on: true, prefix: String::new() }
    }

    /// Whether anything is written.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Writes a line.
    pub fn line(&self, text: &str) {
        println!("{} {text}", self.prefix);
    }
}

/// Writes a line if the trace is on; nothing is formatted if not.
macro_rules! trace {
    ($trace:expr, $($format:tt)*) => {
        if $trace.is_on() {
            $trace.line(&format!($($format)*));
        }
    };
}
pub(super) use trace;
