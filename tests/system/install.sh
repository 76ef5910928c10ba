#!/usr/bin/env bash
# Install the system packages that `make test-system` needs; where that is not allowed, name them.
set -euo pipefail
packages=(g++ g++-aarch64-linux-gnu libonnx-testdata libsimde-dev openssh-client openssh-server qemu-user-static)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "make test-system needs system packages that are missing: ${missing[*]}" >&2
  echo "  next: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
