//! STALE and OFFLINE.

use fengsui_telemetry::TimeMs;

use super::story::check;
use super::{high, plan};
use crate::engine::Engine;
use crate::model::{
    Action, AlarmId, AlarmSpec, Condition, Event, GatewayRef, Letter, PointRef, Subject,
};

fn stale(point: u32, after_s: i64) -> AlarmSpec {
    AlarmSpec {
        subject: Subject::Point(PointRef(point)),
        condition: Condition::Stale { after_ms: after_s * 1000 },
        ..high(&format!("P{point}/STALE"), 0.0)
    }
}

fn offline(after_s: i64) -> AlarmSpec {
    AlarmSpec {
        subject: Subject::Gateway(GatewayRef(0)),
        condition: Condition::GatewayOffline { after_ms: after_s * 1000 },
        ..high("GW/OFFLINE", 0.0)
    }
}

#[test]
fn w03_stale_data_is_not_cured_by_old_data() {
    check(
        vec![stale(0, 60)],
        "100 s 5
         159 wake
         160 wake
         170 b 105:5
         171 s 5 @106
         175 s 5 @174
         176 ack 1",
        "160 P0/STALE AB #1 on te=160
         160 P0/STALE sounds #1
         175 P0/STALE BD #1 off te=174
         176 P0/STALE DA #1 acknowledged
         176 P0/STALE is silent",
    );
}

#[test]
fn a_point_that_never_reports_is_stale_and_bad_readings_keep_it_so() {
    check(
        vec![stale(0, 60), stale(1, 60)],
        "100 s 5 of 1
         130 s bad
         160 wake",
        "160 P0/STALE AB #1 on te=160
         160 P0/STALE sounds #1
         160 P1/STALE AB #1 on te=160
         160 P1/STALE sounds #1",
    );
}

#[test]
fn a_gateway_is_offline_when_it_stops_and_also_when_it_never_began() {
    check(
        vec![offline(15)],
        "10 wake
         25 wake
         30 beat
         40 beat
         54 wake
         55 wake",
        "25 GW/OFFLINE AB #1 on te=25
         25 GW/OFFLINE sounds #1
         30 GW/OFFLINE BD #1 off te=30
         55 GW/OFFLINE DB #2 on te=55
         55 GW/OFFLINE sounds #2",
    );
}

#[test]
fn w05_an_offline_gateway_speaks_for_its_points() {
    check(
        vec![stale(0, 5), stale(1, 5), offline(15)],
        "100 beat
         100 s 5
         100 s 5 of 1
         105 wake
         110 wake
         115 wake
         500 beat
         501 s 5
         514 beat
         528 beat
         542 beat
         558 s 5
         558 beat
         560 wake",
        "115 GW/OFFLINE AB #1 on te=115
         115 GW/OFFLINE sounds #1
         115 P0/STALE AH #1 on te=105
         115 P1/STALE AH #1 on te=105
         500 GW/OFFLINE BD #1 off te=500
         501 P0/STALE HA #1 off te=501
         560 P1/STALE HB #1 unsuppressed
         560 P1/STALE sounds #1",
    );
}

#[test]
fn an_offline_gateway_does_not_speak_for_what_is_graver() {
    let priority = crate::model::Priority::P1;
    check(
        vec![AlarmSpec { priority, ..stale(0, 5) }, stale(1, 5), offline(15)],
        "100 beat
         100 s 5
         100 s 5 of 1
         105 wake
         115 wake
         116 restart
         500 beat
         501 s 5
         502 s 5 of 1",
        "105 P0/STALE AB #1 on te=105
         105 P0/STALE sounds #1
         115 GW/OFFLINE AB #1 on te=115
         115 GW/OFFLINE sounds #1
         115 P1/STALE AH #1 on te=105
         500 GW/OFFLINE BD #1 off te=500
         501 P0/STALE BD #1 off te=501
         502 P1/STALE HA #1 off te=502",
    );
}

