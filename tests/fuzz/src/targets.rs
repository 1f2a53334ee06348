//! The parsers, each with a corpus and what must hold of its answers.

use std::sync::LazyLock;

use fengsui_alerting::limits::LimitSet;
use fengsui_gateway::check_own;
use fengsui_scan::{
    BUILTIN, Function, Outcome, Payload, Profile, ReadRequest, Reply, Scanner, Site, Step,
    parse_reply,
};
use fengsui_telemetry::wire::{decode_batch, decode_record};

const SITE: &str = include_str!("../../data/broken-sheet/site.toml");
const DEMO: &str = include_str!("../../../configs/demo/site.toml");
const DEMO_POINTS: &str = include_str!("../../../configs/demo/points.csv");
const BROKEN: &str = include_str!("../../data/broken-sheet/points.csv");
const LIMITS: &str = include_str!("../../../configs/demo/limits.csv");
const BROKEN_LIMITS: &str = include_str!("../../data/broken-gateway/limits.csv");
const PEER: &str = include_str!("../../peers/site/site.toml");
const PEER_POINTS: &str = include_str!("../../peers/site/points.csv");
/// One row for every kind of limit.
const KINDS: &str = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,confidence,statutory,detail\n\
A,HH,90,1,0,5,P1,true,s,c,true,suppressed_by=C/DISCRETE\n\
A,H,UNSET,1,0,5,P2,,,,,ack=false\n\
A,L,10,1,0,5,P2,,,,,\n\
A,LL,5,1,0,5,P2,,,,,\n\
A,STALE,30,,,,P3,,,,,\n\
A,ROC_UP,5,0.5,0,0,P2,,,,,window=60s\n\
A,ROC_DOWN,5,0.5,0,0,P2,,,,,window=5m\n\
A,DEVIATION,3,1,0,0,P2,,,,,of=B\n\
C,DISCRETE,,,1,0,P2,,,,,values=1|2\n\
A,FROZEN,0.01,,0,0,P3,,,,,window=1h;samples=20\n\
A,BADQ,30,,,,P3,,,,,\n\
A,RANGE,105,,0,0,P3,,,,,\n\
A,VOTE,25,1,0,0,P1,,,,,\"vote=2oo3:A,B,C;side=low\"\n\
A,TTL,90,,0,0,P3,,,,,window=4m;within=25m;side=high\n\
A,COMPOSITE,,,0,0,P2,,,,,\"expr=on(\"\"A/HH\"\") && pv(\"\"B\"\") < 5.0 || bad(\"\"C\"\")\"\n\
,OFFLINE,30,,,,P2,,,,,\n\
,CLOCK,5,,,,P3,,,,,\n";
const OWN: &str = include_str!("../../../configs/deploy/gateway.toml");
const DEMO_OWN: &str = include_str!("../../../configs/demo/gateway.toml");
const BROKEN_OWN: &str = include_str!("../../data/broken-gateway/gateway.toml");
/// One of everything that a gateway's own file may say.
const CABINET: &str = "site = 'site.toml'\ndata = 'data'\n\
[uplink]\nhost = 'centre'\nport = 1883\n[local]\noutput = 'sim'\n\
[spool]\ncommit_ms = 200\nmax_mb = 64\n[alarm]\nlive_s = 30\nlate_horizon_s = 600\n\
[health]\nlisten = '127.0.0.1:9090'\n[clock]\nbattery = false\n\
[[output]]\nname = 'horn'\nkind = 'gpio'\nchip = '/dev/gpiochip0'\nline = 17\n\
readback_line = 27\nactive_low = true\nfollows = 'siren'\nfail_safe = false\nreadback_ms = 500\n\
[[output]]\nname = 'lamp'\nkind = 'coil'\nhost = '10.0.0.9'\nport = 502\nunit = 1\ncoil = 3\n\
follows = 'relay'\npriorities = ['P1', 'P2']\ntags = ['A']\n\
[[output]]\nname = 'dog'\nkind = 'sim'\nfollows = 'watchdog'\nperiod_ms = 1000\n\
[[button]]\nname = 'ack'\nline = 22\ndoes = 'acknowledge'\nactive_low = true\ndebounce_ms = 50\n";
const TABLE: &str = "液位,容积\nlevel,volume\n0,0\n1000,10\n2000,40\n";
/// One row for every rule.
const RULES: &str = "位号\ntag,name,installation,signal,unit,low,high,device,function,address,type,order,scale,offset,period_ms,sentinels,rules\n\
A,n,1#罐区,s,u,0,100,plc,holding,0,u16,,0.001,,1000,0xffff;7,loop=4-20;loop_range=0:2000;loop_fail_s=1;table=tank.csv\n\
B,n,1#罐区,s,u,0,100,plc,holding,2,f32,CDAB,,,1000,NaN,\"status=input:60;bad=b0,b4-5=2,!=9;doubt=7;divisor=input:61\"\n\
C,n,1#罐区,s,u,0,100,plc,holding,4,u32,,,,1000,,counter=0x10000;counter_per_s=5;frozen_s=9;rate_per_s=1\n\
D,n,1#罐区,s,u,0,100,plc,holding,6,f64,,,,1000,,\"order_by=holding:90;orders=0:ABCD,1:DCBA;unit_code=holding:91:u32:CDAB;unit_is=1,2\"\n\
E,n,1#罐区,s,u,0,100,midas,,@concentration,,ABCD,,,1000,,heartbeat=@status;heartbeat_bit=11;heartbeat_s=5\n\
F,n,1#罐区,s,u,0,100,plc,holding,12,u16,,,,1000,,\"bits=4-7;calibration=0:0,10:5;polynomial=1,2;margin=9\"\n\
G,n,1#罐区,s,u,0,100,tanks,,@gross_volume#3,,,,,1000,,\n\
H,n,1#罐区,s,u,0,1,plc,coil,3,bool,,,,1000,,\n";

