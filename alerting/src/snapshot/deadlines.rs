//! The timers of an engine as bytes, and back: of use only under the plan that they were made by.

use fengsui_telemetry::TimeMs;

use super::bytes::{Reader, Writer};
use crate::deadlines::{Deadlines, Reason};
use crate::model::{AlarmId, GatewayRef};
use crate::plan::RestoreFault;

pub(super) fn write(w: &mut Writer, deadlines: &Deadlines) {
    w.count(deadlines.timers().count());
    for (at, reason) in deadlines.timers() {
        let (kind, id) = match *reason {
            Reason::Delay(id) => (0, id.0),
            Reason::Stale(id) => (1, id.0),
            Reason::Offline(id) => (2, id.0),
            Reason::Uncover(gateway) => (3, gateway.0),
            Reason::Quiet(gateway) => (4, gateway.0),
            Reason::Ask(gateway) => (5, gateway.0),
            Reason::Release(gateway) => (6, gateway.0),
            Reason::ReAlarm(id) => (7, id.0),
            Reason::Signal(id) => (8, id.0),
            Reason::Gather(id) => (9, id.0),
            Reason::Clock(id) => (10, id.0),
        };
        w.signed(at.0);
        w.byte(kind);
        w.unsigned(u64::from(id));
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Deadlines, RestoreFault> {
    let mut deadlines = Deadlines::default();
    for _ in 0..r.count()? {
        let at = TimeMs(r.signed()?);
        let (kind, id) = (r.byte()?, r.small()?);
        let (alarm, gateway) = (AlarmId(id), GatewayRef(id));
        let reason = match kind {
            0 => Reason::Delay(alarm),
            1 => Reason::Stale(alarm),
            2 => Reason::Offline(alarm),
            3 => Reason::Uncover(gateway),
            4 => Reason::Quiet(gateway),
            5 => Reason::Ask(gateway),
            6 => Reason::Release(gateway),
            7 => Reason::ReAlarm(alarm),
            8 => Reason::Signal(alarm),
            9 => Reason::Gather(alarm),
            10 => Reason::Clock(alarm),
            _ => return Err(r.damaged()),
        };
        deadlines.arm(at, reason);
    }
    Ok(deadlines)
}