#[test]
fn a_silence_that_its_gateway_may_no_longer_speak_for_is_announced() {
    let mut engine = Engine::new(plan(vec![stale(0, 5), offline(15)])).unwrap();
    let hand = |engine: &mut Engine, event: Event, second: i64| {
        let mut actions = Vec::new();
        engine.handle(event, TimeMs(second * 1_000), &mut actions);
        actions
            .into_iter()
            .filter_map(|action| match action {
                Action::Annunciate { alarm, .. } => Some(alarm),
                Action::Record(_)
                | Action::Silence { .. }
                | Action::Chime { .. }
                | Action::Recall { .. } => None,
            })
            .collect::<Vec<_>>()
    };
    hand(&mut engine, Event::Heard { gateway: GatewayRef(0) }, 0);
    assert_eq!(hand(&mut engine, Event::Wake, 20), [AlarmId(1)]);
    assert_eq!(engine.standing(AlarmId(0)).letter, Letter::H);
    let lower = AlarmSpec { priority: crate::model::Priority::P4, ..offline(15) };
    let lower = plan(vec![stale(0, 5), lower]);
    let mut engine = Engine::restore(lower, &engine.snapshot()).unwrap();
    assert_eq!(hand(&mut engine, Event::Wake, 21), [AlarmId(0)]);
    assert_eq!(engine.standing(AlarmId(0)).letter, Letter::B);
    assert_eq!(hand(&mut engine, Event::Wake, 22), []);
}

#[test]
fn a_silent_point_of_a_living_gateway_is_announced_with_the_next_beat() {
    check(
        vec![stale(0, 5), offline(15)],
        "100 beat
         100 s 5
         105 wake
         106 beat",
        "106 P0/STALE AB #1 on te=105
         106 P0/STALE sounds #1",
    );
}

#[test]
fn after_a_restart_silence_is_counted_from_the_restart_and_not_forgotten() {
    check(
        vec![stale(0, 20), offline(15)],
        "100 beat
         100 s 5
         1000 restart
         1014 wake
         1015 wake
         1020 wake
         1021 beat
         1034 beat
         1047 beat
         1060 beat
         1073 beat
         1081 wake",
        "1015 GW/OFFLINE AB #1 on te=1015
         1015 GW/OFFLINE sounds #1
         1020 P0/STALE AH #1 on te=120
         1021 GW/OFFLINE BD #1 off te=1021
         1081 P0/STALE HB #1 unsuppressed
         1081 P0/STALE sounds #1",
    );
}

#[test]
fn a_restart_in_the_middle_of_an_outage_forgets_nothing() {
    check(
        vec![stale(0, 5), offline(15)],
        "100 beat
         100 s 5
         115 wake
         200 restart
         201 caught-up
         300 beat
         301 s 5
         302 ack 1 on GW/OFFLINE",
        "115 GW/OFFLINE AB #1 on te=115
         115 GW/OFFLINE sounds #1
         115 P0/STALE AH #1 on te=105
         300 GW/OFFLINE BD #1 off te=300
         301 P0/STALE HA #1 off te=301
         302 GW/OFFLINE DA #1 acknowledged
         302 GW/OFFLINE is silent",
    );
}

#[test]
fn the_reason_of_a_silence_is_true_at_its_moment() {
    let mut engine = Engine::new(plan(vec![stale(0, 30), offline(15)])).unwrap();
    let mut reasons = Vec::new();
    let heard = Event::Heard { gateway: GatewayRef(0) };
    // Silent from 0 on, heard again at 20 s: at 30 s the point is silent and the gateway is not.
    let script = [(heard.clone(), 0), (Event::Wake, 15), (heard, 20), (Event::Wake, 30)];
    for (event, second) in script {
        let mut actions = Vec::new();
        engine.handle(event, TimeMs(second * 1_000), &mut actions);
        for action in actions {
            if let Action::Record(row) = action
                && row.alarm == AlarmId(0)
            {
                reasons.push((row.to, row.comment));
            }
        }
    }
    let said = "网关已恢复，该点尚未上报 / the gateway is back, the point has not reported yet";
    assert_eq!(reasons, [(Letter::H, said.to_owned())]);
}