/// Some golden messages of the wire.
const GOLDEN: &[&str] = &[
    include_str!("../../../telemetry/golden/batch-plain.hex"),
    include_str!("../../../telemetry/golden/batch-zstd.hex"),
    include_str!("../../../telemetry/golden/record-clock.hex"),
    include_str!("../../../telemetry/golden/record-gap.hex"),
    include_str!("../../../telemetry/golden/record-scan-mixed.hex"),
    include_str!("../../../telemetry/golden/record-scan.hex"),
    include_str!("../../../telemetry/golden/record-transition.hex"),
];

/// What a parser said, or how its answer contradicts itself.
pub(crate) type Answer = Result<String, &'static str>;

/// One parser.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// By which a run names it.
    pub name: &'static str,
    /// What is damaged.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Shows it one input.
    pub feed: fn(&[u8]) -> Answer,
}

/// Every parser.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", corpus: frames, feed: feed_frame },
    Target { name: "sheet", corpus: sheets, feed: feed_sheet },
    Target { name: "table", corpus: || vec![TABLE.into(), b"0,0\n1,1".to_vec()], feed: feed_table },
    Target {
        name: "site",
        corpus: || vec![SITE.into(), DEMO.into(), PEER.into()],
        feed: feed_site,
    },
    Target {
        name: "gateway",
        corpus: || vec![CABINET.into(), OWN.into(), DEMO_OWN.into(), BROKEN_OWN.into()],
        feed: feed_own,
    },
    Target { name: "profile", corpus: profiles, feed: feed_profile },
    Target { name: "limits", corpus: limits, feed: feed_limits },
    Target { name: "batch", corpus: golden, feed: feed_batch },
    Target { name: "record", corpus: golden, feed: feed_record },
    Target { name: "words", corpus: words, feed: feed_words },
];

fn frames() -> Vec<Vec<u8>> {
    vec![
        vec![2, 200, 2, 3, 4, 0x12, 0x34, 0, 1],
        vec![3, 0, 1, 4, 2, 0, 1],
        vec![0, 0, 10, 1, 2, 5, 2],
        vec![1, 9, 3, 0x82, 2],
    ]
}

