//! CLOCK: a gateway's time cannot be trusted. UNSET: a limit that must be there is not.
//!
//! - Both live in processing time: they are about this system, not about the plant.
//! - CLOCK comes on by what the host reports of a clock, and by stamps from the future (R6). It
//!   goes off when the clock is reported good and no such stamp has come for [`CLOCK_QUIET_MS`].
//! - A clock that was too far off is good again within half the limit: one that sits on the limit
//!   makes one alarm, not one a report.
//! - UNSET stands for as long as the configuration says so.

use crate::deadlines::Reason;
use crate::engine::transitions::Edge;
use crate::engine::{Engine, NONE, Out};
use crate::model::{AlarmId, Condition, Flags, GatewayRef};

/// No stamp from the future for this long: the clock may be good again.
pub(crate) const CLOCK_QUIET_MS: i64 = 60_000;

impl Engine {
    /// What the host knows of a gateway's clock.
    pub(crate) fn clock_report(
        &mut self,
        gateway: GatewayRef,
        skew_ms: i64,
        synchronised: bool,
        out: &mut Out<'_>,
    ) {
        let Some(id) = self.clock_of(gateway) else { return };
        let Condition::Clock { limit_ms } = *self.spec(id).condition else { return };
        let Some(state) = self.gateway_mut(gateway) else { return };
        let allowed = if state.clock_bad { limit_ms / 2 } else { limit_ms };
        state.clock_bad = !synchronised || skew_ms.saturating_abs() > allowed;
        // In seconds, as the limit; a clock that nobody has set is off by no known amount.
        let off_by = synchronised.then(|| skew_ms as f64 / 1_000.0);
        self.look_at_clock(gateway, off_by, out);
    }

    /// R6: a stamp of this gateway lay in the future.
    pub(crate) fn future_stamp(&mut self, gateway: GatewayRef, out: &mut Out<'_>) {
        let Some(id) = self.clock_of(gateway) else { return };
        if let Some(state) = self.gateway_mut(gateway) {
            state.future_at = out.now.0;
        }
        self.deadlines.arm(out.now + CLOCK_QUIET_MS, Reason::Clock(id));
        self.look_at_clock(gateway, None, out);
    }

    pub(crate) fn clock_due(&mut self, id: AlarmId, out: &mut Out<'_>) {
        let gateway = self.spec(id).gateway;
        self.look_at_clock(gateway, None, out);
    }

    fn clock_of(&self, gateway: GatewayRef) -> Option<AlarmId> {
        let clock = self.gateways.get(gateway.0 as usize)?.clock;
        (clock != NONE).then_some(AlarmId(clock))
    }

    fn look_at_clock(&mut self, gateway: GatewayRef, value: Option<f64>, out: &mut Out<'_>) {
        let Some(id) = self.clock_of(gateway) else { return };
        let Some(state) = self.gateways.get(gateway.0 as usize) else { return };
        let quiet = out.now.0.saturating_sub(state.future_at) >= CLOCK_QUIET_MS;
        let on = state.clock_bad || (state.future_at != i64::MIN && !quiet);
        if on == self.is_active(id) {
            return;
        }
        self.set_silent(id, on);
        let edge = Edge { te: out.now.0, value, flags: Flags::default() };
        self.edge(id, on, edge, out);
    }

    /// Limits that must be there and are not: at the first event, and after a change of the plan.
    pub(crate) fn show_unset(&mut self, out: &mut Out<'_>) {
        for id in (0_u32..).map(AlarmId).take(self.alarms.len()) {
            if *self.spec(id).condition == Condition::Unset && !self.is_active(id) {
                self.set_silent(id, true);
                let edge = Edge { te: out.now.0, value: None, flags: Flags::default() };
                self.come_on(id, edge, out);
            }
        }
    }
}
