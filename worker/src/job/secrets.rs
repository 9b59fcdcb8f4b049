//! The secrets of an instance, decrypted for a step.

use std::collections::BTreeMap;

use clawdeploy_shared::{
    db::{
        instance::{Instance, InstanceSettings, seal_context},
        recoverable::Manifest,
    },
    secret::{Sealer, SecretError},
};
use secrecy::{ExposeSecret, SecretString};

/// Whether this installation's keys can decrypt the secrets of a manifest.
pub fn opens(sealer: &Sealer, manifest: &Manifest) -> bool {
    let id = &manifest.id;
    let settings = |settings: &InstanceSettings| {
        let fits = |sealed: &Option<String>, place| sealed.as_deref().is_none_or(|s| sealer.open(s, place).is_ok());
        let mut env = settings.env_sealed.iter();
        fits(&settings.bot_token_sealed, seal_context::bot_token(id))
            && fits(&settings.api_key_sealed, seal_context::api_key(id))
            && env.all(|(name, sealed)| {
                sealer.open(sealed, seal_context::env(id, &seal_context::env_column(name))).is_ok()
            })
    };
    sealer.open(&manifest.gateway_token_sealed, seal_context::gateway_token(id)).is_ok()
        && settings(&manifest.settings)
        && manifest.pending_settings.as_ref().is_none_or(settings)
}

/// The decrypted secrets of an instance.
#[derive(Debug)]
pub struct Secrets {
    pub gateway_token: SecretString,
    pub bot_token: Option<SecretString>,
    pub api_key: Option<SecretString>,
    /// The owner's environment variables.
    pub env: BTreeMap<String, SecretString>,
}

impl Secrets {
    pub fn open(sealer: &Sealer, instance: &Instance) -> Result<Self, SecretError> {
        let open = |sealed: &Option<String>, place| sealed.as_deref().map(|s| sealer.open(s, place)).transpose();
        let settings = instance.settings();
        let env = settings.env_sealed.iter().map(|(name, sealed)| {
            let column = seal_context::env_column(name);
            Ok((name.clone(), sealer.open(sealed, seal_context::env(&instance.id, &column))?))
        });
        Ok(Self {
            env: env.collect::<Result<_, SecretError>>()?,
            gateway_token: sealer.open(&instance.gateway_token_sealed, seal_context::gateway_token(&instance.id))?,
            bot_token: open(&instance.bot_token_sealed, seal_context::bot_token(&instance.id))?,
            api_key: open(&instance.api_key_sealed, seal_context::api_key(&instance.id))?,
        })
    }

    /// Every secret that must be masked in the output of a gateway.
    pub fn known(&self) -> Vec<&str> {
        let own = [Some(&self.gateway_token), self.bot_token.as_ref(), self.api_key.as_ref()];
        own.into_iter().flatten().chain(self.env.values()).map(ExposeSecret::expose_secret).collect()
    }
}
