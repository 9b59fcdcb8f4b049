mod anything;

use super::*;

fn routing(routing: Routing) -> RoutingArgs {
    let port_range = "10000-20000".parse().unwrap();
    RoutingArgs { routing, base_domain: "claw.test".into(), https_port: 443, port_range }
}

static NO_ENV: BTreeMap<String, SecretString> = BTreeMap::new();

fn settings<'a>(id: &'a InstanceId, token: &'a SecretString, routing: &'a RoutingArgs) -> GatewaySettings<'a> {
    GatewaySettings {
        id,
        token,
        channel: Channel::None,
        bot_token: None,
        ai_provider: AiProvider::None,
        api_key: None,
        env: &NO_ENV,
        routing,
        port: 10001,
        proxy: Ipv4Addr::new(10, 210, 0, 9),
        openclaw_version: "2026.9.6",
        created_at: "2026-01-02T03:04:05Z".into(),
    }
}

fn env_text(file: &SecretSlice<u8>) -> String {
    String::from_utf8(file.expose_secret().to_vec()).unwrap()
}

#[test]
fn behind_nginx_only_its_own_origin_and_proxy_are_trusted() {
    let (id, token, routing) = ("abcdefghijkl".parse().unwrap(), SecretString::from("t"), routing(Routing::Nginx));
    let config = config(&settings(&id, &token, &routing));
    assert_eq!(config["gateway"]["controlUi"]["allowedOrigins"], json!(["https://abcdefghijkl.claw.test"]));
    assert_eq!(config["gateway"]["trustedProxies"], json!(["10.210.0.9"]));
}

#[test]
fn a_port_other_than_the_usual_one_is_part_of_the_origin() {
    let routing = RoutingArgs { https_port: 8443, ..routing(Routing::Nginx) };
    let (id, token) = ("abcdefghijkl".parse().unwrap(), SecretString::from("t"));
    let config = config(&settings(&id, &token, &routing));
    assert_eq!(config["gateway"]["controlUi"]["allowedOrigins"], json!(["https://abcdefghijkl.claw.test:8443"]));
    assert_eq!(routing.dashboard_url(&id, 10001), "https://abcdefghijkl.claw.test:8443/");
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
    let file = "{ gateway: { auth: { token: 'wrong' }, terminal: { enabled: true } }, /* mine */ theme: 1 }";
    let change = ConfigChange::platform(&settings(&id, &token, &routing));
    let text = change.apply(file).unwrap().unwrap();
    assert!(text.contains(" /* mine */ theme: 1"), "{text}");
    let file: Value = ::json5::from_str(&text).unwrap();
    assert_eq!(file["gateway"]["auth"]["token"], "right");
    assert_eq!(file["gateway"]["terminal"]["enabled"], true);
    assert_eq!(file["theme"], 1);
}

#[test]
fn the_env_file_holds_the_providers_key_and_the_owners_variables() {
    let (id, token, routing) = ("abcdefghijkl".parse().unwrap(), SecretString::from("t"), routing(Routing::Direct));
    let (key, env) = (SecretString::from("sk-1"), BTreeMap::from([("MINE".to_owned(), SecretString::from("a b"))]));
    let with_key = GatewaySettings {
        ai_provider: AiProvider::Gemini,
        api_key: Some(&key),
        env: &env,
        ..settings(&id, &token, &routing)
    };
    let file = env_text(&env_file(&variables(&with_key)));
    let lines: Vec<_> = file.lines().skip(1).collect();
    assert_eq!(lines, ["GEMINI_API_KEY=\"sk-1\"", "MINE=\"a b\""]);
    let without_provider = GatewaySettings { ai_provider: AiProvider::None, ..with_key };
    assert!(!env_text(&env_file(&variables(&without_provider))).contains("sk-1"));
}

#[test]
fn other_variables_take_the_place_of_the_platforms_and_leave_the_owners_lines() {
    let before = BTreeSet::from(["OPENAI_API_KEY".to_owned(), "GONE".to_owned()]);
    let key = SecretString::from("new");
    // CRLF line ends and invalid UTF-8 in the owner's lines stay as well.
    let file = b"# mine \xff\r\nOPENAI_API_KEY=\"old\"\nGONE=1\nMINE=1\r\nGEMINI_API_KEY=by hand\nLAST=2";
    let changed = change_env_file(file, &before, &BTreeMap::from([("GEMINI_API_KEY", &key)]));
    assert_eq!(changed.expose_secret(), b"# mine \xff\r\nMINE=1\r\nLAST=2\nGEMINI_API_KEY=\"new\"\n");
}

#[test]
fn another_channel_switches_the_one_before_off() {
    let (id, token, routing) = ("abcdefghijkl".parse().unwrap(), SecretString::from("t"), routing(Routing::Direct));
    let bot = SecretString::from("bot");
    let discord =
        GatewaySettings { channel: Channel::Discord, bot_token: Some(&bot), ..settings(&id, &token, &routing) };
    let file = r#"{ "channels": { "telegram": { "enabled": true, "dmPolicy": "open", "botToken": "old" } } }"#;
    let text = ConfigChange::default().channel(Channel::Telegram, &discord).apply(file).unwrap().unwrap();
    let file: Value = serde_json::from_str(&text).expect("plain JSON as before");
    assert_eq!(file["channels"]["telegram"], json!({ "enabled": false, "dmPolicy": "open" }));
    assert_eq!(file["channels"]["discord"], json!({ "enabled": true, "token": "bot" }));
}
