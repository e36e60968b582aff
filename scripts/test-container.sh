#!/usr/bin/env bash
# Builds the image of examples/docker by its Dockerfile, and runs test/container.test.ts on it, with podman.
#
# Nothing of it meets the rest of the machine: mounts, processes and the tests' ports are in namespaces of their own, which
# end with all that is in them; images and what podman keeps of containers are in a temporary folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lack () {
  echo "npm run test:container needs $1" >&2
  exit 1
}
for tool in podman crun unshare ip; do
  command -v $tool >/dev/null || lack "$tool. Debian has it in one of the packages podman, crun, util-linux and iproute2."
done
((EUID == 0)) || lack 'to be run as root, which may make namespaces.'

dir=$(mktemp -d) namespaces=
cleanup () {
  # Whoever still runs there would go on without us.
  if [[ -n $namespaces ]]; then kill -KILL "$namespaces" 2>/dev/null || true; wait; fi
  rm -rf "$dir"
}
trap cleanup EXIT

cat >"$dir/containers.conf" <<'END'
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
# To have cgroups and higher limits takes rights that a sandbox doesn't give.
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
END
export CONTAINERS_CONF=$dir/containers.conf

# Runs a command in namespaces of its own, where podman keeps in $dir what it keeps on the machine otherwise.
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
  # Unlike a command in the foreground, it lets a signal through.
  wait "$namespaces"
  namespaces=
}

# In place of `node:*-slim`, as no image needs to be pulled for it: Node, npm and a shell of this machine, with the
# libraries that they load.
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
  # The registry is asked as this machine asks it.
  cafile=$(npm config get cafile)
  if [[ $cafile != null ]]; then
    cp "$cafile" "$root/usr/local/etc/ca.pem"
    echo cafile=/usr/local/etc/ca.pem >"$root/usr/local/etc/npmrc"
  fi
  echo "registry=$(npm config get registry)" >>"$root/usr/local/etc/npmrc"
  tar -c -C "$root" -f "$root.tar" .
}

# A copy of the example that asks for the package as it is packed here, which no registry has, and for the rest in the
# versions that this project has.
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
# HEALTHCHECK is lost in podman's own format. `chroot` needs no cgroups for RUN. From /app, /packages is where the copy of
# package.json looks for the package.
apart podman build --format docker --pull=never --build-arg "NODE_VERSION=$version" --isolation chroot --network host \
  --volume "$dir/packages:/packages:ro" --layers=false --tag localhost/orders "$dir/app"
apart unshare --net sh -c 'ip link set lo up && tap --disable-coverage --timeout=240 test/container.test.ts'
