#!/usr/bin/env bash
# Builds the HTTP/1 codec for 64-bit ARM and runs its tests under qemu-user, so that the NEON
# scanner passes the same vectors as the others on a machine that is not an ARM.
#
#     tools/test_neon.sh
#
# Fails when a tool is missing, when a test fails and when the NEON scanner was not among
# those tested.
set -euo pipefail
cd "$(dirname "$0")/.."

[ ! -d .venv/bin ] || PATH=$PWD/.venv/bin:$PATH
folder=build/neon

for tool in meson ninja aarch64-linux-gnu-gcc qemu-aarch64; do
  command -v "$tool" >/dev/null || {
    echo "test_neon: $tool is missing (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)" >&2
    exit 1
  }
done

options=(-Dpython=disabled -Dbuildtype=debugoptimized -Ddefault_library=static -Dwerror=true)
if [ -e "$folder/build.ninja" ]; then
  meson configure "$folder" "${options[@]}"
else
  meson setup "$folder" --cross-file tools/cross/aarch64.ini "${options[@]}" >/dev/null
fi

# An emulator is slow: the time limits are for real machines.
meson test -C "$folder" --print-errorlogs --timeout-multiplier 10 'proto/h1/*'

grep -q '^ *neon$' "$folder/meson-logs/testlog.txt" || {
  echo "test_neon: the NEON scanner was not tested" >&2
  exit 1
}
echo "test_neon: the codec's tests passed with the NEON scanner"
