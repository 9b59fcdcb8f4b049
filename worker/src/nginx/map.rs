//! Renders the file with the instances' ports for nginx.
//!
//! A line that nginx rejects blocks reloads for everybody, and one with a special meaning (`~.*`, `*.x`, `hostnames`, a
//! variable) would send people to another instance. So no text of a row is written as it is: the id is parsed, and the
//! port is printed from a number within the instances' range.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

use clawdeploy_shared::{db::route::RouteRow, ids::InstanceId, ports::PortRange};

/// Prefix of the generation's line.
const GENERATION: &str = "# Generation ";

/// An instance and the address of its gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub id: InstanceId,
    pub gateway: SocketAddr,
}

/// A row that is not routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The id from the row, escaped and cut.
    pub subject: String,
    pub reason: String,
}

impl SetAside {
    pub fn new(id: &str, reason: impl Into<String>) -> Self {
        Self { subject: id.escape_default().take(80).collect(), reason: reason.into() }
    }
}

/// Separates the rows that can be routed from the others. Of two conflicting rows neither is routed: it is not known
/// which one is right, and the wrong one would open another instance's gateway.
pub fn sort_out(rows: Vec<RouteRow>, range: PortRange) -> (Vec<Route>, Vec<SetAside>) {
    let (mut by_id, mut by_port) = (HashMap::<String, usize>::new(), HashMap::<i32, usize>::new());
    for row in &rows {
        *by_id.entry(row.id.clone()).or_default() += 1;
        *by_port.entry(row.port).or_default() += 1;
    }
    let (mut routes, mut set_aside) = (Vec::new(), Vec::new());
    for row in rows {
        let port = u16::try_from(row.port).ok().filter(|port| (range.first..=range.last).contains(port));
        match (row.id.parse(), port) {
            (Ok(_), _) if by_id[&row.id] > 1 => {
                set_aside.push(SetAside::new(&row.id, "Two rows have this id."));
            }
            (Ok(_), Some(port)) if by_port[&row.port] > 1 => {
                set_aside.push(SetAside::new(&row.id, format!("Another instance also has port {port}.")));
            }
            (Ok(id), Some(port)) => routes.push(Route { id, gateway: (Ipv4Addr::LOCALHOST, port).into() }),
            (Ok(_), None) => {
                let reason = format!("The port {} is not within {}-{}.", row.port, range.first, range.last);
                set_aside.push(SetAside::new(&row.id, reason));
            }
            (Err(_), _) => set_aside.push(SetAside::new(&row.id, "This is not an instance id.")),
        }
    }
    (routes, set_aside)
}

/// Renders the file, for nginx's `http` block.
pub fn render(generation: i64, routes: &[Route]) -> String {
    // Allocated once, whatever the number of lines.
    let mut text = String::with_capacity(512 + routes.len() * 24);
    let _ = write!(
        text,
        "# Written by clawdeploy-worker from its database. What is changed here is lost.\n\
         {GENERATION}{generation}\n\
         map_hash_bucket_size 256;\n\
         map_hash_max_size 65536;\n\
         map \"\" $clawdeploy_generation {{\n  default {generation};\n}}\n\
         map $instance_id $clawdeploy_port {{\n  default 0;\n"
    );
    for Route { id, gateway } in routes {
        // nginx's own configuration has 127.0.0.1, where all gateways are. Only the port differs.
        let _ = writeln!(text, "  \"{id}\" {};", gateway.port());
    }
    text.push_str("}\n");
    text
}

/// The generation of a file made by [`render`]. 0 for any other.
pub fn generation(text: &str) -> i64 {
    let line = text.lines().find_map(|line| line.strip_prefix(GENERATION));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: PortRange = PortRange { first: 10000, last: 20000 };

    fn row(id: &str, port: i32) -> RouteRow {
        RouteRow { id: id.into(), port }
    }

    fn route(id: &str, port: u16) -> Route {
        Route { id: id.parse().unwrap(), gateway: (Ipv4Addr::LOCALHOST, port).into() }
    }

    #[test]
    fn only_ids_and_ports_get_into_the_file() {
        let long = "a".repeat(63);
        let hostile = [
            long.as_str(),
            "~.*",
            "*.x",
            ".x",
            "x.",
            "hostnames",
            "volatile",
            "default",
            "include",
            "",
            "ABCDEFGHIJKL",
            "abcdefghijk\"",
            "abcdefghijk;",
            "abcdefghijk\n",
            "a b",
            "} server {",
            "$http_evil00",
            "abcdefghijk\0",
        ];
        let mut rows: Vec<_> = (10001..).zip(hostile).map(|(port, id)| row(id, port)).collect();
        rows.push(row("abcdefghijkl", 10000));
        let (routes, set_aside) = sort_out(rows, RANGE);
        assert_eq!(routes, [route("abcdefghijkl", 10000)]);
        assert_eq!(set_aside.len(), hostile.len());
        assert!(set_aside.iter().all(|s| s.subject.len() <= 80 && !s.subject.contains(['\n', '\0'])), "{set_aside:?}");
    }

    #[test]
    fn rows_that_contradict_each_other_are_all_set_aside() {
        let rows = vec![
            row("aaaaaaaaaaaa", 10000),
            row("aaaaaaaaaaaa", 10001),
            row("bbbbbbbbbbbb", 10002),
            row("cccccccccccc", 10002),
            row("dddddddddddd", 5432),
            row("eeeeeeeeeeee", -1),
            row("ffffffffffff", 75536),
            row("gggggggggggg", 10003),
        ];
        let (routes, set_aside) = sort_out(rows, RANGE);
        assert_eq!(routes, [route("gggggggggggg", 10003)]);
        assert_eq!(set_aside.len(), 7);
    }

    #[test]
    fn the_file_is_as_nginx_reads_it() {
        let text = render(7, &[route("abcdefghijkl", 12345)]);
        assert!(text.ends_with("map $instance_id $clawdeploy_port {\n  default 0;\n  \"abcdefghijkl\" 12345;\n}\n"));
        assert_eq!((generation(&text), generation("")), (7, 0));
    }
}
