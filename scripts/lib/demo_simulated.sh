# The demo on simulated hosts (scripts/demo --simulate): needs no root and no libvirt. Sourced by scripts/demo after common.sh.

sim_state=$root/build/demo-simulated
sim_cluster=${cluster_file:-docs/examples/cluster.json}

sim_pid() {
    local pid
    pid=$(cat "$sim_state/pid" 2>/dev/null) || return 1
    [ "$(readlink "/proc/$pid/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$bin/daemon/ballastd" ] && echo "$pid"
}

sim_down() {
    local pid
    if pid=$(sim_pid); then
        kill -TERM "$pid"
        timeout 15 tail --pid="$pid" -f /dev/null || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -rf "$sim_state"
}

# Every start begins anew: the hosts are in the daemon's memory, and so is what moved between them.
sim_start() {
    sim_down
    mkdir -p "$sim_state"
    chmod 700 "$sim_state"
    setsid "$bin/daemon/ballastd" --simulate "$sim_cluster" --speed "$speed" --set store.path="$sim_state/ballast.db" --set server.port=0 \
        --set cluster.name=simulated --set cluster.default_pool=shared >"$sim_state/ballastd.log" 2>&1 </dev/null &
    echo $! >"$sim_state/pid"
    local deadline=$((SECONDS + 30)) url=""
    until [ -n "$url" ] && [ -s "$sim_state/first-token" ]; do
        sim_pid >/dev/null || { tail -5 "$sim_state/ballastd.log"; echo "ballastd ended at once; its log is above"; return 1; }
        [ $SECONDS -lt $deadline ] || { tail -5 "$sim_state/ballastd.log"; echo "ballastd did not become ready; its log is $sim_state/ballastd.log"; return 1; }
        url=$(grep -om1 'serves https://[0-9.:]*' "$sim_state/ballastd.log" | cut -d' ' -f2 || true)
        read -rt 0.1 <> <(:) || true
    done
    cat >"$sim_state/env" <<ENV
export BALLAST_URL=$url
export BALLAST_CA=$sim_state/tls/server.crt
export BALLAST_TOKEN=$(cat "$sim_state/first-token")
export PATH=$bin/cli:\$PATH
ENV
    chmod 600 "$sim_state/env"
    # shellcheck source=/dev/null
    source "$sim_state/env"
}

# sim_count KIND: how many of "hosts" or "vms" (groups of N alike count N) the cluster file has.
sim_count() {
    /usr/bin/python3 -c 'import json,sys; print(sum(g.get("count", 1) for g in json.load(open(sys.argv[1])).get(sys.argv[2], [])))' "$sim_cluster" "$1"
}

sim_hosts_up() { [ "$(ballast host list --state up -o name | wc -l)" -ge "$(sim_count hosts)" ]; }
sim_vms_managed() {
    ballast vm list -o json | /usr/bin/python3 -c '
import json, sys
listed = json.load(sys.stdin)
vms = listed["items"] if isinstance(listed, dict) else listed
sys.exit(sum(vm["managed"] for vm in vms) < int(sys.argv[1]))' "$(sim_count vms)"
}

sim_wait() {
    wait_until 60 "every host is up" sim_hosts_up
    wait_until 60 "every VM is seen and adopted" sim_vms_managed
    printf '%s hosts are up, %s VMs are managed; the first of them:\n' "$(sim_count hosts)" "$(sim_count vms)"
    ballast host list | head -6
}

# The first VM, to the last host that is not its own.
sim_migrate() {
    local vm from to
    vm=$(ballast vm list -o name | sort | head -1)
    from=$(ballast host show "$(ballast vm show "$vm" -o json | json host)" -o json | json name)
    to=$(ballast host list -o name | grep -vx "$from" | tail -1)
    ballast host check-pair "$from" "$to" >/dev/null # its turn may not have come yet: there are hundreds of pairs
    ballast vm migrate "$vm" --to "$to" --dry-run
    ballast vm migrate "$vm" --to "$to"
    ballast migration list
}

sim_next() {
    say "it runs"
    cat <<TEXT
  URL     $BALLAST_URL
  token   $BALLAST_TOKEN

  source $sim_state/env     # address, token and the ballast command, for this shell
  ballast host list
  ballast vm list
  ballast vm migrate web2 --dry-run
  ballast host evacuate h1
  ballast event watch

  The cluster is described in $sim_cluster (docs/howto/simulate.md).
  scripts/demo --simulate --down   ends and removes everything
TEXT
}

sim_bring_up() {
    stage "build (release)" build
    stage "start ballastd on the simulated cluster" sim_start
    stage "wait for its hosts and VMs" sim_wait
    stage "migrate one VM live" sim_migrate
}

# What only --check asserts.
sim_moved() { ballast migration list -o json | grep -q '"phase": *"succeeded"'; }
sim_nothing_is_left() {
    local pid
    pid=$(sim_pid)
    sim_down
    [ ! -e "$sim_state" ] && [ ! -e "/proc/$pid" ]
}

sim_demo() {
    case $action in
        down) stage "end and remove everything" sim_down ;;
        up) sim_bring_up; print_stages; sim_next ;;
        check)
            at_exit sim_down
            stage "begin from nothing" sim_down
            sim_bring_up
            stage "the move is recorded" sim_moved
            stage "end, and nothing is left" sim_nothing_is_left
            print_stages
            ;;
    esac
}
