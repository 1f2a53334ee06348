//! The direction of an RS-485 transceiver, handed over to the kernel: `TIOCSRS485`.
//!
//! - Polarity and delays stay as the driver has them from the device tree; where it has none, RTS is
//!   high while sending, as most boards are wired.
//! - A driver that cannot do it (USB adapters, most of them) is a warning with its mend, and the
//!   line is read all the same: such an adapter switches by itself, or every request times out and
//!   says so.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rs485::Rs485;
use tracing::{info, warn};

/// Tells the driver of this port to switch; says in the log what came of it.
pub(super) fn hand_over(port: &impl AsRawFd, bus: &str, path: &Path) {
    match enable(port) {
        Ok(()) => info!(bus, path = %path.display(), "the kernel switches the direction"),
        Err(fault) => {
            let mend = mend(bus);
            warn!(bus, path = %path.display(), %fault, mend, "the kernel does not switch the direction");
        }
    }
}

fn enable(port: &impl AsRawFd) -> io::Result<()> {
    let now = port.get_rs485_conf()?;
    // Its fields cannot be read; its words can be shown.
    let shown = format!("{now:?}");
    let mut wanted = now;
    wanted.set_enabled(true);
    if !shown.contains("RTS_ON_SEND") && !shown.contains("RTS_AFTER_SEND") {
        wanted.set_rts_on_send(true);
    }
    port.set_rs485_conf(&wanted)?;
    // A driver without it may take the call and change nothing.
    let taken = format!("{:?}", port.get_rs485_conf()?);
    if taken.contains("SER_RS485_ENABLED") {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What to do about it.
fn mend(bus: &str) -> String {
    format!(
        "总线 {bus}：该串口的驱动不支持由内核切换 RS-485 方向，仍继续读取；适配器自动换向时请改为 rs485 = \"adapter\"，\
         板载串口请检查设备树（rts-gpios、linux,rs485-enabled-at-boot-time）  |  bus {bus}: the driver of this port \
         cannot switch the RS-485 direction; it is read all the same. Write rs485 = \"adapter\" where the \
         adapter switches by itself, or see to the device tree of the board's port"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_serial::SerialStream;

    #[tokio::test]
    async fn a_port_that_cannot_switch_says_so_with_its_mend() {
        let (port, _other) = SerialStream::pair().unwrap();
        // A pseudo-terminal has no direction: ENOTTY.
        assert_eq!(enable(&port).unwrap_err().raw_os_error(), Some(25));
        let mend = mend("A");
        assert!(mend.contains("总线 A") && mend.contains("bus A"), "{mend}");
        assert!(mend.contains("rs485 = \"adapter\""), "{mend}");
    }
}
