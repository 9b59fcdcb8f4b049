//! Whatever `openclaw.json` the owner has written, the platform's settings are restored and the owner's other settings
//! stay. Restoring twice changes nothing more. Texts that are not JSON5, or are nested too deeply, are refused.
#![no_main]

use clawdeploy_fuzz::{choice, with_settings};
use clawdeploy_shared::openclaw::{
    ConfigChange,
    json5::{EditError, Tree, parse},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = choice(data) else { return };
    with_settings(choice, |before, settings| {
        let change = || ConfigChange::platform(settings).channel(before, settings).provider(settings);
        let changed = match change().apply(text) {
            Ok(changed) => changed.unwrap_or_else(|| text.to_owned()),
            Err(EditError::Wrong) => panic!("a text that is read can be changed"),
            Err(EditError::NoObject | EditError::Unreadable(_)) => return,
        };
        assert_eq!(change().apply(&changed), Ok(None), "once is not as twice");
        let (Ok(Tree::Object(owners)), Ok(Tree::Object(now))) = (parse(text), parse(&changed)) else {
            panic!("an object stays one");
        };
        for (name, value) in &owners {
            let ours = ["gateway", "agents", "channels", "plugins"].contains(&name.as_str());
            assert!(ours || now.get(name) == Some(value), "{name} was the owner's");
        }
        let platform = parse(r#"{ token: "right", mode: "token" }"#);
        let Some(Tree::Object(gateway)) = now.get("gateway") else { panic!("no gateway") };
        let (Some(Tree::Object(auth)), Ok(Tree::Object(platform))) = (gateway.get("auth"), platform) else {
            panic!("no token");
        };
        assert!(platform.iter().all(|(name, value)| auth.get(name) == Some(value)));
    });
});
