//! Host ports. A row means that an instance holds the port, or that the host refused it recently.

use diesel::{prelude::*, sql_types};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, schema::ports};
use crate::{ids::InstanceId, ports::PortRange};

/// How often another port is tried after a concurrent request took the chosen one.
const TRIES: usize = 8;

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = sql_types::Int4)]
    port: i32,
}

/// The port that an instance holds.
pub async fn of(conn: &mut Conn, id: &InstanceId) -> Result<Option<u16>, DbError> {
    let port: Option<i32> =
        ports::table.filter(ports::instance_id.eq(id)).select(ports::port).first(conn).await.optional()?;
    Ok(port.and_then(|port| u16::try_from(port).ok()))
}

/// The port of an instance, or a new one if it holds none. `None`: the range is exhausted.
pub async fn reserve(conn: &mut Conn, id: &InstanceId, range: PortRange) -> Result<Option<u16>, DbError> {
    if let Some(port) = of(conn, id).await? {
        return Ok(Some(port));
    }
    for _ in 0..TRIES {
        // A random free port. A port that was just released is not the next to be given out, so that an old bookmark
        // does not open another instance's gateway.
        let candidate: Option<Candidate> = diesel::sql_query(
            "SELECT free.port::int AS port FROM generate_series($1::int, $2::int) AS free (port) \
             WHERE NOT EXISTS (SELECT 1 FROM ports held WHERE held.port = free.port \
                AND (held.instance_id IS NOT NULL OR held.refused_until > now())) \
             ORDER BY random() LIMIT 1",
        )
        .bind::<sql_types::Int4, _>(i32::from(range.first))
        .bind::<sql_types::Int4, _>(i32::from(range.last))
        .get_result(conn)
        .await
        .optional()?;
        let Some(Candidate { port }) = candidate else { return Ok(None) };
        let taken = diesel::sql_query(
            "INSERT INTO ports (port, instance_id) VALUES ($1, $2) \
             ON CONFLICT (port) DO UPDATE SET instance_id = $2, refused_until = NULL, reserved_at = now() \
             WHERE ports.instance_id IS NULL AND ports.refused_until <= now()",
        )
        .bind::<sql_types::Int4, _>(port)
        .bind::<sql_types::Text, _>(id)
        .execute(conn)
        .await?;
        if taken > 0 {
            return Ok(u16::try_from(port).ok());
        }
    }
    Ok(None)
}

/// Releases a port.
pub async fn release(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::delete(ports::table.filter(ports::instance_id.eq(id))).execute(conn).await?;
    Ok(())
}

/// Releases a port because another program uses it on the host. It is not given out for ten minutes.
pub async fn refuse(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    let later = diesel::dsl::sql::<sql_types::Nullable<sql_types::Timestamptz>>("now() + interval '10 minutes'");
    diesel::update(ports::table.filter(ports::instance_id.eq(id)))
        .set((ports::instance_id.eq(None::<String>), ports::refused_until.eq(later)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes expired refusals and returns their ports.
pub async fn forget_refusals(conn: &mut Conn) -> Result<Vec<u16>, DbError> {
    let over = ports::table.filter(ports::instance_id.is_null().and(ports::refused_until.le(diesel::dsl::now)));
    let freed: Vec<i32> = diesel::delete(over).returning(ports::port).get_results(conn).await?;
    Ok(freed.into_iter().filter_map(|port| u16::try_from(port).ok()).collect())
}
