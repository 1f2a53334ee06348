//! The watchdog: a process of its own that speaks when the centre does not.
//!
//! - It shares nothing with the centre but its configuration: no database, no thread.
//! - It asks `/healthz`, which is well only while canaries come through engine, journal and desk:
//!   a page that still answers over an engine that has stopped is not taken for life.
//! - The centre misses it in turn: the desk says so when nobody asks any longer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};

use crate::clock;

/// The header by which the centre knows its watchdog.
pub const MARK: &str = "x-fengsui-watchdog";
/// An answer that takes longer is none.
const ANSWER: Duration = Duration::from_secs(4);
/// A command that is to speak may take this long.
const SPEAKING: Duration = Duration::from_secs(10);

/// Table `[watchdog]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    url: Option<String>,
    every_s: Option<u32>,
    patience_s: Option<u32>,
    repeat_s: Option<u32>,
    #[serde(default)]
    command: Vec<String>,
    webhook: Option<String>,
    file: Option<PathBuf>,
}

/// How the watchdog watches and speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The centre's `/healthz`.
    pub url: String,
    /// Between two questions.
    pub every: Duration,
    /// Without a good answer for this long it speaks.
    pub patience: Duration,
    /// And again after this long.
    pub repeat: Duration,
    /// A program that is run with the text as its last argument.
    pub command: Vec<String>,
    /// An address that gets `{"text", "lost"}` as JSON.
    pub webhook: Option<String>,
    /// A file that gets a line.
    pub file: Option<PathBuf>,
}

impl Text {
    /// With defaults: asks every 3 s, speaks after 10 s, again every minute.
    ///
    /// # Errors
    /// What is wrong, and the mend.
    pub fn settings(self, base: &Path, listen: Option<SocketAddr>) -> Result<Settings, String> {
        let url = match (self.url, listen) {
            (Some(url), _) if url.starts_with("http://") || url.starts_with("https://") => url,
            (Some(url), _) => {
                return Err(format!("url {url:?} does not begin with http:// or https://"));
            }
            (None, Some(listen)) => format!("http://127.0.0.1:{}/healthz", listen.port()),
            (None, None) => return Err("give url = \"http://HOST:PORT/healthz\"".to_owned()),
        };
        let seconds = |key: &str, given: Option<u32>, usual: u32, most: u32| match given {
            Some(s) if s < 1 || s > most => Err(format!("{key} {s}: must be 1 to {most}")),
            given => Ok(Duration::from_secs(u64::from(given.unwrap_or(usual)))),
        };
        let settings = Settings {
            url,
            every: seconds("every_s", self.every_s, 3, 60)?,
            patience: seconds("patience_s", self.patience_s, 10, 600)?,
            repeat: seconds("repeat_s", self.repeat_s, 60, 86_400)?,
            command: self.command,
            webhook: self.webhook,
            file: self.file.map(|file| base.join(file)),
        };
        let dumb =
            settings.command.is_empty() && settings.webhook.is_none() && settings.file.is_none();
        if dumb {
            return Err(
                "has no voice: give command = [\"…\"], webhook = \"…\" or file = \"…\"".into()
            );
        }
        Ok(settings)
    }
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    /// True: supervision is lost. False: it is back.
    pub lost: bool,
    /// Seconds without a good answer.
    pub for_s: u64,
    /// True: said before.
    pub repeat: bool,
    /// What was found last.
    pub why: String,
}

impl Speech {
    /// In words, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { lost, for_s, repeat, why } = self;
        let again = if *repeat { "（重复 repeat）" } else { "" };
        if *lost {
            format!(
                "烽燧中心失去监护 {for_s} 秒{again}：{why}。报警可能发不出来，请立即查看。 Supervision of the centre lost for {for_s} s."
            )
        } else {
            format!("烽燧中心恢复监护（中断 {for_s} 秒）。 The centre is supervised again.")
        }
    }
}

/// When to speak, without clock or network.
#[derive(Debug)]
pub struct Watch {
    patience: Duration,
    repeat: Duration,
    good_at: Instant,
    spoken_at: Option<Instant>,
}

impl Watch {
    /// Watches from now on.
    #[must_use]
    pub fn new(patience: Duration, repeat: Duration, now: Instant) -> Self {
        Self { patience, repeat, good_at: now, spoken_at: None }
    }