/// The first three bytes are the request, the rest its reply.
fn feed_frame(input: &[u8]) -> Answer {
    let [function, first, count, pdu @ ..] = input else { return Ok("short".to_owned()) };
    let function = Function::ALL.get(usize::from(*function % 4)).copied().ok_or("no function")?;
    let request = ReadRequest { function, first: (*first).into(), count: (*count).max(1).into() };
    match parse_reply(request, pdu) {
        Ok(Reply::Data(Payload::Words(words))) => {
            let back: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            if words.len() != usize::from(request.count) || pdu.get(2..) != Some(&back) {
                return Err("words that were not in the reply");
            }
            Ok("words".to_owned())
        }
        Ok(Reply::Data(Payload::Bits(bits))) if bits.len() == usize::from(request.count) => {
            Ok("bits".to_owned())
        }
        Ok(Reply::Data(Payload::Bits(_))) => Err("more or fewer bits than were asked for"),
        Ok(Reply::Exception(code)) if pdu == [function.code() | 0x80, code] => {
            Ok("exception".to_owned())
        }
        Ok(Reply::Exception(_)) => Err("an exception out of other bytes"),
        Err(fault) => Ok(fault.to_string()),
    }
}

fn sheets() -> Vec<Vec<u8>> {
    vec![RULES.into(), BROKEN.into(), DEMO_POINTS.into(), PEER_POINTS.into()]
}

fn limits() -> Vec<Vec<u8>> {
    vec![LIMITS.into(), KINDS.into(), BROKEN_LIMITS.into()]
}

