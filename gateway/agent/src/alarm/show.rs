//! What the outputs are told: which alarms sound, and which are to be seen.

use fengsui_alerting::{Letter, Standing};

use super::AlarmLoop;
use crate::outputs::siren::Lit;

impl AlarmLoop {
    /// Tells siren, beacon and relays how the alarms stand.
    pub(super) fn show(&self) {
        let alarms: Vec<String> = self.sounding.iter().map(|alarm| self.key(*alarm)).collect();
        let seen = self.engine.all_standing();
        let lit: Vec<Lit> =
            seen.iter().filter(|one| self.is_lit(one)).map(|s| self.lit(s)).collect();
        let now = self.clock.wall().0;
        self.out.siren.send_if_modified(|state| {
            let sounding = !alarms.is_empty();
            let news = state.alarms != alarms || state.lit != lit || state.since_ms == 0;
            if state.sounding != sounding || state.since_ms == 0 {
                state.since_ms = now;
            }
            (state.sounding, state.alarms, state.lit) = (sounding, alarms, lit);
            news
        });
    }

    /// What returned unseen stays lit until somebody has acknowledged it; what is shelved,
    /// suppressed or out of service does not, unless it sounds.
    pub(super) fn is_lit(&self, one: &Standing) -> bool {
        let stands = match one.letter {
            Letter::B | Letter::C | Letter::D | Letter::E | Letter::F => true,
            Letter::A | Letter::G | Letter::H | Letter::I => false,
        };
        stands || self.sounding.contains(&one.alarm)
    }

    fn lit(&self, one: &Standing) -> Lit {
        let spec = self.engine.spec_of(one.alarm);
        Lit {
            key: self.key(one.alarm),
            // An alarm that the plan no longer has is as urgent as any.
            priority: spec.map_or(1, |spec| spec.priority.number()),
            sounding: self.sounding.contains(&one.alarm),
        }
    }
}
