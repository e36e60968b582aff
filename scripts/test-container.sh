#!/usr/bin/env bash
# Builds the image of examples/docker with podman, and runs test/e2e/container.test.ts on it.
#
# Isolated from the rest of the machine: mounts, processes and ports are in separate namespaces, whose processes are killed
# at the end. Images and the state of podman are in a temporary directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lack () {
  echo "npm run test:container requires $1" >&2
  exit 1
}
for tool in podman crun unshare ip; do
  command -v $tool >/dev/null || lack "$tool. On Debian, install podman, crun, util-linux and iproute2."
done
((EUID == 0)) || lack 'root, to create namespaces.'

dir=$(mktemp -d) namespaces=
cleanup () {
  # Otherwise processes in the namespaces would keep running.
  if [[ -n $namespaces ]]; then kill -KILL "$namespaces" 2>/dev/null || true; wait; fi
  rm -rf "$dir"
}
trap cleanup EXIT

cat >"$dir/containers.conf" <<'END'
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
# A sandbox may not permit cgroups and higher limits.
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
END
export CONTAINERS_CONF=$dir/containers.conf

# Runs a command in separate namespaces, where the state of podman is in $dir.
apart () {
  STATE=$dir/state unshare --mount --pid --fork --kill-child --mount-proc bash -euc '
    for folder in /var/lib/containers /run/containers /run/libpod /run/crun /dev/shm; do
      mkdir -p "$folder" "$STATE$folder"
      mount --bind "$STATE$folder" "$folder"
    done
    mount -t cgroup2 none /sys/fs/cgroup
    "$@"
    exit' apart "$@" &
  namespaces=$!
  # Unlike a command in the foreground, `wait` is interrupted by a signal.
  wait "$namespaces"
  namespaces=
}

# Replaces `node:*-slim`, so that no image is pulled: Node.js, npm and a shell from this machine, with their libraries.
base () {
  local root=$dir/base file cafile
  mkdir -p "$root"/{etc,root,usr/bin,usr/local/{bin,etc,lib/node_modules}}
  mkdir -m 1777 "$root/tmp"
  ln -s usr/bin "$root/bin"
  printf '%s\n' root:x:0:0::/root:/bin/sh node:x:1000:1000::/:/bin/sh >"$root/etc/passwd"
  cp "$(node -p process.execPath)" "$root/usr/local/bin/node"
  cp -r "$(npm root --global)/npm" "$root/usr/local/lib/node_modules"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  cp -L /bin/sh /usr/bin/env "$root/usr/bin"
  for file in $(ldd "$root"/usr/bin/* "$root/usr/local/bin/node" | grep -oE '[[:blank:]]/[^ ]+' | sort -u); do
    cp -L --parents "$file" "$root"
  done
  # Use the npm registry that is configured on this machine.
  cafile=$(npm config get cafile)
  if [[ $cafile != null ]]; then
    cp "$cafile" "$root/usr/local/etc/ca.pem"
    echo cafile=/usr/local/etc/ca.pem >"$root/usr/local/etc/npmrc"
  fi
  echo "registry=$(npm config get registry)" >>"$root/usr/local/etc/npmrc"
  tar -c -C "$root" -f "$root.tar" .
}

# A copy of the example that depends on the packed package. All other packages have the versions of this project.
context () {
  mkdir -p "$dir/packages"
  cp -r examples/docker "$dir/app"
  cp package-lock.json "$dir/app"
  npm pack --silent --ignore-scripts --pack-destination "$dir/packages"
  (cd "$dir/app" && npm install --silent --package-lock-only ../packages/*.tgz)
}

version=$(node -p 'process.versions.node.split(".")[0]')
base
apart podman import --quiet --change ENV=PATH=/usr/local/bin:/usr/bin "$dir/base.tar" "docker.io/library/node:$version-slim"
context
# The OCI format has no HEALTHCHECK. `chroot` needs no cgroups for RUN. package.json of the copy refers to /packages.
apart podman build --format docker --pull=never --build-arg "NODE_VERSION=$version" --isolation chroot --network host \
  --volume "$dir/packages:/packages:ro" --layers=false --tag localhost/orders "$dir/app"
apart unshare --net sh -c 'ip link set lo up && tap --disable-coverage --timeout=240 test/e2e/container.test.ts'
