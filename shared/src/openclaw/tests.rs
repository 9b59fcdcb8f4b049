use super::*;

fn routing(routing: Routing) -> RoutingArgs {
    RoutingArgs { routing, base_domain: "claw.test".into(), port_range: "10000-20000".parse().unwrap() }
}

fn settings<'a>(id: &'a InstanceId, token: &'a SecretString, routing: &'a RoutingArgs) -> GatewaySettings<'a> {
    GatewaySettings {
        id,
        token,
        channel: Channel::None,
        bot_token: None,
        ai_provider: AiProvider::None,
        api_key: None,
        routing,
        port: 10001,
        proxy: Ipv4Addr::new(10, 210, 0, 9),
        openclaw_version: "2026.9.6",
        created_at: "2026-01-02T03:04:05Z".into(),
    }
}

#[test]
fn behind_nginx_only_its_own_origin_and_proxy_are_trusted() {
    let (id, token, routing) = ("abcdefghijkl".parse().unwrap(), SecretString::from("t"), routing(Routing::Nginx));
    let config = config(&settings(&id, &token, &routing));
    assert_eq!(config["gateway"]["controlUi"]["allowedOrigins"], json!(["https://abcdefghijkl.claw.test"]));
    assert_eq!(config["gateway"]["trustedProxies"], json!(["10.210.0.9"]));
}

#[test]
fn discord_is_enabled_as_a_plugin_too() {
    let (id, token, routing) = ("abcdefghijkl".parse().unwrap(), SecretString::from("t"), routing(Routing::Direct));
    let bot = SecretString::from("bot");
    let config = config(&GatewaySettings {
        channel: Channel::Discord,
        bot_token: Some(&bot),
        ..settings(&id, &token, &routing)
    });
    assert_eq!(config["channels"]["discord"]["token"], "bot");
    assert_eq!(config["plugins"]["entries"]["discord"]["enabled"], true);
}

#[test]
fn an_owners_changes_survive_and_the_platforms_part_comes_back() {
    let (id, token, routing) = ("abcdefghijkl".parse().unwrap(), SecretString::from("right"), routing(Routing::Direct));
    let mut file = json!({ "gateway": { "auth": { "token": "wrong" }, "terminal": { "enabled": true } }, "theme": 1 });
    restore_platform_config(&mut file, &settings(&id, &token, &routing));
    assert_eq!(file["gateway"]["auth"]["token"], "right");
    assert_eq!(file["gateway"]["terminal"]["enabled"], true);
    assert_eq!(file["theme"], 1);
}

#[test]
fn the_env_file_names_the_providers_variable() {
    let key = SecretString::from("sk-1");
    assert_eq!(
        env_file(AiProvider::Gemini, Some(&key)).expose_secret().lines().last(),
        Some("GEMINI_API_KEY=\"sk-1\"")
    );
    assert!(!env_file(AiProvider::None, Some(&key)).expose_secret().contains("sk-1"));
}
