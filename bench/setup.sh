#!/bin/bash
# Installs what is missing of the Debian packages that holdfast is measured with and beside.
# Where nothing is missing, nothing is called: no network, no root.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../tests/setup.sh" bench
