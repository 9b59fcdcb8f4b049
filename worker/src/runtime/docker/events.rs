//! Events of our containers.

use std::collections::HashMap;

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream::BoxStream};

use super::{
    client::Docker,
    error::DockerError,
    spec::{LABEL_DEPLOYMENT, LABEL_INSTANCE},
};
use crate::runtime::{InstanceAction, InstanceEvent, Reference};

impl InstanceAction {
    const NAMES: [(&'static str, Self); 7] = [
        ("start", Self::Start),
        ("die", Self::Die),
        ("oom", Self::Oom),
        ("stop", Self::Stop),
        ("pause", Self::Pause),
        ("unpause", Self::Unpause),
        ("destroy", Self::Destroy),
    ];
}

impl Docker {
    /// Events of this deployment's containers, from now on and without a gap: those between this call and the engine's
    /// first answer are included.
    ///
    /// The stream goes on until the engine ends it or an error occurs. The caller reconnects and checks what it missed.
    pub async fn events(&self) -> Result<BoxStream<'static, Result<InstanceEvent, DockerError>>, DockerError> {
        let now = Utc::now();
        let api = self.api().await?;
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", vec![format!("{LABEL_DEPLOYMENT}={}", self.deployment())]),
            ("event", InstanceAction::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect()),
        ]);
        let since = format!("{}.{:09}", now.timestamp(), now.timestamp_subsec_nanos());
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let docker = self.clone();
        let events = api.events(Some(options)).filter_map(move |message| {
            let event = match message {
                Ok(message) => event_of(message).map(Ok),
                Err(source) => Some(Err(docker.failed("tell its events", source))),
            };
            std::future::ready(event)
        });
        Ok(events.boxed())
    }
}

fn event_of(message: EventMessage) -> Option<InstanceEvent> {
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let name = message.action?;
    let (_, action) = *InstanceAction::NAMES.iter().find(|(known, _)| *known == name)?;
    Some(InstanceEvent {
        instance: attributes.get(LABEL_INSTANCE)?.parse().ok()?,
        gateway: Reference::new(actor.id?),
        action,
        exit_code: attributes.get("exitCode").and_then(|code| code.parse().ok()),
        at: message.time_nano.map_or_else(Utc::now, DateTime::from_timestamp_nanos),
    })
}
