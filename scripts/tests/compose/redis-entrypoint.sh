#!/bin/bash
set -Eeuo pipefail
chown redis:redis /data
exec setpriv --reuid redis --regid redis --init-groups -- "$@"
