//! Whatever an owner has made of `openclaw.json`, the platform's part is put back, once as well as twice, and what the owner
//! has set elsewhere stays.
#![no_main]

use clawdeploy_fuzz::{choice, with_settings};
use clawdeploy_shared::openclaw::{change_channel, change_provider, restore_platform_config};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = choice(data) else { return };
    let Ok(owners) = serde_json::from_str::<Value>(text) else { return };
    with_settings(choice, |before, settings| {
        let mut file = owners.clone();
        change_channel(&mut file, before, settings);
        change_provider(&mut file, settings);
        restore_platform_config(&mut file, settings);
        assert_eq!(file["gateway"]["auth"]["token"], "right");
        assert_eq!(file["gateway"]["bind"], "lan");
        assert_eq!(file["gateway"]["auth"]["mode"], "token");
        let once = file.clone();
        restore_platform_config(&mut file, settings);
        assert_eq!(file, once, "once is not as twice");
        for (name, value) in owners.as_object().into_iter().flatten() {
            let ours = ["gateway", "agents", "channels", "plugins"].contains(&name.as_str());
            assert!(ours || &file[name] == value, "{name} was the owner's");
        }
    });
});