    /// Takes the answer to one question: good, or why not.
    pub fn heard(&mut self, answer: Result<(), String>, now: Instant) -> Option<Speech> {
        let silent = now.duration_since(self.good_at);
        let for_s = silent.as_secs();
        match answer {
            Ok(()) => {
                self.good_at = now;
                let repeat = false;
                let back = |_| Speech { lost: false, for_s, repeat, why: String::new() };
                self.spoken_at.take().map(back)
            }
            Err(why) => {
                let due = match self.spoken_at {
                    None => silent >= self.patience,
                    Some(spoken) => now.duration_since(spoken) >= self.repeat,
                };
                if !due {
                    return None;
                }
                let repeat = self.spoken_at.replace(now).is_some();
                Some(Speech { lost: true, for_s, repeat, why })
            }
        }
    }
}

/// Watches until the process ends.
pub async fn run(settings: Settings) {
    let client = match reqwest::Client::builder().timeout(ANSWER).build() {
        Ok(client) => client,
        Err(fault) => {
            error!(%fault, "no HTTP client");
            return;
        }
    };
    info!(url = settings.url, patience = ?settings.patience, "watching");
    let mut watch = Watch::new(settings.patience, settings.repeat, clock::monotonic());
    let mut questions = interval(settings.every);
    questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        questions.tick().await;
        let answer = ask(&client, &settings.url).await;
        if let Some(speech) = watch.heard(answer, clock::monotonic()) {
            speak(&client, &settings, &speech).await;
        }
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<(), String> {
    match client.get(url).header(MARK, "1").send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap_or_default();
            Err(format!("/healthz {status}: {}", body.chars().take(300).collect::<String>()))
        }
        Err(fault) if fault.is_timeout() => Err("没有应答 no answer".to_owned()),
        Err(fault) => Err(format!("连接失败 not reachable: {fault}")),
    }
}

/// By every voice that there is; one that fails does not stop the others.
async fn speak(client: &reqwest::Client, settings: &Settings, speech: &Speech) {
    let text = speech.text();
    if speech.lost {
        error!("{text}");
    } else {
        info!("{text}");
    }
    if let Some(file) = &settings.file {
        let line = format!("{} {text}\n", clock::now().0);
        if let Err(fault) = append(file, &line).await {
            warn!(file = %file.display(), %fault, "cannot speak by file");
        }
    }
    if let [program, args @ ..] = settings.command.as_slice() {
        let mut command = Command::new(program);
        command.args(args).arg(&text).kill_on_drop(true);
        match timeout(SPEAKING, command.status()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => warn!(program, %status, "the command that speaks failed"),
            Ok(Err(fault)) => warn!(program, %fault, "the command that speaks cannot be started"),
            Err(_) => warn!(program, "the command that speaks took too long"),
        }
    }
    if let Some(url) = &settings.webhook {
        let body = serde_json::json!({ "text": text, "lost": speech.lost });
        match client.post(url).json(&body).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => warn!(status = answer.status().as_u16(), "the webhook refused"),
            Err(fault) => warn!(%fault, "the webhook cannot be reached"),
        }
    }
}

async fn append(file: &Path, line: &str) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(file).await?;
    file.write_all(line.as_bytes()).await?;
    file.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_after_its_patience_repeats_and_says_when_it_is_over() {
        let start = clock::monotonic();
        let at = |s: u64| start + Duration::from_secs(s);
        let bad = || Err("no answer".to_owned());
        let mut watch = Watch::new(Duration::from_secs(15), Duration::from_secs(60), start);
        assert_eq!(watch.heard(Ok(()), at(5)), None);
        assert_eq!(watch.heard(bad(), at(10)), None, "one lost answer is no loss");
        assert_eq!(watch.heard(Ok(()), at(15)), None, "nothing was said, nothing is taken back");
        assert_eq!(watch.heard(bad(), at(29)), None);
        let lost = watch.heard(bad(), at(30)).unwrap();
        assert!(lost.lost && !lost.repeat && lost.for_s == 15);
        assert_eq!(watch.heard(bad(), at(89)), None);
        assert!(watch.heard(bad(), at(90)).unwrap().repeat);
        assert!(!watch.heard(Ok(()), at(95)).unwrap().lost);
        assert_eq!(watch.heard(Ok(()), at(100)), None);
    }

    #[test]
    fn a_watchdog_without_a_voice_is_refused() {
        let read = |text: &str| {
            let text: Text = toml::from_str(text).unwrap();
            text.settings(Path::new("/site"), Some(([127, 0, 0, 1], 8080).into()))
        };
        assert!(read("").unwrap_err().contains("no voice"));
        assert!(read("file = \"w\"\nevery_s = 0").unwrap_err().contains("every_s 0"));
        assert!(read("file = \"w\"\nurl = \"ftp://x\"").unwrap_err().contains("ftp"));
        let settings = read("file = \"spoken.txt\"").unwrap();
        assert_eq!(settings.url, "http://127.0.0.1:8080/healthz");
        assert_eq!(settings.file.unwrap(), Path::new("/site/spoken.txt"));
    }
}
