//! Columns that key rotation re-encrypts. The rotation itself is tested in `tests/it/keys.rs`.

use clawdeploy_shared::{
    db::reseal::{self, Column},
    secret::{SealContext, Sealer},
};

use crate::support::TestApi;

/// `secrets rotate` knows all columns whose name ends with `sealed`.
#[tokio::test]
async fn every_sealed_column_is_known() {
    let env = TestApi::start(&[]).await;
    let sql = "SELECT table_name || '.' || column_name AS name FROM information_schema.columns \
        WHERE table_schema = 'public' AND column_name LIKE '%sealed' ORDER BY 1";
    let found: Vec<_> = env.rows(sql).await.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    let mut known =
        ["api_key_sealed", "bot_token_sealed", "gateway_token_sealed"].map(|name| format!("instances.{name}")).to_vec();
    known.extend(reseal::COLUMNS.iter().map(|column| format!("{}.{}", column.table, column.name)));
    known.sort();
    assert_eq!(found, known);
    env.finish().await;
}

/// A column is re-encrypted in batches. Values that no key opens are reported and left as they are.
#[tokio::test]
async fn a_column_is_sealed_anew() {
    let env = TestApi::start(&[]).await;
    let (old, new): (&[u8], &[u8]) = (&[7; 32], &[8; 32]);
    let (before, both) = (Sealer::from_key(old).unwrap(), Sealer::from_keys(&[new, old]).unwrap());
    env.execute("CREATE TABLE things (id int PRIMARY KEY, thing_sealed text)").await;
    for id in 0..450 {
        let row = id.to_string();
        let context = SealContext { table: "things", column: "thing", row: &row };
        let sealed = before.seal(&format!("thing {id}").into(), context).unwrap();
        env.execute(&format!("INSERT INTO things VALUES ({id}, '{sealed}')")).await;
    }
    env.execute("UPDATE things SET thing_sealed = NULL WHERE id = 7").await;
    env.execute("UPDATE things SET thing_sealed = 'v1.00000000.AAAA' WHERE id = 8").await;
    let things = Column { table: "things", context: "thing", name: "thing_sealed" };
    let mut conn = env.db.conn().await.unwrap();
    assert_eq!(reseal::column(&mut conn, &both, things).await.unwrap(), (448, vec!["8".to_owned()]));
    assert_eq!(reseal::column(&mut conn, &both, things).await.unwrap(), (0, vec!["8".to_owned()]));
    let after = Sealer::from_key(new).unwrap();
    let sealed = env.row("SELECT thing_sealed FROM things WHERE id = 449").await;
    let context = SealContext { table: "things", column: "thing", row: "449" };
    let opened = after.open(sealed["thing_sealed"].as_str().unwrap(), context).unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&opened), "thing 449");
    drop(conn);
    env.finish().await;
}
