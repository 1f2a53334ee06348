//! What a technician uses between the manual and verified live values: `scan`, `read`, `watch`,
//! `guess`.
//!
//! - Only reads: no command here writes to a device.
//! - Data to stdout, progress to stderr. 0 fine, 1 problems found, 2 usage, 3 not reachable,
//!   4 the configuration is refused.
//! - `read` and `watch` ask by the same plan and decode by the same code as the running gateway:
//!   what they show is what it will record.

mod guess;
mod ident;
mod line;
mod read;
mod round;
mod scan;
mod show;
mod watch;
mod words;

pub use guess::{GuessArgs, guess};
pub use line::LineArgs;
pub use read::{ReadArgs, read};
pub use scan::{ScanArgs, scan};
pub use watch::{WatchArgs, watch};

/// Fine.
const FINE: u8 = 0;
/// Something is not as it should be.
const PROBLEMS: u8 = 1;
/// What was asked for makes no sense.
const USAGE: u8 = 2;
/// Nobody answers.
const UNREACHABLE: u8 = 3;
/// The configuration is refused.
const REFUSED: u8 = 4;

/// What a command has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For stdout.
    pub out: String,
    /// For stderr.
    pub err: String,
    /// Exit code.
    pub code: u8,
}

impl Said {
    fn fault(code: u8, err: String) -> Self {
        Self { out: String::new(), err, code }
    }

    fn unreachable(line: &str, why: &str) -> Self {
        let err = format!(
            "{line}：连接不上（{why}）\n    检查接线、地址、端口名；网关正在运行时先停下：串口和有的设备只允许一个连接\n    \
             cannot be reached: check wiring, address and name of the port; stop a running gateway \
             first: a serial port and some devices allow one connection only\n"
        );
        Self::fault(UNREACHABLE, err)
    }
}
