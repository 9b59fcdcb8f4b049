//! Rules for migrations, since each runs while older programs work on the same tables.

use std::{collections::BTreeSet, fs, path::Path};

/// The first migration that these rules apply to.
const FROM: u32 = 35;

/// Tables that grow with use. Reading one under a lock takes long.
const LARGE: [&str; 5] = ["jobs", "job_events", "audit", "instance_usage", "terminals"];

/// The statements of a file in lower case, without comments and with single spaces. The text of a function or of a `DO`
/// block is part of its statement.
fn statements(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let code = code.join("\n").to_lowercase();
    let (mut found, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(next) = code[at..].find([';', '$']).map(|offset| at + offset) {
        at = next + 1;
        if code[next..].starts_with(';') {
            found.push(&code[from..at]);
            from = at;
        } else if let Some(length) = code[at..].find('$') {
            // A quote: `$$` or `$tag$` up to the same again.
            let quote = &code[next..=at + length];
            at = code[at + length + 1..].find(quote).map_or(code.len(), |end| at + length + 1 + end + quote.len());
        }
    }
    found.push(&code[from..]);
    let single = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    found.into_iter().map(single).filter(|text| !text.is_empty()).collect()
}

/// The name after the first of `prefixes` that the text begins with, without its schema.
fn named<'a>(text: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    let rest = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let rest = rest.strip_prefix("if not exists ").or_else(|| rest.strip_prefix("only ")).unwrap_or(rest);
    let name = rest.split([' ', '(', ';']).next()?;
    Some(name.rsplit('.').next().unwrap_or(name))
}

/// What is wrong with a migration. `alone`: it does not run in one transaction.
fn faults(sql: &str, alone: bool) -> Vec<String> {
    let statements = statements(sql);
    let new: BTreeSet<&str> =
        statements.iter().filter_map(|text| named(text, &["create table ", "create unlogged table "])).collect();
    let mut faults = Vec::new();
    for text in &statements {
        let mut fault = |why: &str| faults.push(format!("{why}: {text}"));
        // Also what a `DO` block executes.
        for change in text.split("alter table ").skip(1) {
            let table = named(change, &[""]).unwrap_or_default();
            if new.contains(table) {
                continue;
            }
            for added in change.split(" add ").skip(1) {
                let checked = [" check ", " check(", " references ", "check (", "foreign key"];
                let checks = checked.iter().any(|word| added.contains(word));
                if checks && !added.contains("not valid") {
                    fault("reads the table under a lock; add it as NOT VALID, and VALIDATE it after that transaction");
                }
            }
            if change.contains("validate constraint") && !alone && sql.to_lowercase().contains("not valid") {
                fault("validates in the transaction that added the constraint, which still holds its lock");
            }
        }
        let index = text.strip_prefix("create unique index ").or_else(|| text.strip_prefix("create index "));
        if let Some(index) = index {
            let table = index.split(" on ").nth(1).and_then(|rest| named(rest, &[""])).unwrap_or_default();
            let concurrently = index.starts_with("concurrently ");
            if LARGE.contains(&table) && !new.contains(table) && !concurrently {
                fault("blocks writes while it reads the table; create it CONCURRENTLY");
            }
            if concurrently && (!alone || statements.len() > 1) {
                fault("must be the only statement, with run_in_transaction = false in metadata.toml");
            }
        }
    }
    faults
}

#[test]
fn no_migration_reads_a_table_under_a_lock() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut looked_at = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let number = name.split('-').nth(3).and_then(|rest| rest.split('_').next()?.parse::<u32>().ok());
        if number.is_none_or(|number| number < FROM) {
            continue;
        }
        looked_at += 1;
        let metadata = fs::read_to_string(path.join("metadata.toml")).unwrap_or_default();
        let alone = metadata.contains("run_in_transaction = false");
        let faults = faults(&fs::read_to_string(path.join("up.sql")).unwrap(), alone);
        assert_eq!(faults, Vec::<String>::new(), "{name}");
    }
    assert!(looked_at >= 4, "{looked_at}");
}

#[test]
fn each_rule_finds_its_fault() {
    let one = |sql: &str, alone| faults(sql, alone).len();
    assert_eq!(one("ALTER TABLE jobs ADD CONSTRAINT a CHECK (x > 0);", false), 1);
    assert_eq!(one("ALTER TABLE jobs ADD COLUMN a uuid REFERENCES users (id);", false), 1);
    assert_eq!(one("ALTER TABLE jobs ADD CONSTRAINT a FOREIGN KEY (x) REFERENCES y (z);", false), 1);
    assert_eq!(one("DO $$ BEGIN EXECUTE 'ALTER TABLE jobs ADD CONSTRAINT a CHECK (x)'; END $$;", false), 1);
    assert_eq!(one("ALTER TABLE jobs ADD CONSTRAINT a CHECK (x > 0) NOT VALID;", false), 0);
    assert_eq!(one("ALTER TABLE jobs ADD COLUMN a text; CREATE TABLE b (c int CHECK (c > 0));", false), 0);
    assert_eq!(one("CREATE TABLE b (c int); ALTER TABLE b ADD CONSTRAINT d CHECK (c > 0);", false), 0);
    let both = "ALTER TABLE jobs ADD CONSTRAINT a CHECK (x) NOT VALID; ALTER TABLE jobs VALIDATE CONSTRAINT a;";
    assert_eq!((one(both, false), one(both, true)), (1, 0));
    assert_eq!(one("CREATE INDEX a ON jobs (x);", false), 1);
    assert_eq!(one("CREATE INDEX a ON workers (x);", false), 0);
    assert_eq!(one("CREATE INDEX CONCURRENTLY a ON jobs (x);", false), 1);
    assert_eq!(one("-- why\nCREATE INDEX CONCURRENTLY a ON jobs (x);", true), 0);
    assert_eq!(one("CREATE INDEX CONCURRENTLY a ON jobs (x); CREATE INDEX b ON workers (x);", true), 1);
}
