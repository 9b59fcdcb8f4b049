//! Whatever the rows contain, the map for nginx has only lines of one form and no duplicates.
#![no_main]

use std::collections::HashSet;

use clawdeploy_shared::{db::route::RouteRow, ids::InstanceId, ports::PortRange};
use clawdeploy_worker::nginx::map::{generation, render, sort_out};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

const RANGE: PortRange = PortRange { first: 10_000, last: 20_000 };

/// A nearly valid id, or any text.
#[derive(Debug, Arbitrary)]
enum Id {
    Near(u8),
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Port {
    Near(u8),
    Other(i32),
}

fuzz_target!(|input: (i64, Vec<(Id, Port)>)| {
    let (number, rows) = input;
    let count = rows.len();
    let rows = rows.into_iter().map(|(id, port)| RouteRow {
        id: match id {
            Id::Near(letter) => format!("abcdefghijk{}", char::from(letter)),
            Id::Other(text) => text,
        },
        port: match port {
            Port::Near(offset) => 10_000 + i32::from(offset),
            Port::Other(port) => port,
        },
    });
    let (routes, set_aside) = sort_out(rows.collect(), RANGE);
    assert_eq!(routes.len() + set_aside.len(), count, "a row is lost");
    for one in &set_aside {
        assert!(one.subject.len() <= 80 && one.subject.is_ascii() && !one.subject.contains('\n'), "{one:?}");
    }
    let number = number.checked_abs().unwrap_or_default();
    let text = render(number, &routes);
    assert_eq!(generation(&text), number);
    let (head, lines) = text.split_once("map $instance_id $clawdeploy_port {\n  default 0;\n").expect("the map");
    assert_eq!(head.lines().count(), 7, "{head}");
    let lines: Vec<&str> = lines.strip_suffix("}\n").expect("its end").lines().collect();
    assert_eq!(lines.len(), routes.len());
    let (mut ids, mut ports) = (HashSet::new(), HashSet::new());
    for line in lines {
        let rest = line.strip_prefix("  \"").and_then(|rest| rest.strip_suffix(';')).expect(line);
        let (id, port) = rest.split_once("\" ").expect(line);
        assert!(id.parse::<InstanceId>().is_ok() && ids.insert(id), "{line}");
        let port: u16 = port.parse().expect(line);
        assert!((RANGE.first..=RANGE.last).contains(&port) && ports.insert(port), "{line}");
    }
});
