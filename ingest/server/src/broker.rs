//! The broker inside the process: MQTT 5, in memory. It may be lost at any moment; nothing that
//! matters is kept in it.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use fengsui_telemetry::wire::PACKET_MAX;
use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, MqttBroker};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// Messages kept for one client that does not read; beyond it the broker drops, and the gateways
/// offer again.
const QUEUED_MAX: usize = 10_000;
/// Topic, properties and header around the largest payload.
const PACKET_ROOM: usize = 16 * 1_024;

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Broker {
    /// Binds and starts, for so many clients at once.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(
        address: SocketAddr,
        clients: usize,
        mut stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let mut storage = StorageConfig::new().with_backend(StorageBackend::Memory);
        storage.enable_persistence = false;
        storage.max_queued_messages_per_client = QUEUED_MAX;
        let mut config = BrokerConfig::default()
            .with_bind_address(address)
            .with_max_packet_size(PACKET_MAX + PACKET_ROOM)
            .with_storage(storage);
        config.max_clients = clients;
        config.sys_topics_enabled = false;
        config.auth_config.allow_anonymous = true;
        let mut broker = MqttBroker::with_config(config)
            .await
            .map_err(|e| anyhow!("{e}"))
            .with_context(|| {
                format!("the MQTT broker cannot listen on {address}; is another one running there?")
            })?;
        let address = broker.local_addr().unwrap_or(address);
        let handle = broker.shutdown_handle();
        let task = tokio::spawn(async move {
            let stopping = async {
                let asked = stop.wait_for(|stop| *stop).await.is_ok();
                if asked {
                    handle.shutdown();
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = broker.run() => match ended {
                    Ok(()) => info!("broker stopped"),
                    Err(fault) => warn!(%fault, "broker ended"),
                },
                () = stopping => {}
            }
        });
        info!(%address, "embedded broker listens");
        Ok(Self { address, task })
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&self) {
        self.task.abort();
    }
}
