//! The operator's rule, written down a second time and differently: no deadlines, only time that
//! was counted. Never calls the engine.

/// One alarm, as a person would put it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) high: bool,
    pub(crate) limit: f64,
    pub(crate) clear: f64,
    pub(crate) on_ms: i64,
    pub(crate) off_ms: i64,
}

/// Occurrences `[on, off)` over samples in order of time (none = bad), with the last value held
/// until `trusted`.
pub(crate) fn occurrences(
    asked: Asked,
    samples: &[(i64, Option<f64>)],
    trusted: i64,
) -> Vec<(i64, Option<i64>)> {
    let mut edges: Vec<i64> = Vec::new();
    // Time counted so far in favour of a change, if a change is being waited for.
    let mut counted: Option<i64> = None;
    for (place, (te, value)) in samples.iter().enumerate() {
        let on = edges.len() % 2 == 1;
        if let Some(value) = value {
            let over = if asked.high { *value >= asked.limit } else { *value <= asked.limit };
            let under = if asked.high { *value < asked.clear } else { *value > asked.clear };
            if (over && on) || (under && !on) {
                counted = None;
            } else if (over || under) && counted.is_none() {
                counted = Some(0);
            }
        }
        let delay = if on { asked.off_ms } else { asked.on_ms };
        let Some(so_far) = counted else { continue };
        if delay == 0 {
            edges.push(*te);
            counted = None;
            continue;
        }
        if value.is_none() {
            continue;
        }
        // The value counts until the next sample, good or bad, or until it is no longer trusted.
        let until = samples.get(place + 1).map_or(trusted, |(next, _)| *next);
        let missing = delay - so_far;
        if te + missing <= until {
            edges.push(te + missing);
            counted = None;
        } else {
            counted = Some(so_far + (until - te));
        }
    }
    edges.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect()
}
