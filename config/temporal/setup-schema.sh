#!/bin/sh
# Makes both databases and brings their schema up to the image's version. Safe to repeat: each step does nothing where it is done.
# Environment: SQL_PLUGIN SQL_HOST SQL_PORT SQL_USER SQL_PASSWORD (read by temporal-sql-tool).
set -eu

schema_root=${SCHEMA_ROOT:-/etc/temporal/schema/postgresql/v12}

set_up() {
  database=$1
  schema=$2
  # An existing database is no error here; a database that cannot be reached fails at the next line.
  temporal-sql-tool --db "$database" create || echo "database $database: exists"
  temporal-sql-tool --db "$database" setup-schema -v 0.0 || echo "database $database: schema exists"
  temporal-sql-tool --db "$database" update-schema -d "$schema_root/$schema/versioned"
}

set_up temporal temporal
set_up temporal_visibility visibility
echo "schema is up to date"
