//! The command over a real file and a real store.

use clap::Parser;
use fengsui_alerting::backtest::Side;
use fengsui_store::{ConfigDb, Intake, SeriesStore, StoreOptions};
use fengsui_telemetry::{Lane, Reading, TimeMs};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(words: &[&str]) -> Args {
    Line::try_parse_from(std::iter::once("x").chain(words.iter().copied())).unwrap().args
}

const SE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/metec_ch4/SE.csv");

fn outcome(words: &[&str]) -> Result<(Outcome, usize, String), Refusal> {
    let args = args(words);
    let source = match &args.csv {
        Some(path) => file::read(&args, path)?,
        None => stored::read(&args)?,
    };
    let mut test = start(&setting_of(&args)?, "")?;
    for sample in source.samples {
        let (te, reading) = sample?;
        test.sample(te, reading);
    }
    let outcome = test.finish();
    let first = outcome.occurrences.first().map(|span| source.zone.rfc3339(span.on));
    Ok((outcome, source.skipped.len(), first.unwrap_or_default()))
}

#[test]
fn a_file_gives_the_occurrences_that_others_counted() {
    let base = ["--csv", SE, "--time", "time_utc", "--value", "CH4_ppm_SE", "--limit", "5"];
    let (all, skipped, first) = outcome(&base).unwrap();
    assert_eq!((all.occurrences.len(), all.samples, skipped), (132, 9_498, 582));
    assert_eq!(first, "2022-05-11T03:14:00Z");
    let (fewer, _, first) =
        outcome(&[&base[..], &["--deadband", "1", "--zone", "Asia/Shanghai"]].concat()).unwrap();
    assert_eq!(fewer.occurrences.len(), 119);
    assert_eq!(first, "2022-05-11T11:14:00+08:00");
}

#[test]
fn a_wrong_file_is_named_with_column_row_and_mend() {
    let told = |words: &[&str]| outcome(words).err().unwrap();
    let column = told(&["--csv", SE, "--time", "time", "--value", "CH4_ppm_SE", "--limit", "5"]);
    assert_eq!(column.exit, Exit::Usage);
    assert!(column.text.contains("time_utc, CH4_ppm_SE"), "{}", column.text);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    std::fs::write(&path, "t,v\nyesterday,5\ntoday,6\n").unwrap();
    let path = path.to_str().unwrap();
    let time = told(&["--csv", path, "--time", "t", "--value", "v", "--limit", "5"]);
    assert_eq!(time.exit, Exit::Problems);
    assert!(time.text.contains("row 2, t \"yesterday\""), "{}", time.text);
    let base = ["--csv", path, "--time", "t", "--value", "v", "--limit", "5"];
    let rows = "2022-05-09 08:00:00,4,\n2022-05-09 08:01:00,9,\"stray\n2022-05-09 08:02:00,9,\n";
    std::fs::write(path, format!("t,v,note\n{rows}")).unwrap();
    let quote = told(&base);
    assert_eq!(quote.exit, Exit::Problems);
    assert!(quote.text.contains("row 3") && quote.text.contains("quote"), "{}", quote.text);
    std::fs::write(path, "t,v,v\n2022-05-09 08:00:00,4,6\n").unwrap();
    assert!(told(&base).text.contains("several columns"), "{}", told(&base).text);
    let absent = told(&["--csv", "absent.csv", "--time", "t", "--value", "v", "--limit", "5"]);
    assert_eq!(absent.exit, Exit::Usage);
}

#[test]
fn local_times_are_read_in_the_zone_and_bad_cells_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    std::fs::write(
        &path,
        "\u{feff}时间,值\r\n2022/5/9 8:00,4\r\n2022/5/9 8:01,x\r\nnever,9\r\n2022/5/9 8:02,5\r\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let words = ["--csv", path, "--time", "时间", "--value", "值", "--limit", "5"];
    let (outcome, skipped, first) = outcome(&words).unwrap();
    assert_eq!((outcome.occurrences.len(), outcome.samples, outcome.bad, skipped), (1, 2, 1, 2));
    assert_eq!(first, "2022-05-09T08:02:00+08:00");
}

#[test]
fn another_setting_takes_over_what_it_does_not_name() {
    let base = setting_of(&args(&[
        "--csv",
        SE,
        "--time",
        "t",
        "--value",
        "v",
        "--limit",
        "5",
        "--on-delay",
        "10",
    ]))
    .unwrap();
    let other = against("limit=6, deadband=1,kind=lo", base).unwrap();
    assert_eq!(other, Setting { side: Side::Low, limit: 6.0, deadband: 1.0, ..base });
    for wrong in ["limit", "limt=5", "limit=x", "kind=up", "on-delay=-1"] {
        assert_eq!(against(wrong, base).err().unwrap().exit, Exit::Usage, "{wrong}");
    }
}

#[test]
fn stored_history_gives_the_same_as_the_file_and_a_running_centre_is_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap().to_owned();
    let numbers = ConfigDb::open(&dir.path().join("config.db"))
        .unwrap()
        .register("GW-01", 1, b"x", &["OTHER", "CH4.SE"])
        .unwrap();
    let store = SeriesStore::open(dir.path(), StoreOptions::default()).unwrap();
    let begin = Zone().read("2022-05-09T00:00:00Z").unwrap();
    let mut reader = csv::Reader::from_path(SE).unwrap();
    let samples: Vec<(u32, TimeMs, Reading)> = (0..)
        .zip(reader.records())
        .map(|(minute, record)| {
            let value = record.unwrap()[1].parse().ok();
            (numbers[1], begin + minute * 60_000, Reading::from_code(0, value))
        })
        .collect();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let intake = Intake {
        gateway: "GW-01".to_owned(),
        epoch: 1,
        lane: Lane::Live,
        ti: begin,
        samples,
        offsets: vec![(0, 1)],
        gaps: Vec::new(),
        locals: Vec::new(),
    };
    store.append(intake, Box::new(move |done| tell.send(done).unwrap())).unwrap();
    told.recv().unwrap().unwrap();
    let words = ["--data", &data, "--point", "CH4.SE", "--limit", "5"];
    assert_eq!(outcome(&words).unwrap().0.occurrences.len(), 132, "beside its writer");
    store.seal_now().unwrap();
    assert_eq!(outcome(&words).unwrap().0.occurrences.len(), 132, "from chunks");
    drop(store);
    assert_eq!(outcome(&words).unwrap().0.occurrences.len(), 132, "alone");
    let part = [&words[..], &["--from", "2022-05-12T00:00:00Z", "--to", "2022-05-13T00:00:00Z"]];
    let part = outcome(&part.concat()).unwrap().0;
    assert_eq!(part.samples + part.bad, 1_440);
    let slip = outcome(&["--data", &data, "--point", "CH4.S", "--limit", "5"]).err().unwrap();
    assert!(slip.text.contains("CH4.SE"), "{}", slip.text);
}

#[expect(non_snake_case, reason = "reads like the type")]
fn Zone() -> when::Zone {
    when::Zone::of(None).unwrap()
}
