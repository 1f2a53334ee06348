//! What the alarms of a snapshot are, so that one can stand when the plan does not have it any more.

use fengsui_telemetry::Revision;

use super::bytes::{Reader, Writer};
use super::{MAGIC, VERSION, VERSION_BARE, VERSION_UNFOUNDED};
use crate::engine::{Engine, Past};
use crate::model::{GatewayRef, Letter, PointRef, Priority, Subject};
use crate::plan::RestoreFault;

/// What alarms with a story are, without which they could not stand under another plan.
pub(super) fn write(w: &mut Writer, engine: &Engine) {
    let all = engine.specs.iter().zip(&engine.alarms);
    let told: Vec<_> =
        all.filter_map(|(spec, alarm)| Some((spec, alarm.story.as_deref()?))).collect();
    w.count(told.len());
    for (spec, story) in told {
        w.text(spec.key);
        w.text(spec.condition.word());
        w.byte(spec.priority.number());
        w.unsigned(u64::from(spec.gateway.0));
        let (on_point, number) = match spec.subject {
            Subject::Point(point) => (true, point.0),
            Subject::Gateway(gateway) => (false, gateway.0),
        };
        w.flag(on_point);
        w.unsigned(u64::from(number));
        w.flag(spec.statutory);
        w.number_bits(spec.revision.0);
        w.flag(story.letter() != Letter::A);
    }
}

fn read(r: &mut Reader<'_>) -> Result<Past, RestoreFault> {
    let (key, word) = (r.text()?, r.text()?);
    let priority = Priority::from_number(r.byte()?).ok_or_else(|| r.damaged())?;
    let gateway = GatewayRef(r.small()?);
    let (on_point, number) = (r.flag()?, r.small()?);
    let subject = if on_point {
        Subject::Point(PointRef(number))
    } else {
        Subject::Gateway(GatewayRef(number))
    };
    let (statutory, revision) = (r.flag()?, Revision(r.number_bits()?));
    let stands = r.flag()?;
    Ok(Past { key, word, priority, gateway, subject, statutory, revision, stands })
}

/// Opens a snapshot of this layout or of the two before.
pub(super) fn open(bytes: &[u8]) -> Result<(Reader<'_>, Vec<Past>), RestoreFault> {
    let mut r = match Reader::open(bytes, MAGIC, VERSION) {
        Err(RestoreFault::Version { found: VERSION_BARE, .. }) => {
            return Ok((Reader::open(bytes, MAGIC, VERSION_BARE)?, Vec::new()));
        }
        Err(RestoreFault::Version { found: VERSION_UNFOUNDED, .. }) => {
            Reader::open(bytes, MAGIC, VERSION_UNFOUNDED)?
        }
        other => other?,
    };
    let past = (0..r.count()?).map(|_| read(&mut r)).collect::<Result<_, _>>()?;
    Ok((r, past))
}

/// What the alarms of a snapshot are.
pub(crate) fn past(bytes: &[u8]) -> Result<Vec<Past>, RestoreFault> {
    open(bytes).map(|(_, past)| past)
}
