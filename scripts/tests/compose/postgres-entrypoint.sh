#!/bin/bash
# Creates a cluster at the first start, with the user, password and database from the environment, and runs it.
set -Eeuo pipefail

as_postgres() { setpriv --reuid postgres --regid postgres --init-groups -- "$@"; }

mkdir -p "$PGDATA"
chown postgres:postgres "$PGDATA"
chmod 0700 "$PGDATA"
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  as_postgres initdb --username "$POSTGRES_USER" --auth-host scram-sha-256 --auth-local trust --pgdata "$PGDATA" >/dev/null
  printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  as_postgres pg_ctl --pgdata "$PGDATA" --wait -o "-c listen_addresses=''" start >/dev/null
  as_postgres createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
  as_postgres psql --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set=password="$POSTGRES_PASSWORD" \
    <<<"ALTER ROLE CURRENT_USER PASSWORD :'password'"
  as_postgres pg_ctl --pgdata "$PGDATA" --wait --mode fast stop >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --init-groups -- postgres -D "$PGDATA" -c 'listen_addresses=*'
