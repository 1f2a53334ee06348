//! A configuration that is to run: taken, or handed back with the reason.

use fengsui_alerting::Plan;
use tokio::sync::{oneshot, watch};
use tracing::error;

use crate::config::Config;
use crate::orders;
use crate::outputs::siren::SirenState;

/// Taken, or why not.
pub(super) type Answer = oneshot::Receiver<Result<(), String>>;

/// A checked configuration, and who waits to hear what became of it.
#[derive(Debug)]
pub(crate) struct Proposal {
    config: Config,
    answer: oneshot::Sender<Result<(), String>>,
}

impl Proposal {
    pub(crate) fn new(config: Config) -> (Self, Answer) {
        let (answer, answered) = oneshot::channel();
        (Self { config, answer }, answered)
    }

    /// The configuration, if it is to run now. Whoever proposed it hears either way.
    pub(crate) async fn decide(
        self,
        in_memory: bool,
        siren: &watch::Sender<SirenState>,
    ) -> Option<Config> {
        let Self { config, answer } = self;
        // The kept order is read from the disk and checked against all points.
        let judged = tokio::task::spawn_blocking(move || (orders::judged(&config), config)).await;
        let decided = match judged {
            Ok((plan, config)) => match refusal(in_memory, &siren.borrow(), &plan) {
                None => Ok(config),
                Some(why) => Err(why),
            },
            Err(fault) => Err(format!("新配置无法核对  |  cannot be checked: {fault}")),
        };
        let (config, said) = match decided {
            Ok(config) => (Some(config), Ok(())),
            Err(why) => (None, Err(why)),
        };
        if answer.send(said).is_err() {
            error!("files are no longer followed");
        }
        config
    }
}

fn refusal(in_memory: bool, siren: &SirenState, plan: &Plan) -> Option<String> {
    lit_and_gone(siren, plan).or_else(|| {
        in_memory.then(|| {
            "磁盘不可用，重载会丢失内存中的记录：请先修复磁盘，再重启服务  |  the disk is dead: a \
             reload would lose what is in memory; mend the disk, then restart the service"
                .to_owned()
        })
    })
}

/// An alarm that stands, or that nobody has acknowledged, must not vanish with its row.
fn lit_and_gone(siren: &SirenState, plan: &Plan) -> Option<String> {
    let known = |key: &str| plan.alarms.iter().any(|alarm| alarm.key == key);
    let gone: Vec<&str> =
        siren.lit.iter().map(|lit| lit.key.as_str()).filter(|key| !known(key)).collect();
    (!gone.is_empty()).then(|| {
        let gone = gone.join(", ");
        format!(
            "报警 {gone} 未恢复或未确认，不能随重载删除：请先处理，再重载；或保留其测点和限值  |  {gone} \
             stands or is not acknowledged and must not vanish: deal with it first and reload \
             again, or keep its point and limit"
        )
    })
}