fn site(site: &str, points: &str, table: &str) -> Result<Site, Vec<String>> {
    let mut read = |name: &str| match name {
        "points.csv" => Ok(points.to_owned()),
        "tank.csv" => Ok(table.to_owned()),
        other => Err(format!("no file {other}")),
    };
    Site::load("site.toml", site, &mut read)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// A site that loads can be read; one that does not says why.
fn judged(loaded: Result<Site, Vec<String>>) -> Answer {
    match loaded {
        Ok(site) => {
            let mut requests = 0;
            for (index, device) in site.devices.iter().enumerate() {
                let scanner = Scanner::new(device.clone(), site.mappings_of(index), 0);
                for (request, _) in scanner.requests() {
                    requests += 1;
                    if u32::from(request.first) + u32::from(request.count) > 65_536 {
                        return Err("a request past the last address");
                    }
                    if request.count == 0 || request.count > request.function.quantity_max() {
                        return Err("a request that the protocol does not allow");
                    }
                }
            }
            Ok(format!("good {requests}"))
        }
        Err(faults) if faults.is_empty() => Err("refused without a reason"),
        Err(faults) => Ok(faults.join("\n")),
    }
}

fn feed_sheet(input: &[u8]) -> Answer {
    judged(site(SITE, &String::from_utf8_lossy(input), TABLE))
}

fn feed_table(input: &[u8]) -> Answer {
    judged(site(SITE, RULES, &String::from_utf8_lossy(input)))
}

fn feed_site(input: &[u8]) -> Answer {
    judged(site(&String::from_utf8_lossy(input), RULES, TABLE))
}

/// A fault names a line that there is, and says something in both languages.
fn feed_own(input: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(input);
    let faults = match check_own("gateway.toml", &text) {
        Ok(()) => return Ok("good".to_owned()),
        Err(faults) => faults,
    };
    let lines = text.split('\n').count();
    if faults.is_empty() {
        return Err("refused without a reason");
    }
    if faults.iter().any(|fault| fault.row.is_some_and(|row| row == 0 || row > lines)) {
        return Err("a fault in a line that there is not");
    }
    if faults.iter().any(|fault| fault.problem.zh().is_empty() || fault.problem.en().is_empty()) {
        return Err("a fault without words");
    }
    Ok(faults.iter().map(ToString::to_string).collect())
}

fn profiles() -> Vec<Vec<u8>> {
    BUILTIN.iter().map(|(_, text)| text.as_bytes().to_vec()).collect()
}

fn feed_profile(input: &[u8]) -> Answer {
    match Profile::parse("x", "x.toml", &String::from_utf8_lossy(input)) {
        Ok(profile) => Ok(format!("good {}", profile.points.len())),
        Err(faults) if faults.is_empty() => Err("refused without a reason"),
        Err(faults) => Ok(faults.iter().map(ToString::to_string).collect()),
    }
}

fn feed_limits(input: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(input);
    // Against the points of some site as well: what does not fit must be said, never assumed.
    static POINTS: LazyLock<Option<Site>> = LazyLock::new(|| site(SITE, RULES, TABLE).ok());
    let site = POINTS.as_ref().ok_or("the points do not load")?;
    match LimitSet::parse_for("limits.csv", &text, &site.catalogue) {
        Ok(set)
            if LimitSet::parse("limits.csv", &text).is_ok_and(|alone| alone.len() == set.len()) =>
        {
            Ok(format!("good {}", set.len()))
        }
        Ok(_) => Err("good for the points, and not alone"),
        Err(faults) if faults.is_empty() => Err("refused without a reason"),
        Err(faults) if LimitSet::parse("limits.csv", &text).is_ok() => {
            let first = faults.first().map(|fault| fault.trouble.to_string());
            Ok(format!("good alone {}", first.unwrap_or_default()))
        }
        Err(faults) => Ok(faults.iter().map(ToString::to_string).collect()),
    }
}

fn golden() -> Vec<Vec<u8>> {
    let bytes = |text: &&str| {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let hex: Vec<String> =
            lines.flat_map(|l| l.split_whitespace().map(str::to_owned)).collect();
        hex.iter().filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
    };
    GOLDEN.iter().map(bytes).collect()
}

fn feed_batch(input: &[u8]) -> Answer {
    match decode_batch(input) {
        Ok(batch) if batch.end() < batch.head.first => Err("a batch that ends before it begins"),
        Ok(batch) => {
            Ok(format!("good {}", batch.entries.iter().filter(|e| e.record.is_ok()).count()))
        }
        Err(fault) => Ok(fault.to_string()),
    }
}

fn feed_record(input: &[u8]) -> Answer {
    match decode_record(input) {
        Ok(record) => Ok(format!("good {:?}", std::mem::discriminant(&record.body))),
        Err(fault) => Ok(fault.to_string()),
    }
}

fn words() -> Vec<Vec<u8>> {
    vec![vec![0; 64], vec![0xff; 64], vec![0x7f, 0xc0, 0, 0, 0x41, 0x48, 0, 0]]
}

/// A site of every rule is shown registers out of the input, for some scans.
fn feed_words(input: &[u8]) -> Answer {
    let Ok(site) = site(SITE, RULES, TABLE) else {
        return Err("the rules of the corpus do not load");
    };
    let mut said = String::new();
    let word = |at: usize| {
        let byte = |at: usize| input.get(at % input.len().max(1)).copied().unwrap_or(0);
        u16::from_be_bytes([byte(at), byte(at + 1)])
    };
    for (index, device) in site.devices.iter().enumerate() {
        let mut scanner = Scanner::new(device.clone(), site.mappings_of(index), 0);
        for (asked, now) in (0..40_u64).map(|step| (step, step * 300)) {
            let Step::Read(request) = scanner.next(now) else { continue };
            let shift = usize::try_from(asked).unwrap_or(0) * 7;
            let cells = (0..usize::from(request.count)).map(|at| word(shift + at * 2));
            let payload = if request.function.is_bits() {
                Payload::Bits(cells.map(|word| word & 1 == 1).collect())
            } else {
                Payload::Words(cells.collect())
            };
            for (_, reading) in scanner.answer(Outcome::Data(payload), now).readings {
                if reading.value().is_some_and(|value| !value.is_finite()) {
                    return Err("a reading that is no number");
                }
                said.push_str(reading.word());
            }
        }
    }
    Ok(said)
}
