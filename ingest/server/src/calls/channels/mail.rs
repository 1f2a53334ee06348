//! Mail over SMTP.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::config::Mail;
use super::{Failure, Message};

pub(super) async fn send(
    mail: &Mail,
    message: &Message,
    timeout: Duration,
) -> Result<String, Failure> {
    let address = |text: &str| {
        let parsed = text.parse::<Mailbox>();
        parsed.map_err(|fault| Failure::Lasting(format!("{text:?}: {fault}")))
    };
    let letter = lettre::Message::builder()
        .from(address(&mail.from)?)
        .to(address(&message.email)?)
        .message_id(Some(format!("<{}@fengsui>", message.reference)))
        .subject(message.title.clone())
        .body(message.text.clone())
        .map_err(|fault| Failure::Lasting(fault.to_string()))?;
    let builder = if mail.encrypted {
        AsyncSmtpTransport::<Tokio1Executor>::relay(&mail.host)
            .map_err(|fault| Failure::Lasting(fault.to_string()))?
    } else {
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
    };
    let mut builder = builder.port(mail.port).timeout(Some(timeout));
    if let Some((user, password)) = &mail.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
    }
    match builder.build().send(letter).await {
        Ok(answer) => Ok(answer.first_line().unwrap_or_default().chars().take(100).collect()),
        Err(fault) if fault.is_permanent() => Err(Failure::Lasting(fault.to_string())),
        Err(fault) => Err(Failure::Passing(fault.to_string())),
    }
}
